"""The plan of an edit of several files: which of the files that were shown change, and what in them; written by the
model as lines, under a grammar where the engine has one.

    change src/cart.py: Cart, total
    create src/prices.py
    delete src/old.py
    rename src/a.py -> src/b.py

Whatever a line names has been shown: a path or a definition that was not is no part of a plan."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from engine.editing.blocks import RENAMED, path_text
from engine.editing.copied import literal
from engine.editing.grammar import MAX_FOLDERS, MAX_PATHS
from engine.prompts import path_line

Verb = Literal["change", "create", "delete", "rename"]

SYMBOLS = ": "
"""Between a path and the definitions that change in it."""

MAX_SYMBOLS = 8
"""Of one line: who changes more of a file changes the file."""

MAX_NEW = 8
"""Lines of a plan beyond one for each file: files that are made, or given another name."""

_LINE = re.compile(
    r"^\s*(?:[-*•]\s+|\d+[.)]\s+)?[`*]*(?P<verb>change|create|delete|rename)\b[`*:]*\s+(?P<rest>\S.*)$"
)


class Candidate(msgspec.Struct, frozen=True):
    """A file that may be changed, as a plan's prompt shows it."""

    path: str
    symbols: tuple[str, ...] = ()
    """Definitions in it."""
    uses: tuple[tuple[int, str], ...] = ()
    """Lines, from 1, that refer to what the instruction is about."""


class Planned(msgspec.Struct, frozen=True):
    """One line of a plan."""

    verb: Verb
    path: str
    new_path: str = ""
    """Of a file that is renamed."""
    symbols: tuple[str, ...] = ()
    """What of the file changes; empty where nobody said."""


class Plan(msgspec.Struct, frozen=True):
    lines: tuple[Planned, ...]
    """In the order of the answer, each file once."""
    problems: tuple[str, ...] = ()
    """One sentence for each line that is left out."""


def listing(candidates: Sequence[Candidate]) -> str:
    """The files as a prompt shows them: what each defines, and the lines that use what is meant."""
    shown: list[str] = []
    for each in candidates:
        symbols = f"{SYMBOLS}{', '.join(each.symbols)}" if each.symbols else ""
        shown.append(f"{path_line(each.path).rstrip()}{symbols}\n")
        shown += [f"    {line}: {text.strip()}\n" for line, text in each.uses]
    return "".join(shown)


def written(lines: Sequence[Planned]) -> str:
    """A plan in its text form."""
    return "".join(f"{_line(each)}\n" for each in lines)


def plan_grammar(candidates: Sequence[Candidate], *, whole_files: bool = False) -> str:
    """The grammar of a plan over these files. With `whole_files` it may make, delete and rename files. Raises
    ValueError without a file and for more than MAX_PATHS."""
    if not candidates or len(candidates) > MAX_PATHS:
        raise ValueError(f"a plan is about 1 to {MAX_PATHS} files, and {len(candidates)} were given")
    most = len(candidates) + (MAX_NEW if whole_files else 0)
    kinds = [f"change{at}" for at in range(len(candidates))]
    rules: list[str] = []
    for at, each in enumerate(candidates):
        names = f' ("{SYMBOLS}" names{at})?' if each.symbols else ""
        rules.append(f'change{at} ::= {literal(f"change {_path(each.path)}")}{names} "\\n"')
        if each.symbols:
            rules.append(f'names{at} ::= name{at} (", " name{at}){{0,{MAX_SYMBOLS - 1}}}')
            rules.append(f"name{at} ::= {' | '.join(map(literal, dict.fromkeys(each.symbols)))}")
    if whole_files:
        kinds += ["create", "delete", "rename"]
        rules += [
            'create ::= "create " path "\\n"',
            'delete ::= "delete " known "\\n"',
            f'rename ::= "rename " known {literal(RENAMED)} path "\\n"',
            f"known ::= {' | '.join(literal(_path(each.path)) for each in candidates)}",
            f'path ::= part ("/" part){{0,{MAX_FOLDERS}}}',
            "part ::= [A-Za-z0-9_.] [A-Za-z0-9_.+-]*",
        ]
    return "\n".join([f"root ::= line{{1,{most}}}", f"line ::= {' | '.join(kinds)}", *rules]) + "\n"


