"""Questions with known answers, cut from the Python files of a repository.

A function's docstring is a question, its body the answer, and the docstring is taken out of the indexed text; its name,
whole, in words or half remembered, is another; its signature in the words of a person a third. Questions without sense
have no answer. The same folder, number and seed give the same questions.
"""

from __future__ import annotations

import ast
import random
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec

from indexer.parsing.words import words

Kind = Literal["docstring", "identifier", "words", "remembered", "signature"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LEAST_WORDS = 4
"""Of a docstring that is a question: `Return the graph.` asks for nothing in particular."""

MOST_CHARACTERS = 300
"""People ask in a sentence or two."""

LEAST_STATEMENTS = 2
"""A body of one statement has little to be found by."""

MOST_NAMESAKES = 3
"""A name that is defined more often is no question with one answer."""

_EXCLUDED_PARTS = frozenset({"tests", "test", "testing", "examples", "build"})

NONSENSE = (
    "purple elephants dancing tango on the moon",
    "asdf qwer zxcv",
    "best recipe for lemon cheesecake without eggs",
    "zzzqqq",
    "who won the football world cup in 1998",
    "lorem ipsum dolor sit amet consectetur",
    "cheap flights from Lisbon to Tokyo in March",
    "my cat refuses to drink water",
    "symptoms of vitamin D deficiency",
    "how tall is Mount Kilimanjaro",
    "xkcd blorptastic fnord",
    "translate good morning into Finnish",
    "the quick brown fox jumps over the lazy dog",
    "mortgage interest rates next year",
    "qwertyuiop",
    "wann fährt der nächste Zug nach Berlin",
)
"""No repository of code answers these."""


class Question(msgspec.Struct, frozen=True):
    kind: Kind
    text: str
    answers: tuple[tuple[str, int, int], ...]
    """(path, first line, end line) of every definition that is right; 0-based, end exclusive, in the indexed text."""


class Cases(msgspec.Struct, frozen=True):
    files: dict[str, str]
    """Path → text to be indexed."""
    questions: list[Question]


class _Function(msgspec.Struct, frozen=True):
    path: str
    name: str
    start_line: int
    end_line: int
    docstring: str
    parameters: tuple[str, ...]
    statements: int


def cases(folder: Path, per_kind: int, seed: int) -> Cases:
    """At most `per_kind` questions of each kind about the Python files below `folder`; other text files are indexed
    beside them."""
    files: dict[str, str] = {}
    functions: list[_Function] = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder).as_posix()
        if not path.is_file() or path.suffix not in (".py", ".md", ".rst", ".txt", ".toml", ".cfg"):
            continue
        text = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix == ".py":
            try:
                text, found = _without_docstrings(relative, text)
            except SyntaxError:
                continue  # a file of another version of the language
            if not _EXCLUDED_PARTS.intersection(path.relative_to(folder).parts):
                functions += found
        files[relative] = text
    return Cases(files, list(_questions(functions, per_kind, random.Random(seed))))


def _without_docstrings(path: str, text: str) -> tuple[str, list[_Function]]:
    """The text without the docstrings of functions, and where these are in it."""
    lines = text.split("\n")
    tree = ast.parse(text)
    gone: set[int] = set()
    spans: list[tuple[ast.FunctionDef | ast.AsyncFunctionDef, str, int]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        docstring = ast.get_docstring(node) or ""
        first = node.body[0]
        if docstring and len(node.body) > 1 and first.lineno != node.lineno:
            gone.update(range(first.lineno - 1, first.end_lineno or first.lineno))
        spans.append((node, docstring, len(node.body) - bool(docstring)))
    kept = [number for number in range(len(lines)) if number not in gone]
    place = {number: new for new, number in enumerate(kept)}
    found = [
        _Function(
            path=path,
            name=node.name,
            start_line=place[node.lineno - 1],
            end_line=place[(node.end_lineno or node.lineno) - 1] + 1,
            docstring=docstring,
            parameters=tuple(one.arg for one in node.args.args if one.arg not in ("self", "cls")),
            statements=statements,
        )
        for node, docstring, statements in spans
        if node.lineno - 1 in place and (node.end_lineno or node.lineno) - 1 in place
    ]
    return "\n".join(lines[number] for number in kept), found


def _questions(functions: Sequence[_Function], per_kind: int, chance: random.Random) -> Iterator[Question]:
    namesakes: defaultdict[str, list[_Function]] = defaultdict(list)
    for function in functions:
        namesakes[function.name].append(function)
    asked = [
        one
        for one in functions
        if not one.name.startswith("_")
        and one.statements >= LEAST_STATEMENTS
        # an answer that is not the only one of its name makes luck of the rank
        and len(namesakes[one.name]) <= MOST_NAMESAKES
    ]
    for kind in KINDS:
        seen: set[str] = set()
        pool = chance.sample(asked, len(asked))
        for one in pool:
            text = _TEXTS[kind](one)
            if text and text not in seen:
                seen.add(text)
                same = [one] if kind == "docstring" else namesakes[one.name]
                yield Question(kind, text, tuple((it.path, it.start_line, it.end_line) for it in same))
            if len(seen) == per_kind:
                break


def _docstring(function: _Function) -> str:
    first = " ".join(function.docstring.strip().split("\n\n")[0].split())[:MOST_CHARACTERS]
    return first if len(words(first)) >= LEAST_WORDS else ""


def _name_words(function: _Function) -> list[str]:
    return [part for part in re.split(r"_+|(?<=[a-z])(?=[A-Z])", function.name) if part]


def _identifier(function: _Function) -> str:
    return function.name if len(_name_words(function)) > 1 else ""


def _in_words(function: _Function) -> str:
    parts = _name_words(function)
    return " ".join(parts).lower() if len(parts) > 1 else ""


def _remembered(function: _Function) -> str:
    """The name without its first word, and the module that it is thought to be in."""
    parts = _name_words(function)
    module = Path(function.path).stem
    if len(parts) < 3 or module == "__init__":
        return ""
    return " ".join([*parts[1:], "in", *re.split(r"_+", module)]).lower().strip()


def _signature(function: _Function) -> str:
    parts = _name_words(function)
    if len(parts) < 2 or not function.parameters:
        return ""
    given = " and ".join(name.replace("_", " ") for name in function.parameters[:3])
    return f"where do we {' '.join(parts).lower()} from {given}"


_TEXTS: dict[Kind, Callable[[_Function], str]] = {
    "docstring": _docstring,
    "identifier": _identifier,
    "words": _in_words,
    "remembered": _remembered,
    "signature": _signature,
}
