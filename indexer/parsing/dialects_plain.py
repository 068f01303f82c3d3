"""Languages of the second class: definitions and references by name, without receivers."""

from __future__ import annotations

from indexer.parsing.dialect import Dialect, TypeSyntax


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


PLAIN: dict[str, Dialect] = {
    "csharp": Dialect(
        types=TypeSyntax(noise=r"^\s*:", nothing=frozenset({"void"})),
        bases={
            node: ("base_list",)
            for node in (
                "class_declaration",
                "record_declaration",
                "struct_declaration",
                "interface_declaration",
            )
        },
        results=("returns", "type"),
        bodies=frozenset({"accessor_list", "arrow_expression_clause"}),
    ),
    "kotlin": Dialect(
        types=TypeSyntax(
            noise=r"\([^()]*\)|\bby\b.*",
            builtin=_set("Any Boolean Byte Char Double Float Int Long Nothing Short String Unit"),
        ),
        bases={
            "class_declaration": ("delegation_specifiers",),
            "object_declaration": ("delegation_specifiers",),
        },
        bodies=frozenset({"class_body", "enum_class_body", "function_body", "getter", "setter"}),
    ),
    "scala": Dialect(
        types=TypeSyntax(
            noise=r"\([^()]*\)|\bextends\b",
            brackets="[]",
            nothing=frozenset({"Unit"}),
            builtin=_set("Any AnyRef Boolean Byte Char Double Float Int Long Nothing Null Short String Unit"),
        ),
        bases={
            "class_definition": ("extends_clause",),
            "object_definition": ("extends_clause",),
            "trait_definition": ("extends_clause",),
            "enum_definition": ("extends_clause",),
        },
        results=("return_type",),
    ),
    "swift": Dialect(
        types=TypeSyntax(builtin=_set("Any AnyObject Bool Character Double Float Int Self String UInt Void")),
        bases={
            "class_declaration": ("inheritance_specifier",),
            "protocol_declaration": ("inheritance_specifier",),
        },
        bodies=frozenset({"computed_property"}),
    ),
    "php": Dialect(
        types=TypeSyntax(
            noise=r"\?|(?:\w*\\)+|\bextends\b|\bimplements\b",
            nothing=frozenset({"null", "void"}),
            builtin=_set("self static parent"),
        ),
        bases={
            "class_declaration": ("base_clause", "class_interface_clause"),
            "interface_declaration": ("base_clause",),
            "enum_declaration": ("class_interface_clause",),
        },
        results=("return_type",),
    ),
    "ruby": Dialect(types=TypeSyntax(noise="<"), bases={"class": ("superclass",)}, comment="#"),
    "lua": Dialect(comment="--"),
    "shellscript": Dialect(comment="#"),
}
