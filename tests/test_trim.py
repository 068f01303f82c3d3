"""Where a completion ends: documents with `▮` at the cursor, what a model writes, what is kept."""

from __future__ import annotations

import time
from typing import NamedTuple

import pytest

from lsp.near import REACH_CHARS, Near, near
from lsp.trim import Decision, Place, Trimmer

CURSOR = "▮"
TOKENS = 20
TOKEN_LIMIT_S = 0.005
"""Of the event loop's time; far more than is needed, far less than it was."""


class Case(NamedTuple):
    name: str
    language: str
    document: str
    written: str
    text: str
    block: bool = False
    replaced: int = 0
    why: str = ""
    max_lines: int = 40


def line(
    name: str, language: str, document: str, written: str, text: str, *, replaced: int = 0, why: str = ""
) -> Case:
    return Case(name, language, document, written, text, False, replaced, why)


def block(
    name: str, language: str, document: str, written: str, text: str, *, why: str = "", max_lines: int = 40
) -> Case:
    return Case(name, language, document, written, text, True, 0, why, max_lines)


LINES = [
    line("ends at the line break", "python", "x = ▮\n", "1\ny = 2\n", "1"),
    line("whole text without a line break", "python", "x = ▮", "compute(1)", "compute(1)"),
    line("trailing blanks go", "python", "x = ▮\n", "1   \n", "1"),
    line("a blank before the cursor is not doubled", "python", "return ▮\n", " a + b\n", "a + b"),
    line("a missing blank is not invented", "python", "return▮\n", " a + b\n", " a + b"),
    line("two blanks before the cursor", "python", "x =  ▮\n", " 1\n", "1"),
    line("closing bracket is there already", "python", "print(▮)\n", "value)\nprint(2)", "value"),
    line("own brackets stay", "python", "print(▮)\n", "str(value)\n", "str(value)"),
    line("two closers are there", "python", "print(str(▮))\n", "value))\n", "value"),
    line("one of two closers is there", "typescript", "foo(bar(▮)\n", "x));\n", "x));", replaced=1),
    line(
        "text goes on after the bracket that is there",
        "python",
        "def f(▮)\n",
        "self, x):\n",
        "self, x):",
        replaced=1,
    ),
    line("colon and bracket are there", "python", "def f(▮):\n", "self, x):\n", "self, x"),
    line("closing quote is there", "python", 'name = "▮"\n', 'Ada"\n', "Ada"),
    line("closing quote and bracket are there", "python", 'open("▮")\n', 'a.txt")\n', "a.txt"),
    line("text goes on after the quote", "python", 'd["▮"\n', 'key"] = 1\n', 'key"] = 1', replaced=1),
    line("bracket in a string is no closer", "go", "f(▮)\n", '")")\n', '")"'),
    line("semicolon is there", "java", "int x = ▮;\n", "compute();\n", "compute()"),
    line("shared words at the end", "python", "total = ▮ + offset\n", "base + offset\n", "base"),
    line("a short shared end is chance", "python", "f(▮xy, z)\n", "a, x\n", "a, x"),
    line("complete line", "python", "x = 1▮\n", "\ny = 2\n", "", why="complete"),
    line("the line below again", "python", "a = 1\n▮\nb = 2\n", "b = 2\n", "", why="line below"),
    line("blank line: leading blank lines go", "python", "import os\n▮\n", "\n\nimport sys\n", "import sys"),
    line(
        "blank line: indentation is not doubled",
        "python",
        "def f():\n    a = 1\n    ▮\n",
        "    b = 2\n",
        "b = 2",
    ),
    line("the line's beginning again", "python", "result = compute(▮)\n", "result = compute(1, 2)\n", "1, 2"),
    line("control token ends it", "python", "x = ▮", "1<|endoftext|>junk", "1"),
    line("file separator ends it", "python", "x = ▮", "1<|file_sep|>other.py\n", "1"),
    line("nothing but a control token", "python", "x = ▮", "<|im_end|>", "", why="nothing to add|complete"),
    line("code fence", "python", "x = ▮", "```python\n1\n```\n", "1"),
    line("talk, then a fence", "python", "x = ▮", "Here is the completed code:\n\n```python\n1\n```\n", "1"),
    line("talk only", "python", "x = ▮", "Here is the completed code:\n", "", why="no code"),
    line("fences are text in Markdown", "markdown", "▮\n", "```sh\nmake\n```\n", "```sh"),
    line("a comment that talks", "python", "# ▮\n", "The result is cached\n", "The result is cached"),
    line("a line in circles", "python", "x = [▮", "a.b, " * 30, "", why="repeats itself"),
    line("a rule is no circle", "python", "# ▮\n", "-" * 80 + "\n", "-" * 80),
    line(
        "a table of zeros is no circle",
        "c",
        "int a[] = {▮};\n",
        "0, 0, 0, 0, 0, 0, 0, 0\n",
        "0, 0, 0, 0, 0, 0, 0, 0",
    ),
    line("carriage returns from the model", "python", "x = ▮", "1\r\ny = 2\r\n", "1"),
    line("document with carriage returns", "java", "int x = ▮;\r\nint y;\r\n", "f();\r\n", "f()"),
    line("astral characters", "python", 's = "😀▮"\n', '😋"\n', "😋"),
    line("only blanks", "python", "x = ▮\n", "   \n", "", why="complete"),
    line("generics close", "typescript", "const m = new Map<string, ▮>();\n", "number>();\n", "number"),
]

