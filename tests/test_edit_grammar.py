"""What a model can write under the grammar of an edit: well-formed blocks, of the files that were shown."""

from __future__ import annotations

import random
import re
from functools import cache

import pytest

from engine.editing.blocks import Create, Delete, Lines, Rename, Replace, Search
from engine.editing.copied import RUN_LINES, copied_rules
from engine.editing.grammar import (
    MAX_PATHS,
    Bounds,
    Shown,
    _runs,
    anchors_for,
    edit_grammar,
)
from engine.editing.parser import parse

xgrammar = pytest.importorskip("xgrammar", reason="comes with foreword[engine]")

TEXT = ["import os", "", "def one():", "    return 1", "", "def two():", "    return 1", "", "=======", "end"]
FILE = Shown("src/a b.py", 1, len(TEXT), TEXT)
STOP = 256


@cache
def compiler():
    """Of a vocabulary of single bytes, so that every text can be spelled."""
    vocabulary = [bytes([each]) for each in range(STOP)] + [b"<stop>"]
    return xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[STOP]))


@cache
def compiled(grammar: str):
    return compiler().compile_grammar(xgrammar.Grammar.from_ebnf(grammar))


def takes(grammar: str, answer: str) -> bool:
    """Whether this is a whole answer."""
    matcher = xgrammar.GrammarMatcher(compiled(grammar))
    return matcher.accept_string(answer) and matcher.accept_token(STOP)


def replace(where: str, old: str = "", new: str = "    return 2\n", path: str = "src/a b.py") -> str:
    return f"@@ replace {path}\n<<<<<<< {where}\n{old}=======\n{new}>>>>>>> REPLACE\n"


CASES = [
    ("lines", replace("LINES 3-4"), True),
    ("lines", replace("LINES 3-3", new=""), True),
    ("lines", replace("LINES 1-10"), True),
    ("lines", replace("LINES 4-3"), False),
    ("lines", replace("LINES 1-11"), False),
    ("lines", replace("LINES 0-3"), False),
    ("lines", replace("LINES 03-4"), False),
    ("lines", replace("AFTER 0"), True),
    ("lines", replace("AFTER 10"), True),
    ("lines", replace("AFTER 11"), False),
    ("lines", replace("AFTER 3", new=""), False),
    ("lines", replace("LINES 3-4", path="other.py"), False),
    ("lines", replace("LINES 3-4", path="../src/a b.py"), False),
    ("lines", replace("LINES 3-4", new="<<<<< fine\n>>> 1 + 1\n== x\n@property\n\n"), True),
    ("lines", replace("LINES 3-4", new="=======\n"), False),
    ("lines", replace("LINES 3-4", new=">>>>>>>> x\n"), False),
    ("lines", replace("LINES 3-4", new="```\n"), False),
    ("lines", replace("LINES 3-4", new="@@ replace src/a b.py\n"), False),
    ("lines", f"{replace('LINES 1-1')}\n{replace('LINES 3-3')}", True),
    ("lines", f"{replace('LINES 1-1')}\n{replace('LINES 3-3')}\n{replace('LINES 4-4')}", False),
    ("lines", f"Sure!\n{replace('LINES 1-1')}", False),
    ("lines", replace("LINES 1-1").removesuffix(">>>>>>> REPLACE\n"), False),
    ("lines", "", False),
    ("lines", "@@ delete src/a b.py\n", False),
    ("search", replace("SEARCH", "anything\n"), True),
    ("search", replace("SEARCH"), False),
    ("copied", replace("SEARCH", "import os\n"), True),
    ("copied", replace("SEARCH", "import os\n\ndef one():\n"), True),
    ("copied", replace("SEARCH", "import sys\n"), False),
    ("copied", replace("SEARCH", "    return 1\n"), False),
    ("copied", replace("SEARCH", "    return 1\n\ndef two():\n"), True),
    ("copied", replace("SEARCH", "def two():\n    return 1\n"), True),
    ("copied", replace("SEARCH", "def one():\nimport os\n"), False),
    ("copied", replace("SEARCH", "end\n"), True),
]


@pytest.mark.parametrize(("anchors", "answer", "right"), CASES)
def test_answers(anchors, answer, right):
    grammar = edit_grammar([FILE], anchors=anchors, bounds=Bounds(2, 6))
    assert takes(grammar, answer) is right
    if right:
        assert parse(answer).well_formed


def test_files_that_are_made_deleted_and_renamed():
    grammar = edit_grammar([FILE], whole_files=True, new_paths=["tests/test_new.py"])
    made = "<<<<<<< TEXT\nx = 1\n>>>>>>> TEXT\n"
    for answer, block in [
        (f"@@ create tests/test_new.py\n{made}", Create("tests/test_new.py", "x = 1\n")),
        (f"@@ create src/deep/new.py\n{made}", Create("src/deep/new.py", "x = 1\n")),
        ("@@ delete src/a b.py\n", Delete("src/a b.py")),
        ("@@ rename src/a b.py -> src/c.py\n", Rename("src/a b.py", "src/c.py")),
    ]:
        assert takes(grammar, answer), answer
        assert parse(answer).blocks == (block,)
    for answer in ("@@ delete other.py\n", f"@@ create /etc/passwd\n{made}", f"@@ create \n{made}"):
        assert not takes(grammar, answer), answer
    only_tests = edit_grammar([], new_paths=["tests/test_new.py"])
    assert takes(only_tests, f"@@ create tests/test_new.py\n{made}")
    assert not takes(only_tests, f"@@ create src/deep/new.py\n{made}")


