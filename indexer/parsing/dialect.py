"""How each language writes what the index reads beyond names: node types, fields and spellings, as a table.

`receivers` works out what stands before a dot, `definitions` what a definition says about itself; both know no
language. What one needs is told in three places:

1. `queries/LANGUAGE.references.scm`: `@reference.KIND` marks a name; where something stands before its dot, the
   same pattern marks that expression as `@receiver`. A site that two patterns match takes the one with a receiver,
   then the one that comes first. KIND is what `references.Site` says, or `value` (see `indexer.parsing.references`), or
   `member`: a whole expression `object.name`, both parts of which are `name`.
2. `queries/LANGUAGE.bindings.scm`: what local names and fields are.
   - `@local` a name that is declared here, up to the end of the innermost scope; `@hoisted` up to the end of the
     innermost function, class or file; `@assigned` one that is declared elsewhere and gets a value here.
   - `@field` a name that the innermost class declares; with `@object` in the same pattern, that the class of this
     object gets (`self.x = …`).
   - In the same pattern, at most one of: `@type` its declared type, `@value` what it is set to (with `@type` too,
     the type counts), `@entered` what `with` enters. Without any of them nothing is known about it.
   Of several patterns for one name at one place the one that says most counts, in this order.
   - `@first` the first parameter of a function that is a method without saying what its type is (`self`).
   - `@declared` like `@local`, but without a value yet.
   - `@unpacked` a pattern: every name in it is `@hoisted`, and nothing known of it (`@unpacked.local`: `@local`,
     `@unpacked.assigned`: `@assigned`).
   - `@outer` a name that this function takes from around it (`global x`).
   - `@scope.function` a function, `@scope.arrow` one with the `this` of what is around it, `@scope.block` a block
     of its own names, `@scope.unknown` what has a `this` that cannot be told (an object literal, an anonymous
     class). Types need none: their definitions are scopes.
   In `queries/LANGUAGE.definitions.scm`, `@name` with `@base` or `@result` and without a definition adds to what
   is known of the definition at this name or, if there is none, of the types of this name.
3. A row of `indexer.parsing.dialects.DIALECTS`. A language without one has references without receivers.

Only `@type`, `@value`, `@receiver` and `@entered` need node types that the row's `expressions` name; what is not
named there gives `?`."""

from __future__ import annotations

from typing import Literal

import msgspec


class Expression(msgspec.Struct, frozen=True):
    """What a node type of expressions means. A field that is a number stands for the named child at that place,
    one of two digits for a child of it."""

    rule: Literal[
        "name", "own", "parent", "member", "call", "instance", "same", "either", "literal", "nothing"
    ]
    """`name`: a bare name; `own`: the instance that a method runs on; `parent`: the same as its base class;
    `member` (fields: object, name); `call` (fields: function, or object and name); `instance` of the type in the
    field (`new X()`, a cast); `same` as the expression in the field (brackets, `await`); `either` of the
    expressions in the fields; `literal` of the type named here; `nothing` (`None`), which tells no type."""
    fields: tuple[str, ...] = ()


class TypeSyntax(msgspec.Struct, frozen=True):
    """How types are written. They are read as text."""

    noise: str = ""
    """An expression for what says nothing about which type it is: `const`, `&`, `*`, keywords before a base."""
    brackets: str = "<>"
    """Around type arguments."""
    wrappers: frozenset[str] = frozenset()
    """Types that are taken for their first argument: `Optional[X]`, `Box<X>`."""
    unions: frozenset[str] = frozenset()
    """Types that mean one of their arguments: `Union[X, None]`."""
    classes: frozenset[str] = frozenset()
    """Types whose value is the class in their argument: `type[X]`."""
    builtin: frozenset[str] = frozenset()
    """Types of the language itself, to which nobody asks for references."""
    nothing: frozenset[str] = frozenset()
    """Members of a union that do not count."""
    own: frozenset[str] = frozenset()
    """Names for the enclosing class."""
    inferred: frozenset[str] = frozenset()
    """What stands in place of a type that the value tells: `auto`, `var`."""
    quotes: str = ""
    """Around a type that is written as a string."""


class Dialect(msgspec.Struct, frozen=True):
    """One language."""

    expressions: dict[str, Expression] = {}
    """By node type."""
    types: TypeSyntax = TypeSyntax()
    bases: dict[str, tuple[str, ...]] = {}
    """Node type of a definition → its fields, or types of its children, that list what it extends."""
    results: tuple[str, ...] = ()
    """Fields of a definition that hold its declared type; the first that is there counts."""
    outcomes: frozenset[str] = frozenset()
    """Types of results that are taken for their first argument too, since nothing is done with them before they
    are taken out: `Result<X, E>`."""
    taking_out: frozenset[str] = frozenset()
    """Methods that do so, called on the result of a call: `unwrap`."""
    bodies: frozenset[str] = frozenset()
    """Node types of bodies, in grammars that have no field for them."""
    returns_own: str = ""
    """How a method gives back the instance that it runs on. One that does nothing else has `own_type` as its
    result, if it declares none."""
    own_type: str = ""
    docs: Literal["string", "above"] = "above"
    """Where documentation stands: as the first string of the body, or in comments above."""
    comment: str = "//"
    """How a comment of one line begins, where documentation stands above."""
    static: str = ""
    """An expression, found before the name of a method that runs on no instance."""
    of_class: str = ""
    """The same for a method that runs on its class."""
    class_methods: frozenset[str] = frozenset()
    """Names of methods that always do."""
    getter: str = ""
    """An expression, found before the name of a method that is read like a field."""
    implicit_own: bool = False
    """Whether a bare name that is no local one may be a field of the enclosing class."""
    calls_no_variables: bool = False
    """Whether a function and a variable may have one name, so that a bare name that is called is no variable."""
    super_call: str = ""
    """The function whose result is the instance seen as its base class (`super()`)."""
    path_separator: str = ""
    """What stands after a name that is looked for among modules and types only, never among variables: `::`."""
    importing: tuple[str, ...] = ()
    """How a value begins that is an import: its names are those of `indexer.parsing.imports`, not variables."""