FUNCTION_JS = "function f(a) {\n  ▮\n}\n"

BLOCKS = [
    block(
        "body ends at dedent",
        "python",
        "def f(a):\n    ▮\n",
        "    b = a\n    return b\n\ndef g():\n    pass\n",
        "b = a\n    return b",
    ),
    block("cursor behind the colon", "python", "def f(a):▮\n", "\n    return a\n\nx = 1\n", "\n    return a"),
    block("cursor behind the colon and a blank", "python", "if a: ▮\n", "\n    b()\nc()\n", "\n    b()"),
    block(
        "blank lines within the body stay",
        "python",
        "def f():\n    ▮\n",
        "    a = 1\n\n    return a\nprint()\n",
        "a = 1\n\n    return a",
    ),
    block(
        "nested block stays",
        "python",
        "def f(xs):\n    ▮\n",
        "    for x in xs:\n        g(x)\n    return 1\n\n\nf([])\n",
        "for x in xs:\n        g(x)\n    return 1",
    ),
    block(
        "else of an outer if ends it", "python", "if a:\n    ▮\nz = 1\n", "    b()\nelse:\n    c()\n", "b()"
    ),
    block("model indents for the user", "python", "def f():\n▮\n", "\n    return 1\n", "    return 1"),
    block(
        "model leaves the block at once", "python", "def f():\n    ▮\n", "\nx = 1\n", "", why="end this block"
    ),
    block(
        "loop over one line",
        "python",
        "def f():\n    ▮\n",
        "    a = 1\n" + "    b(a, 1)\n" * 5,
        "a = 1\n    b(a, 1)",
    ),
    block(
        "loop over two lines",
        "python",
        "def f():\n    ▮\n",
        "    log(1)\n    log(2)\n" * 4,
        "log(1)\n    log(2)",
    ),
    block(
        "echo of the lines above",
        "python",
        "def f():\n    a = one()\n    b = two()\n    ▮\n",
        "    a = one()\n    b = two()\n    a = 1\n",
        "",
        why="text above",
    ),
    block(
        "the next line of the document",
        "python",
        "def f():\n    ▮\n    return total\n",
        "    total = 1\n    return total\n",
        "total = 1",
    ),
    block(
        "no more than max_lines",
        "python",
        "def f():\n    ▮\n",
        "".join(f"    a{i} = {i}\n" for i in range(9)),
        "a0 = 0\n    a1 = 1\n    a2 = 2",
        max_lines=3,
    ),
    block(
        "fence within",
        "python",
        "def f():\n    ▮\n",
        "    return 1\n```\nThis function returns one.\n",
        "return 1",
    ),
    block(
        "method ends at the next method",
        "python",
        "class A:\n    ▮\n",
        "    def f(self):\n        return 1\n\n    def g(self):\n        return 2\n",
        "def f(self):\n        return 1",
    ),
    block(
        "decorated method is one",
        "python",
        "class A:\n    ▮\n",
        "    @property\n    def f(self):\n        return 1\n\n    @property\n    def g(self):\n        0\n",
        "@property\n    def f(self):\n        return 1",
    ),
    block(
        "top level: one function",
        "python",
        "import os\n\n\n▮\n",
        "def f():\n    return 1\n\n\ndef g():\n    return 2\n",
        "def f():\n    return 1",
    ),
    block(
        "closing brace is there", "javascript", FUNCTION_JS, "  return a;\n}\n\nfunction g() {\n", "return a;"
    ),
    block(
        "closing brace is missing",
        "javascript",
        "function f(a) {\n  ▮\n",
        "  return a;\n}\n\nfunction g() {\n",
        "return a;\n}",
    ),
    block(
        "closing brace is missing, code follows",
        "javascript",
        "function f(a) {\n  ▮\n\nf(1);\n",
        "  return a;\n}\nf(2);\n",
        "return a;\n}",
    ),
    block(
        "inner braces stay",
        "javascript",
        FUNCTION_JS,
        "  if (a) {\n    g();\n  }\n  return a;\n}\n",
        "if (a) {\n    g();\n  }\n  return a;",
    ),
    block(
        "else stays with its if",
        "javascript",
        FUNCTION_JS,
        "  if (a) {\n    g();\n  } else {\n    h();\n  }\n}\n",
        "if (a) {\n    g();\n  } else {\n    h();\n  }",
    ),
    block(
        "between braces on one line",
        "javascript",
        "const f = () => {▮}\n",
        "\n  return 1;\n}\n",
        "\n  return 1;\n",
    ),
    block(
        "tabs",
        "go",
        "func f() int {\n\t▮\n}\n",
        "\tx := 1\n\treturn x\n}\n\nfunc g() {}\n",
        "x := 1\n\treturn x",
    ),
    block(
        "go if err",
        "go",
        "func f() error {\n\terr := g()\n\tif err != nil {▮\n",
        "\n\t\treturn err\n\t}\n\treturn nil\n}\n",
        "\n\t\treturn err\n\t}",
    ),
    block(
        "rust match",
        "rust",
        "fn f(a: A) -> u8 {\n    match a {\n        ▮\n    }\n}\n",
        "        A::One => 1,\n        A::Two => 2,\n    }\n}\n",
        "A::One => 1,\n        A::Two => 2,",
    ),
    block(
        "java method",
        "java",
        "class A {\n    ▮\n}\n",
        "    public int f() {\n        return 1;\n    }\n\n    public int g() {\n",
        "public int f() {\n        return 1;\n    }",
    ),
    block(
        "c function",
        "c",
        "int f(int a)\n{\n    ▮\n}\n",
        "    return a + 1;\n}\n\nint main(void)\n",
        "return a + 1;",
    ),
    block(
        "c++ access label is outside",
        "cpp",
        "class A {\n public:\n  void f() {\n    ▮\n  }\n};\n",
        "    g();\n  }\n\n private:\n",
        "g();",
    ),
    block("ruby end is missing", "ruby", "def f\n  ▮\n", "  1\nend\n\ndef g\n", "1\nend"),
    block("ruby end is there", "ruby", "def f\n  ▮\nend\n", "  1\nend\n", "1"),
    block(
        "object literal",
        "typescript",
        "const a = {\n  ▮\n};\n",
        "  one: 1,\n  two: 2,\n};\n",
        "one: 1,\n  two: 2,",
    ),
    block("one-line body", "python", "def f(a): ▮\n", "return a\n\ndef g():\n    pass\n", "return a"),
    block("a url is no opener", "python", 'a = "http://x"\n▮\n', "\nb = 2\nc = 3\n", "b = 2\nc = 3"),
    block(
        "a comment with a colon is no opener",
        "python",
        "def f():\n    # note:\n    ▮\n",
        "    a = 1\n    return a\n",
        "a = 1\n    return a",
    ),
    block("the break and the body", "python", "def f():\n    ▮\n", "\n    return 1\nx\n", "return 1"),
    block("the break, and blank lines", "go", "func f() {\n\t▮\n}\n", "\n\n\tg()\n}\n", "g()"),
    block("a comment for the line above", "python", "def f():\n    ▮\n", "  # why\n    g()\nx\n", "g()"),
    block("more for the line above alone", "python", "def f():\n    ▮\n", " # why", "", why="nothing to add"),
    block("nothing written", "python", "def f():\n    ▮\n", "", "", why="nothing to add"),
    block("only line breaks", "python", "def f():\n    ▮\n", "\n\n\n", "", why="nothing to add"),
    block(
        "document with carriage returns",
        "python",
        "def f():\r\n    ▮\r\n",
        "    a = 1\n    return a\nx\n",
        "a = 1\n    return a",
    ),
]