def test_markdown_may_hold_fences():
    answer = replace("LINES 1-1", new="```\nx\n```\n", path="README.md")
    assert takes(edit_grammar([Shown("README.md", 1, 3)]), answer)


def test_an_empty_file_gets_lines():
    grammar = edit_grammar([Shown("empty.py", 1, 0)], anchors="copied")
    assert takes(grammar, replace("AFTER 0", path="empty.py"))
    assert not takes(grammar, replace("LINES 1-1", path="empty.py"))


@pytest.mark.parametrize(
    "path", ['a"b.py', "a\\b.py", "ümlaut/😀.py", "tab\there.py", " padded.py", "a -> b.py"]
)
def test_paths_of_every_kind(path):
    block = Replace(path, Lines(1, 2), "x\n")
    from engine.editing.blocks import write

    assert takes(edit_grammar([Shown(path, 1, 2)]), write(block))
    assert parse(write(block)).blocks == (block,)


@pytest.mark.parametrize("anchors", ["lines", "search", "copied"])
@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_written_under_it_is_well_formed(anchors, seed):
    """A model that writes any of the allowed tokens at each step, like one that knows nothing at all."""
    other = Shown("other.py", 5, 9, [f"line {at // 2}" for at in range(20)])
    grammar = edit_grammar([FILE, other], anchors=anchors, whole_files=True, bounds=Bounds(3, 4))
    answer = written_at_random(grammar, random.Random(seed))
    result = parse(answer)
    assert result.well_formed, (answer, result.problems)
    for block in result.blocks:
        if isinstance(block, Replace):
            assert block.path in (FILE.path, other.path)
            if anchors == "copied":
                assert isinstance(block.anchor, Search)
                lines = FILE.lines if block.path == FILE.path else other.lines
                whole = "".join(f"{line}\n" for line in lines)
                assert f"\n{whole}".count(f"\n{block.anchor.text}") == 1, "it is found only once"


def written_at_random(grammar: str, chance: random.Random) -> str:
    matcher = xgrammar.GrammarMatcher(compiled(grammar))
    mask = xgrammar.allocate_token_bitmask(1, STOP + 1)
    written = bytearray()
    while not matcher.is_terminated():
        matcher.fill_next_token_bitmask(mask)
        words = mask[0].tolist()
        allowed = [at for at in range(STOP + 1) if words[at // 32] >> (at % 32) & 1]
        plain = [at for at in allowed if at < 127]
        # line breaks often, lest a line grow without end; only whole characters, as a tokenizer would write
        choices = [STOP] if STOP in allowed and chance.random() < 0.3 else (plain or allowed)
        token = 10 if 10 in choices and chance.random() < 0.2 else chance.choice(choices)
        assert matcher.accept_token(token)
        if token != STOP:
            written.append(token)
    return written.decode()


@pytest.mark.parametrize(
    ("least", "most"),
    [(0, 0), (0, 9), (1, 10), (5, 37), (98, 1203), (999, 1000), (7, 7), (10, 99), (1, 99_999)],
)
def test_numbers(least, most):
    pattern = re.compile("|".join(run.replace('"', "").replace(" ", "") for run in _runs(least, most)))
    assert [at for at in range(most + 2000) if pattern.fullmatch(str(at))] == [*range(least, most + 1)]


def test_what_it_is_refused_for():
    with pytest.raises(ValueError, match=f"at most {MAX_PATHS}"):
        edit_grammar([Shown(f"{at}.py", 1, 1) for at in range(MAX_PATHS + 1)])
    with pytest.raises(ValueError, match="needs a file"):
        edit_grammar([])


def test_the_surest_anchors():
    assert anchors_for([FILE]) == "copied"
    assert anchors_for([Shown("a.py", 1, 10)]) == "lines", "their text is not known"
    assert anchors_for([Shown("a.py", 1, 2000, ["x"] * 2000)]) == "lines", "too many to compile"


def test_a_model_that_copies_a_file_comes_to_an_end():
    lines = [f"line {at}" for at in range(100)]
    grammar = edit_grammar([Shown("a.py", 1, 100, lines)], anchors="copied")
    for count, right in ((2 * RUN_LINES, True), (2 * RUN_LINES + 1, False)):
        old = "".join(f"{line}\n" for line in lines[:count])
        assert takes(grammar, replace("SEARCH", old, path="a.py")) is right


def test_a_run_that_is_nowhere_alone_is_no_anchor():
    assert [*copied_rules("old", ["a", "a", "a"], 1, 2)] == []
