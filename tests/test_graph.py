"""What references mean, over small repositories that are written in `tests/graph/LANGUAGE.txt`.

Each case begins with `#### what it shows`, each of its files with `== path`. What stands after `⟶` is no part of
a file but says what its line refers to: `name: target`, several divided by commas. A target is
`path:container.name`, `path:name` or, of a module, `path`; several that are equally good are joined by ` + `;
`!words` says that there is none, and words of the reason."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

import pytest
from memory_view import MemoryView

from indexer.graph import Edge, Graph
from indexer.messages import Definition, Reference, References
from indexer.names.referring import find_references

CASES = Path(__file__).parent / "graph"
LANGUAGES = ("python", "typescript", "go", "rust", "java", "c")
LEAST_CASES = 12


class Expected(NamedTuple):
    path: str
    line: int
    name: str
    targets: list[str]


class Case(NamedTuple):
    title: str
    files: dict[str, str]
    expected: list[Expected]


def read_cases(text: str) -> list[Case]:
    cases: list[Case] = []
    for part in re.split(r"^#### ", text, flags=re.MULTILINE)[1:]:
        title, _, body = part.partition("\n")
        files: dict[str, str] = {}
        expected: list[Expected] = []
        for file in re.split(r"^== ", body, flags=re.MULTILINE)[1:]:
            path, _, content = file.partition("\n")
            plain: list[str] = []
            for number, line in enumerate(content.rstrip("\n").split("\n")):
                code, _, said = line.partition("⟶")
                plain.append(code.rstrip())
                for one in filter(None, (piece.strip() for piece in said.split(", "))):
                    name, _, target = one.partition(": ")
                    expected.append(Expected(path, number, name, target.split(" + ")))
            files[path] = "\n".join(plain) + "\n"
        cases.append(Case(title, files, expected))
    return cases


ALL = {language: read_cases((CASES / f"{language}.txt").read_text("utf-8")) for language in LANGUAGES}


def shown(edge: Edge) -> str:
    target = edge.target
    if target is None:
        return f"!{edge.why}"
    if target.kind == "module" and target.end_line == 0:
        return target.path
    return (
        f"{target.path}:{target.container}.{target.name}"
        if target.container
        else f"{target.path}:{target.name}"
    )


def meets(found: list[str], wanted: list[str]) -> bool:
    if wanted[0].startswith("!"):
        return len(found) == 1 and found[0].startswith("!") and wanted[0][1:] in found[0]
    return sorted(found) == sorted(wanted)


@pytest.mark.parametrize(
    ("language", "case"),
    [
        pytest.param(language, case, id=f"{language}: {case.title}")
        for language in ALL
        for case in ALL[language]
    ],
)
def test_edges(language: str, case: Case) -> None:
    view, graph = MemoryView(case.files), Graph()
    assert case.expected, "a case without any `⟶` shows nothing"
    wrong: list[str] = []
    for one in case.expected:
        edges = graph.edges_of(view, one.path)
        found = [shown(edge) for edge in edges if (edge.line, edge.name) == (one.line, one.name)]
        if not meets(found, one.targets):
            wrong.append(
                f"{one.path}:{one.line + 1} {one.name}: {' + '.join(found)} instead of {' + '.join(one.targets)}"
            )
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_has_its_cases(language: str) -> None:
    assert len(ALL[language]) >= LEAST_CASES


# ---------------------------------------------------------------- who refers to a definition

LIBRARY = {
    "lib/__init__.py": "from .core import Engine as Motor, run\nfrom .core import *\n",
    "lib/core.py": (
        "class Engine:\n    def start(self):\n        return self\n\n"
        "class Diesel(Engine):\n    def start(self):\n        return super().start()\n\n"
        "def run(engine: Engine):\n    engine.start()\n"
    ),
    "app.py": (
        "from lib import Motor, run as go\nimport lib\n\n"
        "def main():\n    go(Motor())\n    lib.Motor().start()\n    lib.run(None)\n\ngo(None)\n"
    ),
    "truck.py": "import lib.core as core\n\nclass Truck(core.Diesel):\n    pass\n\nTruck().start()\n",
    "other.py": "def run():\n    pass\n\nrun()\nunknown.start()\n",
}


def definition(view: MemoryView, path: str, name: str, container: str = "") -> Definition:
    (found,) = [one for one in view.definitions_in(path) if (one.name, one.container) == (name, container)]
    return found


def places(edges: list[Edge]) -> list[str]:
    return [f"{edge.path}:{edge.line + 1} {edge.name}" for edge in edges]


@pytest.mark.parametrize(
    ("path", "name", "container", "expected"),
    [
        (
            "lib/core.py",
            "run",
            "",
            "lib/__init__.py:1 run, app.py:1 run, app.py:5 go, app.py:7 run, app.py:9 go",
        ),
        (
            "lib/core.py",
            "Engine",
            "",
            "lib/__init__.py:1 Engine, lib/core.py:5 Engine, lib/core.py:9 Engine, app.py:1 Motor, app.py:5 Motor,"
            " app.py:6 Motor",
        ),
        ("lib/core.py", "start", "Engine", "lib/core.py:7 start, lib/core.py:10 start, app.py:6 start"),
        ("lib/core.py", "start", "Diesel", "truck.py:6 start"),
        ("other.py", "run", "", "other.py:4 run"),
    ],
)
def test_references_to_one_definition(path: str, name: str, container: str, expected: str) -> None:
    view = MemoryView(LIBRARY)
    found = view.graph.references_to(view, definition(view, path, name, container))
    assert sorted(places(found)) == sorted(expected.split(", "))


def test_default_imports_have_any_name() -> None:
    files = {
        "panel.ts": "export default class Panel { show() {} }\n",
        "index.ts": "export { default as Fenster } from './panel';\n",
        "a.ts": "import Window from './panel';\nnew Window();\n",
        "b.ts": "import { Fenster as F } from './index';\nnew F();\n",
        "c.ts": "class Panel {}\nnew Panel();\n",
    }
    view = MemoryView(files)
    found = places(view.graph.references_to(view, definition(view, "panel.ts", "Panel")))
    assert {"a.ts:2 Window", "b.ts:2 F"} <= set(found) and not [
        place for place in found if place.startswith("c.ts")
    ]


def test_callers() -> None:
    view = MemoryView(LIBRARY)
    calls = view.graph.callers(view, definition(view, "lib/core.py", "run"))
    assert [(call.caller.name if call.caller else "", call.edge.line) for call in calls] == [
        ("main", 4),
        ("main", 6),
        ("", 8),
    ]


def test_bases_and_subclasses_over_files() -> None:
    view = MemoryView(LIBRARY)
    engine, truck = definition(view, "lib/core.py", "Engine"), definition(view, "truck.py", "Truck")
    assert [one.name for one in view.graph.bases_of(view, truck)] == ["Diesel", "Engine"]
    assert [one.name for one in view.graph.subclasses_of(view, engine)] == ["Diesel", "Truck"]


@pytest.mark.parametrize(
    ("path", "line", "name", "expected"),
    [
        ("lib/core.py", 8, "run", 5),  # where it is defined
        ("app.py", 4, "go", 5),  # where it is used, by another name
        ("lib/core.py", 1, "start", 3),
        ("lib/core.py", 2, "start", 3),  # somewhere within it
        ("lib/core.py", -1, "start", 4),  # all of that name in the file
    ],
)
def test_references_as_they_are_asked(path: str, line: int, name: str, expected: int) -> None:
    view = MemoryView(LIBRARY)
    answer = find_references(view, References("/project", name, 200, path, line))
    assert len(answer.references) == expected and not answer.note
    assert all(one.target_path == "lib/core.py" and one.target_line >= 0 for one in answer.references)


def test_references_by_name_say_what_each_means() -> None:
    view = MemoryView(LIBRARY)
    found = find_references(view, References("/project", "start")).references
    assert [(one.path, one.line) for one in found] == sorted((one.path, one.line) for one in found)
    assert all(bool(one.target_path) != bool(one.unresolved) for one in found)
    why = "`unknown` is not defined in this file"
    unresolved = [one for one in found if one.unresolved]
    assert unresolved == [Reference("other.py", "start", 4, 8, "call", unresolved=why)]
    assert len(find_references(view, References("/project", "start", 2)).references) == 2


def test_nothing_there_says_so() -> None:
    answer = find_references(MemoryView(LIBRARY), References("/project", "start", 10, "app.py", 0))
    assert not answer.references and "app.py:1" in answer.note


def test_second_class_languages_are_known_by_name_only() -> None:
    view = MemoryView({"a.rb": "def run\nend\nrun()\n"})
    edges = view.graph.edges_of(view, "a.rb")
    assert all(edge.target is None and "by name only" in edge.why for edge in edges)


def test_too_many_targets_are_counted_not_listed() -> None:
    text = (
        "class A {\n"
        + "".join(f"  void put(T{n} a) {{}}\n" for n in range(30))
        + "  void go() { put(1); }\n}\n"
    )
    view = MemoryView({"A.java": text})
    (edge,) = [edge for edge in view.graph.edges_of(view, "A.java") if edge.name == "put"]
    assert edge.target is None and edge.why.startswith("several: 30")
