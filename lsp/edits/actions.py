"""Which code actions are offered at a place: a pure function of the text, what is selected, and its diagnostics.

Nothing is asked of the index or the model: that comes when somebody has chosen (`lsp.edits.chosen`)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import msgspec

from lsp.edits.task import Diagnosed
from lsp.edits.test_places import has_tests, is_test

if TYPE_CHECKING:
    from indexer.parsing.tags import Tag

What = Literal["fix", "fix all", "explain", "document", "tests", "implement", "refactor", "callers"]

QUICKFIX, REWRITE, EXPLAIN, TESTS = "quickfix", "refactor.rewrite", "source.explain", "source.tests"
KINDS = (QUICKFIX, REWRITE, EXPLAIN, TESTS)
"""Those of the protocol where it has one; `source.…` of our own for what changes nothing here."""

FUNCTIONS = ("function", "method", "constructor")
DOCUMENTED = (*FUNCTIONS, "class", "struct", "interface", "trait", "enum")
MAX_TITLE_CHARS = 60

_STUB = re.compile(
    r"""^\s*(?:
        pass | \.\.\. | raise\s+NotImplementedError\b.* | return\s+NotImplemented
      | (?:todo|unimplemented)!\(.*\);? | panic\(\s*"(?:not\ implemented|TODO|todo).*\)
      | throw\s+new\s+\w*(?:NotImplemented|UnsupportedOperation|Error|Exception)\w*\(.*\);?
      | raise\s+NotImplementedError.* | (?:TODO|fatalError)\(.*\)
      | (?://|\#|--)\s*(?:TODO|FIXME)\b.*
    )\s*$""",
    re.VERBOSE,
)
_NOT_IMPLEMENTED = re.compile(r"not.?(?:yet.?)?implemented|unsupported|todo", re.IGNORECASE)
_THROWS = re.compile(r"^\s*throw\b")
_CLOSER = re.compile(r"^\s*[})\];]*(?:\s*end)?\s*$")
_HEAD_END = re.compile(r"(?::|\{|\bdo|\bthen|=>|\))\s*(?:(?:#|//|--).*)?$")
_DOC_EDGE = re.compile(r'^\s*[rbuf]*("""|\'\'\')')


class Here(msgspec.Struct, frozen=True):
    """Where somebody asks: lines from 1, both ends included."""

    path: str
    """Below its root."""
    lines: Sequence[str]
    language: str | None
    first: int
    last: int
    selected: bool
    """Something is selected, not only the cursor there."""
    diagnostics: Sequence[Diagnosed] = ()
    """Those at these lines."""
    elsewhere: Sequence[Diagnosed] = ()
    """Others that are known in the file."""


class Offer(msgspec.Struct, frozen=True):
    title: str
    kind: str
    what: What
    first: int
    last: int
    """The lines that it is about."""
    name: str = ""
    """Of the definition, where it is about one."""
    diagnostics: tuple[Diagnosed, ...] = ()
    preferred: bool = False


def offers(
    here: Here, definitions: Sequence[Tag], *, several_files: bool, asks: bool, automatic: bool = False
) -> Iterator[Offer]:
    """`several_files`: the model may change several; `asks`: the client asks its user for an instruction; `automatic`:
    nobody asked, and only what is wrong is worth a sign in the margin."""
    yield from _fixes(here)
    if automatic:
        return
    inner = innermost(definitions, here.first, here.last)
    if inner is not None:
        yield from _of_definition(here, inner, several_files=several_files)
    first, last = (
        (inner.start_line + 1, inner.end_line) if inner and not here.selected else (here.first, here.last)
    )
    if any(line.strip() for line in here.lines[first - 1 : last]):
        about = f"`{inner.name}`" if inner is not None and not here.selected else "these lines"
        yield Offer(f"Explain {about}", EXPLAIN, "explain", first, last, inner.name if inner else "")
        if asks:
            yield Offer(f"Change {about} by an instruction…", REWRITE, "refactor", first, last)


def wanted(kind: str, only: Sequence[str] | None) -> bool:
    """Whether a client that wants `only` these kinds wants this one (LSP 3.17: kinds are hierarchical)."""
    return only is None or any(kind == each or kind.startswith(f"{each}.") or not each for each in only)


def innermost(definitions: Sequence[Tag], first: int, last: int) -> Tag | None:
    """The smallest definition that holds these lines."""
    holding = [each for each in definitions if each.start_line < first and last <= each.end_line]
    return min(holding, key=lambda each: each.end_line - each.start_line, default=None)


def is_stub(lines: Sequence[str]) -> bool:
    """Whether a definition's body says that it is still to be written."""
    body = _body(lines)
    said = [line for line in body if line.strip() and not _CLOSER.match(line)]
    return bool(said) and all(
        _STUB.match(line) and (not _THROWS.match(line) or _NOT_IMPLEMENTED.search(line)) for line in said
    )


def _fixes(here: Here) -> Iterator[Offer]:
    for at, each in enumerate(here.diagnostics):
        title = f"Fix: {each.message}"
        yield Offer(_cut(title), QUICKFIX, "fix", each.line, each.line, "", (each,), preferred=False)
        alike = [other for other in (*here.diagnostics, *here.elsewhere) if _alike(each, other)]
        first_of_kind = not any(_alike(each, other) for other in here.diagnostics[:at])
        if len(alike) > 1 and first_of_kind:
            ordered = tuple(sorted(alike, key=lambda other: other.line))
            title = f"Fix all {len(alike)} of {each.code or each.source} in this file"
            yield Offer(_cut(title), QUICKFIX, "fix all", ordered[0].line, ordered[-1].line, "", ordered)


def _of_definition(here: Here, inner: Tag, *, several_files: bool) -> Iterator[Offer]:
    lines = here.lines[inner.start_line : inner.end_line]
    place = (inner.start_line + 1, inner.end_line, inner.name)
    if inner.kind in FUNCTIONS and is_stub(lines):
        yield Offer(_cut(f"Implement `{inner.name}`"), REWRITE, "implement", *place)
    if inner.kind in DOCUMENTED and not inner.docstring and not is_test(here.path):
        yield Offer(_cut(f"Document `{inner.name}`"), REWRITE, "document", *place)
    if inner.kind in DOCUMENTED and has_tests(here.language) and not is_test(here.path):
        yield Offer(_cut(f"Write tests for `{inner.name}`"), TESTS, "tests", *place)
    on_head = here.first <= inner.end_line - len(_body(lines)) and not here.selected
    if several_files and inner.kind in FUNCTIONS and on_head:
        yield Offer(_cut(f"Change the callers of `{inner.name}` to fit it"), REWRITE, "callers", *place)


def _body(lines: Sequence[str]) -> Sequence[str]:
    """Of a definition, what stands below its head and its docstring."""
    head = next((at for at, line in enumerate(lines) if _HEAD_END.search(line) and "@" not in line[:1]), None)
    if head is None or head + 1 >= len(lines):
        return ()
    body = list(lines[head + 1 :])
    if body and (edge := _DOC_EDGE.match(body[0])) is not None:
        quotes = edge[1]
        if body[0].count(quotes) > 1:
            return body[1:]
        end = next((at for at, line in enumerate(body[1:], 1) if quotes in line), len(body))
        return body[end + 1 :]
    return body


def _alike(one: Diagnosed, other: Diagnosed) -> bool:
    if one.code or other.code:
        return (one.source, one.code) == (other.source, other.code)
    return (one.source, one.message) == (other.source, other.message)


def _cut(title: str) -> str:
    line = title.split("\n", 1)[0]
    return line if len(line) <= MAX_TITLE_CHARS else f"{line[: MAX_TITLE_CHARS - 1]}…"
