"""What trimming asks about syntax: what is open at a cursor, what adds an error, where blocks belong."""

from __future__ import annotations

import pytest
from trim_table import Case, cases

from indexer.packing.lexical import REACH_CHARACTERS, Around, around
from indexer.packing.soundness import AFTER_CHARACTERS, BEFORE_CHARACTERS, Soundness
from indexer.packing.syntax import at_block_start
from indexer.parsing.languages import GRAMMARS

CURSOR = "▮"


def at(marked: str, language: str) -> Around:
    before, after = marked.split(CURSOR)
    return around(before, after, language)


def soundness(marked: str, language: str) -> Soundness:
    before, after = marked.split(CURSOR)
    return Soundness(before, after, language, around(before, after, language))


@pytest.mark.parametrize(
    ("language", "marked", "opened", "unclosed"),
    [
        ("python", "f(g(▮)\n", "((", "("),
        ("python", "f(g(▮))\n", "((", ""),
        ("python", "x = '(' + f(▮", "(", "("),
        ("python", '"""(\n"""\nf(▮', "(", "("),
        ("python", "# (\nf[▮", "[", "["),
        ("javascript", "function f() {\n  g(▮\n}\n", "{(", "("),
        ("javascript", "const m = /[(]/.test(▮)", "(", ""),
        ("javascript", "`${(`; f(▮)", "(", ""),
        ("javascript", "a = b / (c) / d; f(▮", "(", "("),
        ("rust", "fn f<'a>(x: &'a str) { g('(', ▮", "{(", "{("),
        ("shellscript", 'echo "$#" "${#x}" (▮', "(", "("),
        ("go", "x := `(` + f(▮)", "(", ""),
        ("c", "/* ( */ f(▮) // )", "(", ""),
        ("java", 'String s = """\n  ("\n  """ + f(▮)', "(", ""),
        ("lua", "-- (\n--[[ (\n]] f(▮)", "(", ""),
    ],
)
def test_brackets_that_are_open(language: str, marked: str, opened: str, unclosed: str) -> None:
    found = at(marked, language)
    assert ("".join(found.open), "".join(found.unclosed)) == (opened, unclosed)


def test_brackets_that_only_what_follows_closes() -> None:
    assert at("x = [▮\n  a), f(b)]\n)\n", "python").surplus == (")", ")")
    assert at("x = [▮]\n", "python").surplus == ()


@pytest.mark.parametrize(
    ("language", "marked", "inside"),
    [
        ("python", "x = '▮'", "'"),
        ("python", "x = ''▮", ""),
        ("python", 'def f():\n    """a\n    ▮\n    """\n', '"""'),
        ("python", "x = 1  # it's ▮", "#"),
        ("python", "x = 'it\n▮", ""),
        ("javascript", "`a ${▮}`", "`"),
        ("javascript", "/* a\n ▮ */", "/*"),
        ("javascript", "// a\n▮", ""),
        ("rust", "fn f<'a>(▮", ""),
        ("shellscript", "cat <<E\nit's\nE\necho ▮\n", ""),
        ("ruby", "x = 'a▮", "'"),
        ("sql", "-- a▮", "--"),
    ],
)
def test_strings_and_comments(language: str, marked: str, inside: str) -> None:
    assert at(marked, language).inside == inside


@pytest.mark.parametrize("language", [*GRAMMARS, "sql", "yaml", "css", "nothing known"])
def test_every_language_is_gone_over(language: str) -> None:
    assert at('f("a", ▮)', language).open == ("(",)


def test_what_is_far_before_is_left_out() -> None:
    far = at("f(\n" + "x = 1\n" * REACH_CHARACTERS + "g(▮)", "python")
    assert (far.open, far.whole) == (("(",), False)