def read_plan(text: str, candidates: Sequence[Candidate], *, whole_files: bool = False) -> Plan:
    """What an answer plans. Lines that are none of a plan are passed over; of two lines about one file the first
    counts, with the definitions of both."""
    known = {each.path: each for each in candidates}
    found: dict[tuple[str, str], Planned] = {}
    problems: list[str] = []
    for match in filter(None, map(_LINE.match, text.splitlines())):
        read = _read(match["verb"], match["rest"].strip(), known)
        why = read if isinstance(read, str) else _why_not(read, known, whole_files=whole_files)
        if isinstance(read, str) or why:
            problems.append(str(why))
            continue
        key = ("rename" if read.verb == "rename" else "", read.path)
        other = found.get(key)
        if other is None:
            found[key] = read
        elif other.verb == read.verb:
            symbols = tuple(dict.fromkeys((*other.symbols, *read.symbols)))[:MAX_SYMBOLS]
            found[key] = msgspec.structs.replace(
                other, symbols=symbols if other.symbols and read.symbols else ()
            )
        else:
            problems.append(f"{read.path} is planned to be {other.verb}d and {read.verb}d; the first counts")
    return Plan(tuple(found.values()), tuple(dict.fromkeys(problems)))


def _why_not(planned: Planned, known: dict[str, Candidate], *, whole_files: bool) -> str:
    if planned.verb == "change":
        return ""
    if not whole_files:
        return f"{planned.path} is planned to be {planned.verb}d, and only changes of files were asked for"
    if planned.verb == "create" and planned.path in known:
        return f"{planned.path} is planned to be created, and is there already"
    return ""


def _read(verb: str, rest: str, known: dict[str, Candidate]) -> Planned | str:
    """One line, or what is wrong with it."""
    match verb:
        case "create":
            return Planned("create", _unquoted(rest.partition(SYMBOLS)[0]))
        case "rename":
            old, divider, new = rest.partition(RENAMED)
            path = _known(old.strip(), known)
            if path is None or not divider or not new.strip():
                return f"{old.strip()} is to be renamed, and was not shown or has no new name"
            return Planned("rename", path, _unquoted(new.strip()))
        case _:
            path = _known(rest, known)
            if path is None:
                named = _unquoted(rest.partition(SYMBOLS)[0])
                return f"{named} is planned, and was not among the files that were shown"
            if verb == "delete":
                return Planned("delete", path)
            return Planned("change", path, symbols=_symbols(rest, known[path]))


def _known(rest: str, known: dict[str, Candidate]) -> str | None:
    """The file that a line begins with: the longest path that fits."""
    fitting = [
        path
        for path in known
        for form in _forms(path)
        if rest == form or rest.startswith((f"{form}:", f"{form} "))
    ]
    return max(fitting, key=len, default=None)


def _forms(path: str) -> tuple[str, ...]:
    """How models write a path."""
    return (_path(path), path, f"`{path}`", f"**{path}**")


def _symbols(rest: str, candidate: Candidate) -> tuple[str, ...]:
    """Those of the file that the line names behind its path."""
    form = next((each for each in _forms(candidate.path) if rest.startswith(each)), "")
    words = [word.strip(" `()*:") for word in rest[len(form) :].split(",")]
    return tuple(dict.fromkeys(word for word in words if word in candidate.symbols))[:MAX_SYMBOLS]


def _line(planned: Planned) -> str:
    match planned.verb:
        case "rename":
            return f"rename {_path(planned.path)}{RENAMED}{_path(planned.new_path)}"
        case "change" if planned.symbols:
            return f"change {_path(planned.path)}{SYMBOLS}{', '.join(planned.symbols)}"
        case _:
            return f"{planned.verb} {_path(planned.path)}"


def _path(path: str) -> str:
    """As a plan's lines have it: a colon and a blank would look like the end of it."""
    return json.dumps(path) if SYMBOLS in path else path_text(path)


def _unquoted(text: str) -> str:
    bare = text.strip().strip("`*")
    if bare.startswith('"'):
        try:
            read = json.loads(bare)
        except ValueError:
            return bare
        return read if isinstance(read, str) else bare
    return bare


def paths_of(lines: Sequence[Planned]) -> Iterator[str]:
    """That are read or written, each once."""
    yield from dict.fromkeys(each.path for each in lines)
