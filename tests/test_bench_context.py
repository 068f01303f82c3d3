"""Cases of the context benchmark: cut so that nothing of the line is left, and only where it needs another file."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import msgspec
import pytest

from benchmarks.archives import HTTPX, Archive, ArchiveError, unpack
from benchmarks.context import go_cases, shown_figures, typescript_cases
from benchmarks.context.aider_map import fitting, sections_of
from benchmarks.context.answers import Answer, Answers, fingerprint
from benchmarks.context.bm25 import VENV as BM25_VENV
from benchmarks.context.bm25_child import STEP_LINES, WINDOW_LINES, windows, words
from benchmarks.context.case import Case, Kind, Needed, sample
from benchmarks.context.child import Child
from benchmarks.context.given import METHODS, Given, Method, checked, header_tokens, in_order
from benchmarks.context.python_cases import cases_of
from benchmarks.context.quality import in_turn, prompt_of, unanswered
from benchmarks.context.quality_figures import AT, By, bootstrap, curve, figures
from benchmarks.context.rounds import rounds
from benchmarks.context.session import language_of
from benchmarks.context.sources import ARCHIVES
from benchmarks.context.written import is_enough, written
from benchmarks.targets import TargetError
from engine.profiles import QWEN_SMALL
from engine.prompts import ContextSegment
from engine.tokens import EstimateTokenizer, ModelTokenizer
from engine.weights.tokenizer_file import ensure_tokenizer

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


TYPESCRIPT = {
    "src/index.ts": "export * from './shapes'\nexport { area as measured } from './measures'\n",
    "src/shapes.ts": (
        "export interface Shape { r: number }\n\n"
        "export function circle(r: number): Shape;\n"
        "export function circle(r: number, name: string): Shape;\n"
        "export function circle(r: number, name?: string): Shape {\n  return { r }\n}\n\n"
        "export default class Drawing {}\n"
    ),
    "src/measures.ts": "const area = (r: number) => r * r\nexport { area }\nexport const PI = 3\n",
    "src/uses.ts": (
        "import { measured, circle as round } from '.'\n"
        "import * as measures from './measures.js'\n"
        "import Drawing from './shapes'\n"
        "import { circle, Shape } from './shapes'\n"
        "import { readFileSync } from 'fs'\n"
        "\n"
        "const outside = measured(1000000)\n"
        "\n"
        "export function draw(count: number) {\n"
        "  // measured(2) in a comment\n"
        "  const first = measured(count)\n"
        "  const text = `of ${measured(3)}\n"
        "    two lines measured(4)`\n"
        "  let made: Shape = round(5)\n"
        "  const pi = measures.PI + count\n"
        "  return new Drawing(readFileSync, text)\n"
        "}\n"
        "\n"
        "export const hidden = (circle: number) => circle + 1000000\n"
    ),
    "src/uses.spec.ts": "import { circle } from './shapes'\nfunction it() {\n  return circle(1000000)\n}\n",
    "node_modules/x/index.ts": "import { circle } from '../../src'\nfunction it() {\n  circle(1000000)\n}\n",
}

GO = {
    "go.mod": "module example.org/made\n\ngo 1.21\n",
    "shapes/shapes.go": (
        "package shapes\n\ntype Shape struct{ Name string }\n\nfunc New(r int) *Shape { return &Shape{} }\n\n"
        "const (\n\tSmall = 1\n\tLarge = 2\n)\n"
    ),
    "shapes/twice_linux.go": "package shapes\n\nfunc Twice() {}\n",
    "shapes/twice_windows.go": "package shapes\n\nfunc Twice() {}\n",
    "shapes/shapes_test.go": "package shapes\n\nfunc helper() { _ = New(1000000) }\n",
    "draw/other.go": "package draw\n\nvar limit = 3\n\nfunc clamp(n int) int { return n }\n",
    "draw/draw.go": (
        'package draw\n\nimport (\n\t"fmt"\n\n\t"example.org/made/shapes"\n\tround "example.org/made/shapes"\n)\n\n'
        "var outside = clamp(1000000)\n\n"
        "func Draw(count int) *shapes.Shape {\n"
        "\tfmt.Println(clamp(count), 1)\n"
        "\tmade := shapes.New(count)\n"
        '\tother := round.Shape{Name: "limit"}\n'
        "\tsize := pair{limit: 1000000}\n"
        "\tshapes.Twice() // two of them\n"
        "\treturn made, other, size, shapes.Large\n"
        "}\n\n"
        "func hidden(clamp int) int {\n\treturn clamp + 1000000\n}\n"
    ),
}


@pytest.mark.parametrize(
    ("files", "cutter", "language", "expected"),
    [
        pytest.param(
            TYPESCRIPT,
            typescript_cases,
            "typescript",
            {
                "const first = measured(count)": ("src/measures.ts", "area", (0,)),
                # a name that is imported under another one, and a definition with several heads
                "let made: Shape = round(5)": ("src/shapes.ts", "Shape", (0,)),
                "const pi = measures.PI + count": ("src/measures.ts", "PI", (2,)),
                "return new Drawing(readFileSync, text)": ("src/shapes.ts", "Drawing", (8,)),
            },
            id="typescript",
        ),
        pytest.param(
            GO,
            go_cases,
            "go",
            {
                "fmt.Println(clamp(count), 1)": ("draw/other.go", "clamp", (4,)),
                "made := shapes.New(count)": ("shapes/shapes.go", "New", (4,)),
                'other := round.Shape{Name: "limit"}': ("shapes/shapes.go", "Shape", (2,)),
                "return made, other, size, shapes.Large": ("shapes/shapes.go", "Large", (8,)),
            },
            id="go",
        ),
    ],
)
def test_lines_of_other_languages(
    files: dict[str, str], cutter: object, language: str, expected: dict[str, object], tmp_path: Path
) -> None:
    for path, text in files.items():
        (tmp_path / "made" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / path).write_text(text)
    cases = list(cutter.cases_of(tmp_path / "made", "made"))  # type: ignore[attr-defined]
    assert {
        case.truth: (case.needed.path, case.needed.name, case.needed.heads) for case in cases if case.needed
    } == expected
    for case in cases:
        assert case.language == language and language_of(tmp_path / "made") == language
        assert case.before + case.truth + case.after == files[case.path]
    placed = [each for found in rounds(tmp_path / "made", cases, tmp_path / "scratch") for each in found]
    assert all(each.text.endswith(f"// {each.planted}\n") for each in placed) and len(placed) == len(cases)


def test_overloads_have_several_heads(tmp_path: Path) -> None:
    for path, text in {
        **TYPESCRIPT,
        "src/more.ts": "import {circle} from '.'\nfunction f() { return circle(12345) }\n",
    }.items():
        (tmp_path / "made" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "made" / path).write_text(text)
    needed = {case.path: case.needed for case in typescript_cases.cases_of(tmp_path / "made", "made")}[
        "src/more.ts"
    ]
    assert needed == Needed("src/shapes.ts", "circle", 2, 7, (3, 4))


def archived(folder: Path, name: str, members: dict[str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / name, "w:gz") as tar:
        for path, text in members.items():
            member = tarfile.TarInfo(path)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))


def test_of_an_archive_only_its_sources_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built from the sources has every line that is cut out of them."""
    import hashlib

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    kept = tmp_path / "cache" / "foreword" / "examples"
    members = {f"package/{path}": path for path in ("src/a.ts", "srcs/b.ts", "dist/a.js", "package.json")}
    archived(kept, "made-1.tgz", members)
    digest = hashlib.sha256((kept / "made-1.tgz").read_bytes()).hexdigest()
    folder = unpack(Archive("made", "1", digest, "npm", ("src", "package.json")), tmp_path / "out")
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert found == ["package.json", "src/a.ts"] and folder.name == "made-1"
    with pytest.raises(ArchiveError, match="it was deleted"):
        unpack(Archive("made", "1", "0" * 64, "npm"), tmp_path / "again")


