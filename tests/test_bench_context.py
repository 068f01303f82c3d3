"""Cases of the context benchmark: cut so that nothing of the line is left, and only where it needs another file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.context.case import Case, sample
from benchmarks.context.python_cases import cases_of
from benchmarks.context.rounds import rounds

FOREWORD = str(Path(sys.executable).with_name("foreword"))

FILES = {
    "pkg/__init__.py": "from .shapes import Circle\n",
    "pkg/base.py": "class Shape:\n    def area_of_it(self):\n        return 0\n",
    "pkg/shapes.py": (
        "from .base import Shape\n\n\n"
        "class Circle(Shape):\n    @property\n    def radius(self):\n        return self._r\n\n\n"
        "def unit_circle() -> Circle:\n    return Circle(1)\n"
    ),
    "pkg/uses.py": (
        "import os\n"
        "from pkg import Circle\n"
        "from .shapes import unit_circle as unit, Circle as Round\n"
        "from . import shapes\n"
        "\n"
        "\n"
        "def draw(shape: Round, other=None):\n"
        '    """A docstring that says\n'
        "    first = Circle(2, 3) and is none.\n"
        '    """\n'
        "    first = Circle(2, 3)\n"
        "    second = unit() or os.getcwd()\n"
        "    third = shapes.Circle(first)\n"
        "    total = shape.area_of_it() + second\n"
        "    Circle = other\n"
        "    return [first, third, total, Circle]\n"
        "\n"
        "\n"
        "def hidden(Circle):\n"
        "    return Circle(1000000)\n"
        "\n"
        "\n"
        "def plain():\n"
        "    made = Circle(radius=3)\n"
        "    return made.area_of_it()\n"
    ),
    "tests/test_uses.py": "from pkg import Circle\n\n\ndef test_it():\n    assert Circle(12345)\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / "made" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / path).write_text(text)
    return tmp_path / "made"


def found(repository: Path, kind: str) -> dict[str, tuple[str, str, int] | None]:
    return {
        case.truth: (case.needed.path, case.needed.name, case.needed.line) if case.needed else None
        for case in cases_of(repository, "made", kind)  # type: ignore[arg-type]
        if case.path == "pkg/uses.py"
    }


def test_lines_that_use_what_another_file_defines(repository: Path) -> None:
    assert found(repository, "import") == {
        # `Circle` is a local name all over `draw`, since it is assigned there
        "second = unit() or os.getcwd()": ("pkg/shapes.py", "unit_circle", 9),
        "third = shapes.Circle(first)": ("pkg/shapes.py", "Circle", 3),
        "made = Circle(radius=3)": ("pkg/shapes.py", "Circle", 3),
    }


def test_members_are_found_through_annotations_constructors_and_bases(repository: Path) -> None:
    assert found(repository, "member") == {
        "total = shape.area_of_it() + second": ("pkg/base.py", "area_of_it", 1),
        "return made.area_of_it()": ("pkg/base.py", "area_of_it", 1),
    }


def test_without_its_import_the_name_is_nowhere_above(repository: Path) -> None:
    cases = {
        case.truth: case for case in cases_of(repository, "made", "noimport") if case.path == "pkg/uses.py"
    }
    assert set(cases) == {
        "second = unit() or os.getcwd()",
        "third = shapes.Circle(first)",
        "made = Circle(radius=3)",
    }
    case = cases["second = unit() or os.getcwd()"]
    lines = case.text.splitlines()
    assert lines[2] == "from .shapes import Circle as Round", "the other name of the statement stays"
    assert lines[case.line] == "    "
    case = cases["made = Circle(radius=3)"]
    assert not any("import" in line and "Circle" in line for line in case.text.splitlines())
    assert case.text.splitlines()[case.line - 1] == "def plain():"


def test_of_the_line_only_the_indentation_is_left(repository: Path) -> None:
    for kind in ("import", "noimport", "member", "random"):
        for case in cases_of(repository, "made", kind):  # type: ignore[arg-type]
            assert case.text.splitlines()[case.line] == " " * case.column
            if kind != "noimport":
                lines = case.text.splitlines()
                lines[case.line] += case.truth
                assert "\n".join(lines) + "\n" == FILES[case.path]


def test_a_sample_is_the_same_again_and_of_each_definition_a_few() -> None:
    from benchmarks.context.case import MOST_PER_SYMBOL, Needed

    cases = [
        Case("r", "import", f"f{number}.py", 1, 0, "", "x", Needed("o.py", f"n{number % 3}", 1, 2))
        for number in range(30)
    ]
    taken = sample(cases, 20, seed=0)
    assert taken == sample(reversed(cases), 20, seed=0) and len(taken) == 3 * MOST_PER_SYMBOL
    assert taken != sample(cases, 20, seed=1)


def test_rounds_hold_each_case_once_and_never_the_line(repository: Path, tmp_path: Path) -> None:
    cases = [case for kind in ("import", "member") for case in cases_of(repository, "made", kind)]  # type: ignore[arg-type]
    seen: list[str] = []
    for placed in rounds(repository, cases, tmp_path / "scratch"):
        assert len({each.case.path for each in placed}) == len(placed)
        for each in placed:
            on_disk = each.path.read_text()
            assert on_disk == each.text and each.planted in on_disk
            assert on_disk.count(each.case.truth) == FILES[each.case.path].count(each.case.truth) - 1
            seen.append(each.case.name)
    assert sorted(seen) == sorted(case.name for case in cases)
    assert not any((tmp_path / "scratch").iterdir())


def test_a_quick_run_really_runs(tmp_path: Path) -> None:
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "TMPDIR": str(tmp_path)}
    ended = subprocess.run(
        [FOREWORD, "bench", "context", "--quick", "--no-vectors", "--budgets", "1024", "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    figures = {figure["name"]: figure for figure in document["figures"]}
    assert {"shown_1024", "shown_1024_noimport", "shown_1024_member", "pack_p95_s_httpx"} <= set(figures)
    assert figures["shown_1024"]["n"] == document["machine"]["cases"]["httpx import"] > 0
    assert 0.5 <= figures["shown_1024"]["value"] <= 1
    assert list(tmp_path.glob("foreword-bench-*")) == []


def test_budgets_that_are_no_numbers_are_refused() -> None:
    ended = subprocess.run(
        [FOREWORD, "bench", "context", "--budgets", "many"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2 and "numbers of tokens" in ended.stderr