def place_of(case: Case) -> Place:
    before, after = case.document.split(CURSOR)
    return Place(before, after, case.block, case.language, case.max_lines)


def check(case: Case, decision: Decision) -> None:
    assert decision.text == case.text
    assert decision.replaced == case.replaced
    assert decision.done
    if case.text:
        assert not decision.why
    else:
        assert any(part in decision.why for part in case.why.split("|")), decision.why


@pytest.mark.parametrize("case", LINES + BLOCKS, ids=lambda case: case.name)
def test_whole_text(case: Case) -> None:
    check(case, Trimmer(place_of(case)).finish(case.written))


@pytest.mark.parametrize("case", LINES + BLOCKS, ids=lambda case: case.name)
def test_character_by_character(case: Case) -> None:
    """A stream ends with the same text however it is cut, and what was shown as whole is not taken back."""
    trimmer = Trimmer(place_of(case))
    shown = ""
    for end in range(1, len(case.written) + 1):
        decision = trimmer.feed(case.written[:end])
        if decision.done:
            break
        assert decision.text.startswith(shown) or shown.startswith(decision.text)
        shown = decision.text
    else:
        decision = trimmer.finish(case.written)
    check(case, decision)


@pytest.mark.parametrize(
    ("document", "is_block", "written"),
    [
        ("x = ▮\n", False, "1\n"),
        ("def f():\n    ▮\n", True, "    return 1\nx"),
        ("def f():\n    ▮\n", True, "    return 1\n\n\nde"),
        ("function f() {\n  ▮\n}\n", True, "  return 1;\n}\n"),
        ("function f() {\n  ▮\n", True, "  return 1;\n}\n"),
    ],
)
def test_ends_as_soon_as_it_is_sure(document: str, is_block: bool, written: str) -> None:
    """Every token more is tenths of a second on a machine without a GPU."""
    before, after = document.split(CURSOR)
    assert Trimmer(Place(before, after, is_block, "python")).feed(written).done


