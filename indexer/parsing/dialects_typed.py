"""Go, Rust, Java, C and C++: languages in which nearly everything has a declared type."""

from __future__ import annotations

import msgspec

from indexer.parsing.dialect import Dialect, Expression, TypeSyntax


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_NAME = Expression("name")
_INNER = Expression("same", ("0",))
_OF_TYPE = Expression("instance", ("type",))


def _literals(**types: str) -> dict[str, Expression]:
    """Node type → type of its value."""
    return {node: Expression("literal", (name,)) for node, name in types.items()}


_GO = Dialect(
    expressions={
        "identifier": _NAME,
        "package_identifier": _NAME,
        "selector_expression": Expression("member", ("operand", "field")),
        "call_expression": Expression("call", ("function",)),
        "composite_literal": _OF_TYPE,
        "type_conversion_expression": _OF_TYPE,
        "type_assertion_expression": _OF_TYPE,
        "unary_expression": Expression("same", ("operand",)),
        "parenthesized_expression": _INNER,
        "nil": Expression("nothing"),
        **_literals(
            interpreted_string_literal="string",
            raw_string_literal="string",
            int_literal="int",
            float_literal="float64",
            true="bool",
            false="bool",
        ),
    },
    types=TypeSyntax(noise=r"[*&]", brackets="[]"),
    results=("result", "type"),
)

_RUST = Dialect(
    expressions={
        "identifier": _NAME,
        "type_identifier": _NAME,
        "crate": _NAME,
        "super": _NAME,
        "self": Expression("own"),
        "scoped_identifier": Expression("member", ("path", "name")),
        "scoped_type_identifier": Expression("member", ("path", "name")),
        "generic_type": Expression("same", ("type",)),
        "generic_function": Expression("same", ("function",)),
        "field_expression": Expression("member", ("value", "field")),
        "call_expression": Expression("call", ("function",)),
        "struct_expression": Expression("instance", ("name",)),
        "type_cast_expression": _OF_TYPE,
        "reference_expression": Expression("same", ("value",)),
        "unary_expression": _INNER,
        "try_expression": _INNER,
        "await_expression": _INNER,
        "parenthesized_expression": _INNER,
        **_literals(string_literal="str", integer_literal="i32", float_literal="f64", boolean_literal="bool"),
    },
    types=TypeSyntax(
        noise=r"\+\s*(?:Send|Sync|Unpin|'\w+)\b|&|\bmut\b|\bdyn\b|\bimpl\b|'\w+|\*\s*const\b|\*",
        wrappers=_set("Box Rc Arc Pin Cow Ref RefMut MutexGuard RwLockReadGuard RwLockWriteGuard"),
        own=frozenset({"Self"}),
    ),
    results=("return_type", "type"),
    path_separator="::",
    outcomes=_set("Option Result"),
    taking_out=_set("unwrap expect unwrap_or_default"),
)

_JAVA = Dialect(
    expressions={
        "identifier": _NAME,
        "type_identifier": _NAME,
        "this": Expression("own"),
        "super": Expression("parent"),
        "field_access": Expression("member", ("object", "field")),
        "scoped_type_identifier": Expression("member", ("0", "1")),
        "method_invocation": Expression("call", ("object", "name")),
        "object_creation_expression": _OF_TYPE,
        "cast_expression": _OF_TYPE,
        "parenthesized_expression": _INNER,
        "assignment_expression": Expression("same", ("right",)),
        "ternary_expression": Expression("either", ("consequence", "alternative")),
        "null_literal": Expression("nothing"),
        **_literals(string_literal="String", class_literal="Class"),
    },
    types=TypeSyntax(
        noise=r"@\w+(?:\([^)]*\))?|\bextends\b|\bimplements\b|\bfinal\b",
        nothing=frozenset({"void"}),
        inferred=frozenset({"var"}),
        builtin=frozenset({"var"}),
    ),
    bases={
        "class_declaration": ("superclass", "interfaces"),
        "record_declaration": ("interfaces",),
        "enum_declaration": ("interfaces",),
        "interface_declaration": ("extends_interfaces",),
    },
    results=("type",),
    implicit_own=True,
    calls_no_variables=True,
)

_C = Dialect(
    expressions={
        "identifier": _NAME,
        "field_expression": Expression("member", ("argument", "field")),
        "call_expression": Expression("call", ("function",)),
        "cast_expression": _OF_TYPE,
        "compound_literal_expression": _OF_TYPE,
        "pointer_expression": Expression("same", ("argument",)),
        "parenthesized_expression": _INNER,
        "assignment_expression": Expression("same", ("right",)),
        "conditional_expression": Expression("either", ("consequence", "alternative")),
        "null": Expression("nothing"),
    },
    types=TypeSyntax(
        noise=r"^\s*:|[*&]|\b(?:const|volatile|mutable|struct|union|enum|class|typename|template|virtual|"
        r"public|protected|private)\b",
        nothing=_set("void auto"),
        inferred=_set("auto __auto_type"),
    ),
    results=("type",),
)

_CPP = msgspec.structs.replace(
    _C,
    expressions={
        **_C.expressions,
        "this": Expression("own"),
        "namespace_identifier": _NAME,
        "type_identifier": _NAME,
        "qualified_identifier": Expression("member", ("scope", "name")),
        "template_type": Expression("same", ("name",)),
        "template_function": Expression("same", ("name",)),
        "new_expression": _OF_TYPE,
        "co_await_expression": Expression("same", ("argument",)),
        "true": Expression("literal", ("bool",)),
        "false": Expression("literal", ("bool",)),
    },
    types=msgspec.structs.replace(_C.types, wrappers=_set("unique_ptr shared_ptr reference_wrapper")),
    path_separator="::",
    bases={"class_specifier": ("base_class_clause",), "struct_specifier": ("base_class_clause",)},
    implicit_own=True,
)

TYPED: dict[str, Dialect] = {"go": _GO, "rust": _RUST, "java": _JAVA, "c": _C, "cpp": _CPP}
