"""Everything that is read from one text's syntax tree: definitions, references, imports, types of fields.

The text is parsed once and gone through once, with all queries of its language in one. Nothing here recurses:
code may be nested deeper than Python's stack; and everything is bounded in time."""

from __future__ import annotations

import msgspec
import tree_sitter

from indexer.parsing import definitions as defining
from indexer.parsing import imports as importing
from indexer.parsing import localnames, matching
from indexer.parsing.deadline import Deadline
from indexer.parsing.definitions import FUNCTION_KINDS as FUNCTION_KINDS
from indexer.parsing.definitions import TYPE_KINDS as TYPE_KINDS
from indexer.parsing.definitions import Tag as Tag
from indexer.parsing.definitions import by_place as by_place
from indexer.parsing.descriptions import SIGNATURE_CHARACTERS as SIGNATURE_CHARACTERS
from indexer.parsing.dialects import DIALECTS
from indexer.parsing.imports import Import
from indexer.parsing.languages import has_grammar, parse
from indexer.parsing.receivers import Receivers
from indexer.parsing.references import Site as Site
from indexer.parsing.references import sites
from indexer.parsing.source import Source

TIMEOUT_S = 5.0
"""Of a processor's time, for parsing and as much for reading. A megabyte takes a quarter of a second. Only code that
is nested thousands of levels deep takes longer, since tree-sitter finds a node's parent from the root downwards."""


class Tags(msgspec.Struct):
    """What one text defines and refers to."""

    definitions: list[Tag] = []
    """In the order of the text."""
    references: dict[str, list[Site]] = {}
    """By name, the sites of each in the order of the text."""
    imports: list[Import] = []
    types: dict[str, str] = {}
    """`Class.field`, and `variable` at the top → receiver path of its type."""
    error: str = ""
    """Why there is nothing, or not all, although there is a grammar. A text with syntax errors still has tags
    and no `error`."""


def tags(text: str | bytes, language: str | None) -> Tags:
    """What is in a text (bytes: UTF-8). Never raises for what is in it."""
    if language is None or not has_grammar(language):
        return Tags()
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return Tags(error="not UTF-8")
    source = Source(data, Deadline(TIMEOUT_S))
    tree = parse(data, language, TIMEOUT_S)
    if tree is None:
        return Tags(error=f"parsing took longer than {TIMEOUT_S:.0f} s")
    return _read(tree, language, source)


def _read(tree: tree_sitter.Tree, language: str, source: Source) -> Tags:
    dialect = DIALECTS.get(language)
    matched = matching.match(tree, language, source)
    definitions = defining.arrange(
        matched.definitions, matched.additions, dialect, matched.marks_outer, source
    )
    imports = importing.read(matched.statements, language, source.data)
    scopes = localnames.scopes_of(matched, definitions, imports, dialect, source)
    receivers = None
    if dialect is not None:
        receivers = Receivers(source, dialect, scopes, definitions.found)
        localnames.bind_fields(matched, definitions.name_starts, scopes, receivers, dialect, source)
    own_names = {tag.name.encode() for tag in definitions.tags}
    own_names.update((import_.alias or import_.name or "").encode() for _, import_ in imports)
    builtin = dialect.types.builtin if dialect is not None else frozenset[str]()
    references = sites(matched.candidates, definitions, own_names, builtin, scopes, receivers, source)
    types = receivers.types() if receivers is not None else {}
    complete = matched.complete and definitions.complete and not source.late()
    error = "" if complete else f"not everything: nested too deeply, or took longer than {TIMEOUT_S:.0f} s"
    return Tags(definitions.tags, references, [import_ for _, import_ in imports], types, error)
