"""The languages: one row of data each, as `indexer.parsing.dialect` describes it."""

from __future__ import annotations

from indexer.parsing.dialect import Dialect, Expression, TypeSyntax
from indexer.parsing.dialects_plain import PLAIN
from indexer.parsing.dialects_typed import TYPED


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NAME = Expression("name")
_INNER = Expression("same", ("0",))

_PYTHON = Dialect(
    expressions={
        "identifier": _NAME,
        "attribute": Expression("member", ("object", "attribute")),
        "call": Expression("call", ("function",)),
        "parenthesized_expression": _INNER,
        "await": _INNER,
        "named_expression": Expression("same", ("value",)),
        "assignment": Expression("same", ("right",)),
        "conditional_expression": Expression("either", ("0", "2")),
        "boolean_operator": Expression("either", ("left", "right")),
        "none": Expression("nothing"),
        "string": Expression("literal", ("str",)),
        "concatenated_string": Expression("literal", ("str",)),
        "integer": Expression("literal", ("int",)),
        "float": Expression("literal", ("float",)),
        "true": Expression("literal", ("bool",)),
        "false": Expression("literal", ("bool",)),
        "list": Expression("literal", ("list",)),
        "list_comprehension": Expression("literal", ("list",)),
        "dictionary": Expression("literal", ("dict",)),
        "dictionary_comprehension": Expression("literal", ("dict",)),
        "set": Expression("literal", ("set",)),
        "set_comprehension": Expression("literal", ("set",)),
        "tuple": Expression("literal", ("tuple",)),
    },
    types=TypeSyntax(
        brackets="[]",
        wrappers=_set("Optional Annotated Final ClassVar InitVar Required NotRequired ReadOnly Awaitable"),
        unions=frozenset({"Union"}),
        classes=frozenset({"type", "Type"}),
        nothing=frozenset({"None"}),
        own=frozenset({"Self"}),
        quotes="\"'",
    ),
    bases={"class_definition": ("superclasses",)},
    results=("return_type", "type"),
    returns_own="return self",
    own_type="Self",
    docs="string",
    static=r"@\s*staticmethod\b",
    of_class=r"@\s*classmethod\b",
    class_methods=frozenset({"__new__", "__init_subclass__", "__class_getitem__"}),
    getter=r"@\s*(?:\w+\s*\.\s*)*(?:cached_)?property\b|@\s*\w+\s*\.\s*getter\b",
    super_call="super",
)

_ECMASCRIPT = Dialect(
    expressions={
        "identifier": _NAME,
        "this": Expression("own"),
        "super": Expression("parent"),
        "member_expression": Expression("member", ("object", "property")),
        "call_expression": Expression("call", ("function",)),
        "new_expression": Expression("instance", ("constructor",)),
        "as_expression": Expression("instance", ("1",)),
        "type_assertion": Expression("instance", ("00",)),
        "nested_identifier": Expression("member", ("object", "property")),
        "satisfies_expression": _INNER,
        "parenthesized_expression": _INNER,
        "await_expression": _INNER,
        "assignment_expression": Expression("same", ("right",)),
        "non_null_expression": _INNER,
        "ternary_expression": Expression("either", ("consequence", "alternative")),
        "null": Expression("nothing"),
        "undefined": Expression("nothing"),
        "string": Expression("literal", ("String",)),
        "template_string": Expression("literal", ("String",)),
        "number": Expression("literal", ("Number",)),
        "regex": Expression("literal", ("RegExp",)),
        "array": Expression("literal", ("Array",)),
        "object": Expression("literal", ("Object",)),
    },
    types=TypeSyntax(
        noise=r"^\s*:|\breadonly\b|\bextends\b|\bimplements\b",
        wrappers=_set("Promise PromiseLike Readonly Partial Required NonNullable Awaited"),
        nothing=frozenset({"null", "undefined", "void"}),
        own=frozenset({"this"}),
    ),
    bases={
        "class_declaration": ("class_heritage",),
        "abstract_class_declaration": ("class_heritage",),
        "class": ("class_heritage",),
        "interface_declaration": ("extends_type_clause", "extends_clause"),
    },
    results=("return_type", "type"),
    returns_own="return this",
    own_type="this",
    static=r"\bstatic\b",
    getter=r"\bget\b",
    importing=("require(", "import(", "await import("),
)

DIALECTS: dict[str, Dialect] = {
    "python": _PYTHON,
    "javascript": _ECMASCRIPT,
    "typescript": _ECMASCRIPT,
    "tsx": _ECMASCRIPT,
    **TYPED,
    **PLAIN,
}