@pytest.mark.parametrize(("registry", "client"), [("pypi", "pip"), ("npm", "npm")])
def test_an_archive_that_cannot_be_had_says_where_it_belongs(
    registry: str, client: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("npm_config_offline", "true")
    archive = Archive("foreword-no-such-package", "1", "0" * 64, registry)  # type: ignore[arg-type]
    with pytest.raises(ArchiveError, match=rf"could not be downloaded by {client}: .*{archive.file}"):
        unpack(archive, tmp_path / "out")


def test_every_source_is_held_by_a_hash_of_its_own() -> None:
    archives = [archive for of_language in ARCHIVES.values() for archive in of_language]
    assert all(len(archive.sha256) == 64 for archive in archives)
    assert len({archive.sha256 for archive in archives}) == len(archives)


# ---------------------------------------------------------------- what other methods give


def test_bm25_sees_identifiers_and_their_parts() -> None:
    assert words("def readHTTPBody(max_size=4):") == [
        *("def", "readhttpbody", "read", "http", "body", "max_size", "max", "size")
    ]


def test_windows_overlap_by_half_and_reach_the_end(tmp_path: Path) -> None:
    (tmp_path / "long.py").write_text("".join(f"name{number}\n" for number in range(45)))
    (tmp_path / "short.py").write_text("only\n")
    (tmp_path / "blank.py").write_text("\n" * 30)
    places, texts = windows(tmp_path, ["long.py", "short.py", "blank.py", "gone.py"])
    assert [start for path, start in places if path == "long.py"] == [
        0,
        STEP_LINES,
        2 * STEP_LINES,
        3 * STEP_LINES,
    ]
    assert ("short.py", 0) in places and not any(path == "blank.py" for path, _ in places)
    assert texts[0].count("name") == WINDOW_LINES and "name44" in texts[3]


MAP = """
pkg/a.py:
⋮
│class Circle:
│    def radius(self):
⋮

README.md

pkg/b.py:
│LIMIT = 3
"""


def test_a_map_of_aiders_as_segments() -> None:
    sections = sections_of(MAP)
    assert [(each.path, each.text) for each in sections] == [
        ("pkg/a.py", "⋮\nclass Circle:\n    def radius(self):\n⋮\n"),
        ("pkg/b.py", "LIMIT = 3\n"),
    ]
    tokenizer = EstimateTokenizer(1.0)  # a token a byte
    first = header_tokens("pkg/a.py", tokenizer) + tokenizer.count(sections[0].text)
    assert fitting(sections, first, tokenizer) == (sections[0],)
    assert fitting(sections, first - 1, tokenizer) == () and len(fitting(sections, 1000, tokenizer)) == 2


@pytest.mark.parametrize(
    ("path", "text", "tokens", "said"),
    [
        ("f1.py", "x\n", 5, "f1.py of bm25 is the case's own file"),
        ("copy.py", "x\n# planted1\n", 5, "copy.py of bm25"),
        ("o.py", "x\n", AT + 1, "4097 tokens of bm25"),
    ],
)
def test_no_method_may_give_the_cases_file_or_too_much(path: str, text: str, tokens: int, said: str) -> None:
    given = Given(a_case(1), "bm25", AT, (ContextSegment(path, text),), tokens)
    with pytest.raises(TargetError, match=said):
        checked(given, "planted1")
    fine = Given(a_case(1), "bm25", AT, (ContextSegment("o.py", "x\n"),), AT)
    assert checked(fine, "planted1") is fine


async def test_a_child_that_fails_says_its_last_words(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text("import sys\nsys.stdin.readline()\nprint('{}', flush=True)\nsys.exit('it broke')\n")
    with pytest.raises(TargetError, match="made ended: it broke"):
        async with Child.running(
            "made", Path(sys.executable), script, tmp_path, [], tmp_path / "log"
        ) as child:
            await child.ask({})


async def test_a_child_may_ask_back(tmp_path: Path) -> None:
    script = tmp_path / "child.py"
    script.write_text(
        "import json, sys\nsys.stdin.readline()\nprint('{}', flush=True)\nasked = json.loads(sys.stdin.readline())\n"
        "print(json.dumps({'count': asked['text']}), flush=True)\n"
        "print(json.dumps({'said': int(sys.stdin.readline())}), flush=True)\n"
    )
    async with Child.running("made", Path(sys.executable), script, tmp_path, [], tmp_path / "log") as child:
        assert await child.ask({"text": "four"}, len) == {"said": 4}


def test_the_requirements_of_bm25_hold_its_version() -> None:
    assert f"bm25s=={BM25_VENV.version} \\" in BM25_VENV.requirements.read_text()


# ---------------------------------------------------------------- what the model made of them


def a_case(number: int, kind: Kind = "import", repository: str = "r", truth: str = "x") -> Case:
    return Case(repository, kind, f"f{number}.py", 1, 0, "\n\n", truth)


def an_answer(case: Case, method: Method, nll: float, *, exact: bool = False, budget: int = AT) -> Answer:
    return Answer(
        repository=case.repository,
        kind=case.kind,
        language="python",
        case=case.name,
        method=method,
        budget=budget,
        fingerprint="",
        nll=nll,
        line_tokens=4,
        said=f"{case.truth}\n" if exact else "",
        ended=True,
        exact=exact,
        similarity=0.5,
        written="",
        reason="",
        truth=case.truth,
        prompt_tokens=10,
        cached_tokens=0,
        shown=False,
        seconds=0.1,
    )


def test_answers_are_found_again_the_last_of_each(tmp_path: Path) -> None:
    file = tmp_path / "new" / "answers.jsonl"
    kept = Answers(file)
    for nll in (1.0, 2.0):
        kept.add(an_answer(a_case(1), "none", nll))
    kept.add(an_answer(a_case(2), "bm25", 3.0))
    file.write_bytes(file.read_bytes() + b'{"repository": "r", "ki')  # killed while it wrote
    again = Answers(file)
    assert [answer.nll for answer in again.of([a_case(1)])] == [2.0]
    assert again.known(a_case(2), "bm25", AT) == kept.known(a_case(2), "bm25", AT)
    assert again.known(a_case(2), "aider", AT) is None and again.known(a_case(2), "bm25", 512) is None


def test_a_line_that_was_half_written_is_no_part_of_the_next(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    Answers(file).add(an_answer(a_case(1), "none", 1.0))
    file.write_bytes(file.read_bytes() + b'{"half')
    Answers(file).add(an_answer(a_case(2), "none", 2.0))
    assert len(Answers(file).of([a_case(1), a_case(2)])) == 2


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.jsonl").write_text('{"name": 1}\n')
    with pytest.raises(TargetError, match="does not hold answers"):
        Answers(tmp_path / "other.jsonl")


def test_what_is_asked_is_known_by_everything_that_decides_it() -> None:
    case = a_case(1)
    told = fingerprint("m", case, [1, 2])
    assert told == fingerprint("m", case, [1, 2])
    others = [
        ("n", case, [1, 2]),
        ("m", a_case(1, truth="y"), [1, 2]),
        ("m", case, [1, 3]),
        ("m", case, [258]),
    ]
    assert told not in {fingerprint(*each) for each in others}


def test_only_what_changed_is_asked_anew() -> None:
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(QWEN_SMALL))
    answers = Answers()
    given = [
        Given(a_case(number), "foreword", AT, (ContextSegment("o.py", "x = 1\n"),)) for number in range(2)
    ]
    waiting = unanswered(given, QWEN_SMALL, tokenizer, answers)
    assert [each.case for each, _ in waiting] == [each.case for each in given]
    for each, prompt in waiting:
        assert prompt.ids is not None
        told = fingerprint(QWEN_SMALL.short, each.case, prompt.ids)
        answers.add(msgspec.structs.replace(an_answer(each.case, "foreword", 1.0), fingerprint=told))
    assert unanswered(given, QWEN_SMALL, tokenizer, answers) == []
    changed = msgspec.structs.replace(given[1], segments=(ContextSegment("o.py", "x = 2\n"),))
    assert [each for each, _ in unanswered([given[0], changed], QWEN_SMALL, tokenizer, answers)] == [changed]


def test_methods_differ_in_their_segments_alone() -> None:
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(QWEN_SMALL))
    case = Case("r", "import", "f.py", 1, 4, "def f():\n    \n    return 1\n", "call(2)")
    texts = [
        prompt_of(Given(case, method, AT, segments), QWEN_SMALL, tokenizer).text
        for method, segments in (("none", ()), ("bm25", (ContextSegment("o.py", "def call(n): ...\n"),)))
    ]
    without, within = texts
    front, end = without.index("<|file_sep|>f.py"), len(without) - without.index("<|file_sep|>f.py")
    assert within == without[:front] + "<|file_sep|>o.py\ndef call(n): ...\n" + without[front:]
    assert "call(2)" not in within and within[-end:] == without[-end:]


@pytest.mark.parametrize(
    ("said", "ended", "line", "exact"),
    [
        ("    return call(1)\n    more()\n", False, "return call(1)", True),
        ("    return call(1)", True, "return call(1)", True),
        ("    return call(2)\n", True, "return call(2)", False),
        ("", True, "", False),
    ],
)
def test_what_was_said_is_trimmed_as_the_product_does(said: str, ended: bool, line: str, exact: bool) -> None:
    case = Case("r", "import", "f.py", 1, 4, "def f():\n    \n\n\nx = 1\n", "return call(1)")
    shown = written(case, said, ended=ended)
    assert (shown.line, shown.exact, bool(shown.reason)) == (line, exact, not line)
    assert (shown.similarity == 1.0) == exact and (shown.similarity > 0.9) == bool(line)


def test_a_line_and_the_next_one_are_enough() -> None:
    for said in ("", "    return 1", "\n\n    return 1\n", "    return 1\n    x = "):
        assert not is_enough(said)
    assert is_enough("    return 1\n    x = 1\n    y")


def test_half_a_run_has_something_of_everything() -> None:
    given = [
        Given(a_case(number, kind, repository), method, AT)
        for repository in ("a", "b")
        for kind in ("import", "random")
        for number in range(3)
        for method in METHODS
    ]
    turned = list(in_turn(given))
    assert sorted(map(repr, turned)) == sorted(map(repr, given))
    first = turned[: 4 * len(METHODS)]
    assert {(each.case.repository, each.case.kind) for each in first} == {
        (repository, kind) for repository in "ab" for kind in ("import", "random")
    }
    assert {each.method for each in turned[: len(METHODS)]} == set(METHODS)


def test_every_method_comes_to_the_same_cases_first() -> None:
    cases = [a_case(number) for number in (3, 1, 2)]
    mixed = [Given(cases[number], "foreword", AT) for number in (2, 0, 1)]
    assert [each.case for each in in_order(mixed, cases)] == cases


def test_gains_are_ours_minus_theirs_over_the_same_cases() -> None:
    answers: list[Answer] = []
    for number, (repository, ours, theirs) in enumerate(
        [("a", 1.0, 2.0), ("a", 1.0, 1.5), ("b", 1.0, 0.9), ("b", 1.0, 1.05)]
    ):
        case = a_case(number, repository=repository)
        answers += [
            an_answer(case, "foreword", ours, exact=number < 3),
            an_answer(case, "none", theirs, exact=number == 1),
        ]
    answers.append(an_answer(a_case(9), "none", 100.0))  # ours was not asked about it
    answers.append(an_answer(a_case(0, repository="a"), "foreword", 50.0, budget=512))
    told = {figure.name: figure for figure in figures(answers)}
    gain = told["nll_gain_none"]
    assert gain.value == pytest.approx(-0.3625) and gain.n == 4
    # of two repositories either one may be drawn twice: the interval reaches from the one mean to the other
    assert (gain.min, gain.max) == (pytest.approx(-0.75), pytest.approx(0.025))
    assert told["em_ratio"].value == 3.0 and told["nll_none_import"].n == 5
    assert told["hurt_over_helped"].value == 0.0, "0.1 is not over 0.1, and 2 were helped"
    assert "em_gain_random" not in told and "nll_gain_bm25" not in told, "nothing of them was asked"


def test_random_lines_have_a_gain_of_their_own() -> None:
    answers = [
        an_answer(a_case(number, "random", "r"), method, 1.0, exact=(method == "foreword") == (number < 3))
        for number in range(4)
        for method in ("none", "foreword")
    ]
    told = {figure.name: figure for figure in figures(answers)}
    assert told["em_gain_random"].value == pytest.approx(0.5) and "em_ratio" not in told


def test_the_interval_is_the_same_again_and_none_where_nothing_can_be_said() -> None:
    cases: list[By] = [
        {"none": an_answer(a_case(number, repository=f"r{number % 4}"), "none", float(number % 4))}
        for number in range(40)
    ]

    def mean(drawn: object) -> float:
        return sum(case["none"].nll for case in drawn) / len(list(drawn))  # type: ignore[attr-defined,call-overload]

    low, high = bootstrap(cases, mean) or (0.0, 0.0)
    assert (low, high) == bootstrap(cases, mean) and 0.0 <= low < 1.5 < high <= 3.0
    assert bootstrap(cases, lambda _: None) is None


def test_a_curve_is_of_the_cases_that_were_asked_at_every_budget() -> None:
    budgets = (512, 4096)
    answers = [
        an_answer(a_case(number), "foreword", float(number), exact=True, budget=budget)
        for number, asked in ((1, budgets), (2, (512,)))
        for budget in asked
    ]
    told = {figure.name: figure for figure in curve(answers, budgets)}
    assert told["nll_at_512"].value == 1.0 and told["nll_at_512"].n == told["em_at_4096"].n == 1


def test_shown_has_a_name_for_each_method_budget_and_language() -> None:
    given = [
        Given(
            Case(repository, kind, f"f{number}{ending}", 1, 0, "\n\n", "x", Needed("o", "n", 1, 2)),
            method,
            1024,
            shown=number % 2 == 0,
            seconds=0.1,
        )
        for method in ("foreword", "aider")
        for repository, kind, ending in (
            ("r", "import", ".py"),
            ("r", "member", ".py"),
            ("t", "import", ".ts"),
            ("g", "import", ".go"),
        )
        for number in range(4)
    ]
    told = {figure.name: figure for figure in shown_figures.figures(given)}
    for prefix in ("", "aider_"):
        for ending in ("", "_member", "_ts", "_go"):
            figure = told[f"{prefix}shown_1024{ending}"]
            assert figure.value == 0.5 and figure.n == 4
    assert {"pack_p95_s_r", "aider_p95_s_t"} <= set(told)


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


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--only", "all", "takes shown"), ("--methods", "tags", "takes none"), ("--kinds", "x", "takes import")],
)
def test_names_that_are_not_known_are_refused(option: str, value: str, said: str) -> None:
    ended = subprocess.run(
        [FOREWORD, "bench", "context", option, value], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.returncode == 2 and said in " ".join(ended.stderr.split())


@pytest.mark.engine
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_model_is_asked_once(engine_home, tmp_path: Path) -> None:
    """A second run finds the answers of the first, and starts no engine."""
    results = tmp_path / "answers.jsonl"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [FOREWORD, "bench", "context", "--quick", "--no-vectors", "--only", "quality", "--json"]
    command += ["--methods", "none,foreword", "--kinds", "import", "--results", str(results)]
    said: list[dict[str, object]] = []
    for _ in range(2):
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert ended.returncode == 0, ended.stderr
        said.append(json.loads(ended.stdout))
    figures = [{figure["name"]: figure for figure in document["figures"]} for document in said]  # type: ignore[attr-defined]
    assert figures[0] == figures[1] and figures[0]["nll_gain_none"]["n"] == 1
    assert len(results.read_text().splitlines()) == 2
    assert "host" in said[0]["machine"] and "host" not in said[1]["machine"]  # type: ignore[operator]
    unpacked = unpack(HTTPX, tmp_path / "sources")
    answers = [json.loads(line) for line in results.read_text().splitlines()]
    truths = {case.name: case.truth for case in cases_of(unpacked, "httpx", "import")}
    for answer in answers:
        assert truths[answer["case"]] == answer["truth"] and answer["nll"] > 0
        assert answer["exact"] == (answer["written"] == answer["truth"]) and answer["line_tokens"] > 2
