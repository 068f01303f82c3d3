"""Where a block begins: cursors are marked `|` in the texts."""

import pytest

from indexer.packing.syntax import MAX_CHARACTERS, at_block_start
from indexer.parsing.languages import parse


def marked(text: str) -> tuple[str, int]:
    offset = text.index("|")
    return text[:offset] + text[offset + 1 :], offset


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "def f(a):|", True),
        ("python", "def f(a):  # why|", True),
        ("python", "def f(\n    a,\n) -> int:|", True),
        ("python", "def f(a:|", False),
        ("python", "def f(a: list[int], b:|):", False),
        ("python", "if a[1:|", False),
        ("python", "def f(a):\n    |", True),
        ("python", "def f(a):\n    '''Doc.'''\n    |\n", True),
        ("python", "class A:\n    x = 1\n\n    |", True),
        ("python", "class A:\n    x = 1\n|\n    y = 2\n", True),
        ("python", "    x = 1\n|\ny = 2\n", False),
        ("python", "if x:\n    pass\nelse:|", True),
        ("python", "async with a as b:|", True),
        ("python", "x = {'a':|}", False),
        ("python", "x = lambda:|", False),
        ("python", "x = a[1:|", False),
        ("python", "x = |", False),
        ("python", "x = 1\n\n|", False),
        ("python", "def f(|):\n    pass", False),
        ("python", "|", False),
        ("python", "def f():| return 1", False),
        ("python", "def f():|\r\n    pass", True),
        ("javascript", "function f() {|", True),
        ("javascript", "function f() {|}", True),
        ("javascript", "g(() => {|});", True),
        ("javascript", "function f() {\n  |\n}", True),
        ("javascript", "function f() {\n  a();\n|\n}", True),
        ("javascript", "foo(|)", False),
        ("javascript", 'x = "{|', False),
        ("javascript", "// {|", False),
        ("c", "int main(void)\n{|\n}", True),
        ("c", "int main(void)\n{\n|\n}", True),
        ("go", "func f() {|}", True),
        ("rust", "fn f<'a>() -> u8 {|", True),
        ("java", "class A {|\n}", True),
        ("markdown", "text:|", False),
        (None, "{|", False),
    ],
)
def test_at_block_start(language: str | None, text: str, expected: bool) -> None:
    assert at_block_start(*marked(text), language) is expected


def test_large_texts_get_the_careful_answer() -> None:
    text = "def f():\n" + "    x = (1\n" * (MAX_CHARACTERS // 8)
    assert not at_block_start(text, 8, "python")


def test_parsing_ends_in_time() -> None:
    assert parse(b"x = f(a, b)\n" * 80_000, "python", 0.001) is None


@pytest.mark.parametrize("language", ["python", "javascript", "c", "rust"])
def test_deep_nesting(language: str) -> None:
    text = "{" * 5_000 + "(" * 5_000
    assert at_block_start(text, 5_000, language) is False