@pytest.mark.parametrize(
    ("language", "marked", "text", "error"),
    [
        ("python", "x = ▮\n", "1", False),
        ("python", "x = ▮\n", "f(a", False),
        ("python", "x = ▮\n", "f(a))", True),
        ("python", "x = ▮\n", "1 y = 2", True),
        ("python", "x = ▮\n", "a if b", False),
        ("python", "def f():\n    ▮\n", "@cached", False),
        ("python", "def f():\n    ▮\n", "try:\n        g()", False),
        ("python", "def f():\n    ▮\n", "for x in y:", False),
        ("python", "x = = 1\ny = ▮\n", "1 1", False),
        ("python", "# ▮\n", "it's (", False),
        ("javascript", "function f() {\n  ▮\n}\n", "if (a) {", False),
        ("javascript", "function f() {\n  ▮\n}\n", "try {\n    g()", False),
        ("javascript", "function f() {\n  ▮\n}\n", "return a b", True),
        ("javascript", "function f() {\n  ▮\n", "return a;\n}", False),
        ("go", "func f() {\n\t▮\n}\n", "x := := 2", True),
        ("rust", "fn f() {\n    ▮\n}\n", "let x = = 1;", True),
        ("rust", "fn f() {\n    ▮\n}\n", "match a {", False),
        ("java", "class A {\n    ▮\n}\n", "@Override", False),
        ("java", "class A {\n    ▮\n}\n", "int x y;", True),
        ("c", "int f(void) {\n    ▮\n}\n", "int = 3;", True),
        ("c", "int f(void) {\n    ▮\n}\n", "for (int i = 0; i < 3; i++) {", False),
        ("cpp", "int f(int a▮) {\n}\n", ", int b", False),
        ("ruby", "def f\n  ▮\nend\n", "xs.each do |x|", False),
        ("ruby", "def f\n  ▮\nend\n", "x = = 3", True),
        ("shellscript", "f() {\n  ▮\n}\n", "if [ a ]; then", False),
        ("php", "x▮", "= = =", False),
        ("markdown", "▮", "= ) =", False),
    ],
)
def test_what_adds_an_error(language: str, marked: str, text: str, error: bool) -> None:
    assert soundness(marked, language).adds_error(text) is error


@pytest.mark.parametrize(
    ("text", "whole"),
    [("return a;", True), ("if (a) {", False), ("if (a) {\n  b();\n}", True), ("a b", False)],
)
def test_what_is_whole(text: str, whole: bool) -> None:
    assert soundness("function f() {\n  ▮\n}\n", "javascript").is_whole(text) is whole


@pytest.mark.parametrize("case", cases(), ids=lambda case: case.name)
def test_a_text_is_judged_alike_alone_and_after_others(case: Case) -> None:
    """What surrounds the cursor is parsed once, and each text from the tree of another one."""
    marked, written = case.document, case.writes
    ends = sorted({1, len(written) // 3, len(written) // 2, len(written) - 1, len(written)})
    texts = [*(written[:end] for end in ends), f"{written})", "= = é", written]
    replaced = [0, 1, 0, 2, 0, len(marked), 0, 0]
    shared = soundness(marked, case.language)
    for text, count in zip(texts, replaced, strict=False):
        alone = soundness(marked, case.language)
        assert shared.adds_error(text, count) is alone.adds_error(text, count)
        assert shared.is_whole(text, count) is soundness(marked, case.language).is_whole(text, count)


def test_errors_out_of_reach_do_not_matter() -> None:
    wrong, fine = "x = = 1\n\n", "def g():\n    pass\n\n\n"
    before, after = BEFORE_CHARACTERS // len(fine) + 2, AFTER_CHARACTERS // len(fine) + 2
    judge = soundness(f"{wrong}{fine * before}x = ▮\n\n{fine * after}{wrong}", "python")
    assert judge.judges
    assert judge.adds_error("1 1")


def test_deep_nesting_is_not_judged_for_long() -> None:
    assert soundness("(" * 3_000 + "▮" + "{" * 2_000, "javascript").adds_error("a b") is False


@pytest.mark.parametrize(
    ("language", "marked", "block"),
    [
        ("ruby", "xs.each do |x|▮\nend\n", True),
        ("ruby", "def f(a)▮\nend\n", True),
        ("ruby", "if a▮\nend\n", False),
        ("shellscript", "for f in *; do▮\ndone\n", True),
        ("shellscript", "echo do it▮\n", False),
        ("lua", "if a then▮\nend\n", True),
        ("lua", "local function f(a)▮\nend\n", True),
        ("lua", "print(f(a)▮\n", False),
        ("python", 'def f():\n    """Doc.\n\n    ▮\n    """\n', False),
        ("javascript", "/*\n  ▮\n*/\n", False),
        ("c", "int a[] = {▮};\n", False),
        ("javascript", "f({▮});\n", False),
        ("go", "if a { ▮ }\n", False),
        ("javascript", "const f = () => {▮}\n", True),
    ],
)
def test_where_a_block_belongs(language: str, marked: str, block: bool) -> None:
    assert at_block_start(marked.replace(CURSOR, ""), marked.index(CURSOR), language) is block