def test_a_large_file_costs_no_more_at_each_token() -> None:
    """Each token once split the whole rest of the file for each line: 19 ms at line 30 of 290 KB."""
    written = "".join(f"        value_{n} = compute({n * 7919})\n" for n in range(30))
    method = "    def other(self):\n        return 1\n\n"
    trimmer = Trimmer(
        Place("class A:\n" + method * 7_000 + "    def f(self):\n", "\n" + method * 7_000, True)
    )
    trimmer.feed(written)
    began = time.perf_counter()
    for _ in range(TOKENS):
        assert not trimmer.feed(written).done
    assert (time.perf_counter() - began) / TOKENS < TOKEN_LIMIT_S


def test_what_is_out_of_reach_is_not_looked_at() -> None:
    far = "x = 1\n" * 40_000
    found = near(far + "a = 1\nb = ", "2\n" + far)
    assert (found.line_before, found.line_after, found.next_line) == ("b = ", "2", "x = 1")
    assert found.above[:2] == ("a = 1", "x = 1")
    assert len(found.above) < REACH_CHARS > len(found.below)
    assert near("", "") == Near("", "", (), ())


def test_cut_stream_keeps_whole_lines_only() -> None:
    place = Place("def f():\n    ", "\n", True, "python")
    assert Trimmer(place).finish("    a = 1\n    b = compu", cut=True) == Decision("a = 1", True)


def test_cut_stream_without_a_whole_line_says_so() -> None:
    decision = Trimmer(Place("x = ", "\n", False, "python")).finish("compute(a, b", cut=True)
    assert (decision.text, decision.done) == ("", True)
    assert "no whole line" in decision.why


def test_tables_are_large_enough() -> None:
    assert len({case.name for case in LINES + BLOCKS}) >= 40
