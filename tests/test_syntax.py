"""Questions of syntax at a cursor, marked `|` in the texts."""

import pytest

from indexer.languages import parse
from indexer.syntax import (
    MAX_CHARACTERS,
    at_block_start,
    enclosing_span,
    has_new_error,
    identifiers_near,
)


def marked(text: str) -> tuple[str, int]:
    offset = text.index("|")
    return text[:offset] + text[offset + 1 :], offset


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "def f(a):|", True),
        ("python", "def f(a):  # why|", True),
        ("python", "def f(\n    a,\n) -> int:|", True),
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


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "alpha = beta + |gamma", ["beta", "alpha", "gamma"]),
        ("python", "above\nhere = |\nbelow\n", ["here", "above", "below"]),
        ("python", "one\ntwo\n|\nthree\nfour", ["two", "three", "one", "four"]),
        ("python", "for item in self.rows: # comment\n|", ["item", "rows"]),
        ("python", "say('words in a string', name)|", ["name", "say"]),
        ("python", "def f(((  größe = |", ["größe"]),
        ("javascript", "const total = a.price // note\n|", ["total", "price"]),
        ("javascript", "/* block words\n * more words\n */ code(|", ["code"]),
        ("rust", "fn get<'a>(key: &'a Key) -> Row {|", ["Row", "Key", "key", "get"]),
        ("java", 'String name = "x"; // y\n|', ["String", "name"]),
        ("go", "ctx, err := repo.Find(ctx)|", ["ctx", "Find", "repo", "err"]),
        (None, "any text|", ["text", "any"]),
        ("python", "|", []),
    ],
)
def test_identifiers_near(language: str | None, text: str, expected: list[str]) -> None:
    whole, offset = marked(text)
    line = whole.count("\n", 0, offset)
    character = offset - (whole.rfind("\n", 0, offset) + 1)
    assert identifiers_near(whole, line, character, 10, 10, language) == expected


def test_identifiers_near_keeps_to_its_lines() -> None:
    text = "\n".join(f"name{n}" for n in range(9))
    assert identifiers_near(text, 4, 0, 1, 2, "python") == ["name4", "name3", "name5", "name6"]
    assert identifiers_near(text, 99, 0, 0, 0, "python") == ["name8"]
    assert identifiers_near("", 0, 0, 5, 5, "python") == []


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("python", "x = 1\n@d\ndef f():\n    a = |1\n    return a\n", (1, 5)),
        ("python", "class A:\n    x = |1\n\n    def f(self):\n        pass\n", (0, 5)),
        ("python", "class A:\n    def f(self):\n        pa|ss\n", (1, 3)),
        ("python", "x = |1\n", None),
        ("python", "# größe 😀\ndef f():\n    a|\n", (1, 3)),
        ("javascript", "const f = (a) => {\n  a|;\n}\n", (0, 3)),
        ("go", "package a\nfunc f() {\n\tx|()\n}\n", (1, 4)),
        ("rust", "impl A {\n  fn f() {\n    x|\n  }\n}\n", (1, 4)),
        ("java", "class A {\n  void f() {\n   x|();\n  }\n}\n", (1, 4)),
        ("c", "int f() {\n  x|;\n}\n", (0, 3)),
        ("cpp", "class A {\n  int x|;\n};\n", (0, 3)),
        ("markdown", "a|", None),
    ],
)
def test_enclosing_span(language: str, text: str, expected: tuple[int, int] | None) -> None:
    assert enclosing_span(*marked(text), language) == expected


@pytest.mark.parametrize(
    ("language", "before", "after", "expected"),
    [
        ("python", "x = 1\n", "x = 2\n", False),
        ("python", "x = 1\n", "x = (\n", True),
        ("python", "def f(:\n", "def f(:\n    pass\n", False),
        ("python", "def f(:\n", "def f():\n    pass\n", False),
        ("c", "int f() { }", "int f() {", True),
        ("javascript", "f();\n", "f(;\n", True),
        ("typescript", "const a = 1", "const a: = 1", True),
        ("go", "package a\n", "package a\nfunc {\n", True),
        ("rust", "fn f() {}", "fn f( {}", True),
        ("java", "class A {}", "class A {", True),
        ("markdown", "a", "((((", False),
        (None, "a", "((((", False),
    ],
)
def test_has_new_error(language: str | None, before: str, after: str, expected: bool) -> None:
    assert has_new_error(before, after, language) is expected


def test_large_texts_get_the_careful_answer() -> None:
    text = "def f():\n" + "    x = (1\n" * (MAX_CHARACTERS // 8)
    assert not at_block_start(text, 8, "python")
    assert identifiers_near(text, 0, 8, 5, 5, "python") == []
    assert enclosing_span(text, 20, "python") is None
    assert not has_new_error("", text, "python")


def test_parsing_ends_in_time() -> None:
    text = "x = f(a, b)\n" * 80_000
    assert parse(text.encode(), "python", 0.001) is None
    assert enclosing_span(text, 10, "python") is None


@pytest.mark.parametrize("language", ["python", "javascript", "c", "rust"])
def test_deep_nesting(language: str) -> None:
    text = "{" * 5_000 + "(" * 5_000
    assert enclosing_span(text, 6_000, language) is None
    assert has_new_error("", text, language) in (True, False)
    assert at_block_start(text, 5_000, language) is False
