"""Chunks follow definitions, cover every line that says something, and are segments."""

import sysconfig
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.parsing.chunks import MAX_LINES, Chunk, chunks
from indexer.parsing.lines import segment_text, split_lines, trim_span
from indexer.parsing.tags import tags


def cut(text: str, language: str | None) -> list[Chunk]:
    return chunks(text, tags(text, language).definitions, language)


def show(chunk: Chunk) -> str:
    return f"{chunk.start_line + 1}-{chunk.end_line} {chunk.kind} {chunk.symbol or '-'}"


BIG_FUNCTION = "def big():\n" + "    a = 1\n    b = 2\n\n" * 40
BIG_WITH_INNER = "def big():\n" + "    a = 1\n" * 30 + "    def inner():\n        pass\n" + "    b = 2\n" * 40


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "", []),
        ("python", "\n\n  \n", []),
        ("python", "import a\nimport b\n\nx = 1\n", ["1-2 code -", "4-4 constant x"]),
        (
            "python",
            '"""Doc."""\n\n# why\n@d\ndef f():\n    pass\n\nprint(f)\n',
            ["1-1 code -", "3-6 function f", "8-8 code -"],
        ),
        (
            "python",
            'class A:\n    """Doc."""\n    x: int\n\n    def m(self):\n        pass\n\n    y = 1\n',
            ["1-3 class A", "5-6 method m", "8-8 class A"],
        ),
        ("python", "class A:\n    x: int\n    y: int\n", ["1-3 class A"]),
        (
            "python",
            "def f():\n    def g():\n        pass\n    return g\n",
            ["1-4 function f", "2-3 function g"],
        ),
        (
            "python",
            BIG_WITH_INNER,
            ["1-31 function big", "32-33 function inner", "34-73 function big"],
        ),
        (
            "c",
            "#include <a.h>\n\n/* Doc\n * more */\nint f() {\n}\nint g() { }\n",
            ["1-1 code -", "3-6 function f", "7-7 function g"],
        ),
        (
            "typescript",
            "class A {\n  m() {\n  }\n}\n\nexport const b = () => {\n  c();\n}\n",
            ["1-1 class A", "2-3 method m", "6-8 function b"],
        ),
        ("rust", "#[derive(A)]\nstruct P {\n}\n", ["1-3 struct P"]),
        ("javascript", "function a(){} function b(){}\n", ["1-1 function a"]),
        ("markdown", "# A\n\ntext\n", ["1-3 text -"]),
        (None, "line\r\nother\r\n", ["1-2 text -"]),
        ("python", "x = (\n", ["1-1 code -"]),
    ],
)
def test_where_chunks_begin_and_end(language: str | None, text: str, expected: list[str]) -> None:
    assert [show(chunk) for chunk in cut(text, language)] == expected


def test_long_functions_are_cut_at_blank_lines() -> None:
    found = cut(BIG_FUNCTION, "python")
    assert len(found) == 3
    assert {chunk.symbol for chunk in found} == {"big"}
    assert [chunk.definition for chunk in found] == [0, None, None]
    assert all(chunk.end_line - chunk.start_line <= MAX_LINES for chunk in found)
    assert all(chunk.text.endswith("b = 2\n") for chunk in found)


def test_long_prose_is_cut_before_what_is_indented_least() -> None:
    text = ("Head\n\n" + "    code\n\n" * 20) * 4
    found = cut(text, "markdown")
    assert all(chunk.text.startswith("Head") for chunk in found)


def test_prose_without_blank_lines_is_cut_all_the_same() -> None:
    found = cut("word\n" * 150, "plaintext")
    assert [(chunk.start_line, chunk.end_line) for chunk in found] == [(0, 60), (60, 120), (120, 150)]


def test_nothing_of_the_standard_library_is_lost() -> None:
    folder = Path(sysconfig.get_path("stdlib"))
    for path in sorted(folder.glob("*.py"))[::8]:
        text = path.read_text("utf-8")
        definitions = tags(text, "python").definitions
        found = chunks(text, definitions, "python")
        assert_covered(text, found)
        firsts = [chunk.definition for chunk in found if chunk.definition is not None]
        assert sorted(firsts) == list(range(len(definitions))), path
        for chunk in found:
            if chunk.definition is not None:
                assert chunk.symbol == definitions[chunk.definition].name
                assert chunk.start_line <= definitions[chunk.definition].start_line


def test_deep_nesting() -> None:
    text = "mod a {\n" * 5000 + "}\n" * 5000
    assert len(cut(text, "rust")) == 5000


def assert_covered(text: str, found: list[Chunk]) -> None:
    lines = split_lines(text)
    covered = {line for chunk in found for line in range(chunk.start_line, chunk.end_line)}
    missing = [n for n, line in enumerate(lines) if any(map(str.isalnum, line)) and n not in covered]
    assert missing == []
    for chunk in found:
        assert chunk.end_line - chunk.start_line <= MAX_LINES
        assert chunk.text == "".join(line + "\n" for line in lines[chunk.start_line : chunk.end_line])
        assert chunk.text.split("\n", 1)[0].strip()
        assert chunk.text.endswith("\n") and not chunk.text.endswith("\n\n")


PIECES = [
    "def f():",
    "    pass",
    "class A:",
    "    def m(self):",
    "        x",
    "",
    "# c",
    "@d",
    "x = 1",
    "}",
    "  ",
    "é(",
]


@given(st.lists(st.sampled_from(PIECES), max_size=150), st.sampled_from(["python", "c", "rust", None]))
def test_any_lines_are_covered_by_segments(lines: list[str], language: str | None) -> None:
    text = "\n".join(lines)
    assert_covered(text, cut(text, language))


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", []),
        ("a", ["a"]),
        ("a\n", ["a"]),
        ("a\n\n", ["a", ""]),
        ("a\r\nb\r\n", ["a", "b"]),
        ("\n", [""]),
        ("a\x0cb\u2028c\n", ["a\x0cb\u2028c"]),
    ],
)
def test_split_lines(text: str, lines: list[str]) -> None:
    assert split_lines(text) == lines


@pytest.mark.parametrize(
    ("start", "end", "span", "text"),
    [
        (0, 5, (1, 4), "a\n \nb\n"),
        (0, 1, (1, 1), ""),
        (2, 3, (3, 3), ""),
        (3, 99, (3, 4), "b\n"),
        (4, 2, (4, 2), ""),
    ],
)
def test_segments(start: int, end: int, span: tuple[int, int], text: str) -> None:
    lines = ["", "a", " ", "b", "\t"]
    assert trim_span(lines, start, end) == span
    assert segment_text(lines, start, end) == text
