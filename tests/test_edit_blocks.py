"""The text form of blocks and tool calls: whatever is written is read again, however it arrives; what cannot be used
has a reason."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.editing import parser as parsing
from engine.editing.blocks import (
    Begun,
    Block,
    Create,
    Delete,
    Finished,
    Growing,
    Lines,
    Malformed,
    Rename,
    Replace,
    Search,
    marker_length,
    numbered,
    path_text,
    write,
    write_all,
)
from engine.editing.parser import MAX_BLOCKS, NO_BLOCK, BlockParser, parse
from engine.editing.tool_calls import ToolCallParser
from engine.editing.tools import TOOLS, definitions

# ---------------------------------------------------------------- written and read again

NASTY = st.sampled_from(
    ["<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE", "========", "@@ delete a.py", "```", "", " ", "\r", "x"]
)
TEXTS = st.one_of(
    st.text(max_size=60), st.builds("\n".join, st.lists(NASTY | st.text(max_size=10), max_size=8))
)
PATHS = st.text(min_size=1, max_size=20) | st.sampled_from(
    ["a b.py", "a -> b", "x:", "`x`", '"', "ü/ä.py", "->", "a ->"]
)
ANCHORS = st.builds(Search, TEXTS) | st.builds(
    lambda first, more, text: Lines(first, first + more, text),
    st.integers(1, 99_999),
    st.integers(-1, 500),
    TEXTS,
)
BLOCKS: st.SearchStrategy[Block] = st.one_of(
    st.builds(Replace, PATHS, ANCHORS, TEXTS),
    st.builds(Create, PATHS, TEXTS),
    st.builds(Delete, PATHS),
    st.builds(Rename, PATHS, PATHS),
)


def read(text: str, cuts: list[int], parser: parsing.Parser):
    events, start = [], 0
    for cut in [*sorted(cuts), len(text)]:
        events += parser.feed(text[start:cut])
        start = max(start, cut)
    return [*events, *parser.end()]


def finished(events) -> list[Block]:
    return [event.block for event in events if isinstance(event, Finished)]


def complaints(events) -> list[str]:
    return [event.reason for event in events if isinstance(event, Malformed)]


@given(st.lists(BLOCKS, max_size=4), st.lists(st.integers(0, 600), max_size=30))
@settings(max_examples=80, deadline=None)
def test_what_is_written_is_read_again_however_it_arrives(blocks, cuts):
    events = read(write_all(blocks), cuts, BlockParser())
    assert finished(events) == blocks
    assert complaints(events) == []
    assert [event.number for event in events if isinstance(event, Begun)] == list(range(len(blocks)))


@given(st.lists(BLOCKS, min_size=1, max_size=3))
@settings(max_examples=50, deadline=None)
def test_every_character_may_be_a_chunk_of_its_own(blocks):
    text = write_all(blocks)
    assert finished(read(text, list(range(len(text))), BlockParser())) == blocks


def test_a_text_that_looks_like_a_block_lengthens_the_markers():
    inner = write(Replace("a.py", Search("x\n"), "y\n"))
    outer = Create("docs/edits.md", inner)
    assert marker_length([inner]) == 8
    assert parse(write(outer)).blocks == (outer,)
    assert parse(write(Create("b.md", write(outer)))).blocks == (Create("b.md", write(outer)),)


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("src/a b.py", "src/a b.py"),
        ("ü.py", "ü.py"),
        ("a -> b", '"a -> b"'),
        (" a", '" a"'),
        ("a\nb", '"a\\nb"'),
        ("a:", '"a:"'),
        ("", '""'),
    ],
)
def test_paths_that_could_be_misread_are_quoted(path, written):
    assert path_text(path) == written


def test_numbered_lines_are_counted_as_editors_count():
    assert numbered("a\r\nb\rc\u2028d\n\n", 7) == "7|a\n8|b\n9|c\u2028d\n10|\n"
    assert numbered("") == ""
    assert numbered("no end") == "1|no end\n"


# ---------------------------------------------------------------- what models write around blocks

BLOCK = Replace("src/a.py", Search("old\n"), "new\n")
TOLERATED = {
    "prose around": f"Here is the change:\n\n{write(BLOCK)}\nI hope this helps. @@ 12\n",
    "a fence around": f"```python\n{write(BLOCK)}```\n",
    "a fence below the header": write(BLOCK).replace("<<<", "\n```python\n<<<", 1) + "```",
    "no line end behind the last marker": write(BLOCK).rstrip("\n"),
    "a quoted diff before": f"@@ -1,2 +1,2 @@\n-x\n+y\n{write(BLOCK)}",
    "line ends of another system in the markers": write(BLOCK)
    .replace("@@ replace src/a.py\n", "@@ replace src/a.py\r\n")
    .replace("SEARCH\n", "SEARCH\r\n")
    .replace("=======\n", "=======\r\n")
    .replace("REPLACE\n", "REPLACE\r\n"),
    "a path in backquotes": write(BLOCK).replace("src/a.py", "`src/a.py`:"),
    "only marks at the end": write(BLOCK).replace(" REPLACE", ""),
}


@pytest.mark.parametrize("text", TOLERATED.values(), ids=TOLERATED.keys())
def test_what_stands_around_blocks_is_passed_over(text):
    parsed = parse(text)
    assert parsed.blocks == (BLOCK,)
    assert parsed.well_formed


def test_several_replacements_below_one_header():
    parsed = parse(write(BLOCK) + "\n" + write(BLOCK).partition("\n")[2].replace("old", "other"))
    assert parsed.blocks == (BLOCK, Replace("src/a.py", Search("other\n"), "new\n"))


REFUSED = {
    "nothing": ("I cannot do that.", NO_BLOCK),
    "cut off in what stands there": ("@@ replace a\n<<<<<<< SEARCH\nold", "ends in the middle of this block"),
    "cut off in what is to stand": ("@@ replace a\n<<<<<<< SEARCH\no\n=======\nn", "ends in the middle"),
    "cut off behind the header": ("@@ create a\n", "ends in the middle of this block"),
    "no divider": ("@@ replace a\n<<<<<<< SEARCH\no\n>>>>>>> REPLACE\n", "there is no ======="),
    "two dividers": (
        "@@ replace a\n<<<<<<< SEARCH\nTitle\n=======\nx\n=======\ny\n>>>>>>> REPLACE\n",
        "stands there twice",
    ),
    "prose instead of a marker": ("@@ replace a\nHere it is:\n", "is to stand below the header"),
    "the marker of another kind": ("@@ create a\n<<<<<<< SEARCH\n", "TEXT is to stand below the header"),
    "no header": ("<<<<<<< SEARCH\no\n=======\nn\n>>>>>>> REPLACE\n", "below no header that names a file"),
    "no such kind": ("@@ run rm\n", "run is no kind of block"),
    "no new path": ("@@ rename a\n", "an arrow"),
    "no path": ('@@ delete ""\n', "one path"),
    "two paths": ('@@ delete "a" b\n', "one path"),
    "a broken path": ('@@ delete "a\n', "no JSON string"),
    "no such lines": ("@@ replace a\n<<<<<<< LINES 4-2\n", "names no lines"),
    "line nought": ("@@ replace a\n<<<<<<< LINES 0-2\n", "names no lines"),
    "another block within": ("@@ create a\n<<<<<<< TEXT\no\n<<<<<<< TEXT\n", "another one begins in it"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_be_used_has_a_reason(text, reason):
    parsed = parse(text)
    assert parsed.blocks == ()
    assert not parsed.well_formed
    assert reason in parsed.problems[0].reason


def test_what_follows_a_block_that_cannot_be_used_is_read_on():
    parsed = parse(f"@@ replace b\n<<<<<<< SEARCH\no\n>>>>>>> REPLACE\n{write(BLOCK)}")
    assert parsed.blocks == (BLOCK,)
    assert [problem.path for problem in parsed.problems] == ["b"]
    assert not parsed.well_formed


def test_a_header_that_was_cut_off_deletes_nothing():
    parser = BlockParser()
    assert parser.feed("@@ delete src/a") == []
    events = parser.end("the token limit was reached")
    assert finished(events) == []
    assert complaints(events) == [
        "the answer ends in the middle of a block's header: the token limit was reached"
    ]


def test_a_last_marker_that_was_cut_off_is_not_believed():
    parser = BlockParser()
    parser.feed(write(Create("a", "x")).removesuffix(" (no newline at end)\n"))
    assert finished(parser.end("the token limit was reached")) == []


def test_ten_thousand_blocks_are_refused():
    parser = BlockParser()
    events = [event for _ in range(10) for event in parser.feed("@@ delete a\n" * 1_000)]
    assert parser.full
    assert len(finished(events)) == MAX_BLOCKS
    assert complaints(events) == ["the answer holds more than 1,000 blocks"]
    assert parser.feed(write(BLOCK)) == []


def test_what_has_no_end_takes_no_memory(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_BLOCK_CHARS", 1_000)
    monkeypatch.setattr(parsing, "MAX_ANSWER_CHARS", 1_500)
    parser = BlockParser()
    for _ in range(50):
        parser.feed("prose " * 100)
    assert sum(map(len, parser._rest)) <= 1_600
    events = parser.feed("\n@@ create a\n<<<<<<< TEXT\n")
    for _ in range(30):
        events += parser.feed("x" * 50 + "\n")
    assert "more than 1,000 characters" in complaints(events)[0]
    events = parser.feed("@@ create b\n<<<<<<< TEXT\n")
    for _ in range(30):
        events += parser.feed("x" * 50 + "\n")
    assert "more than 1,500 characters" in complaints(events)[0]
    assert parser.full


def test_a_line_without_an_end_is_no_header_in_its_middle(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_BLOCK_CHARS", 1_000)
    parser = BlockParser()
    for chunk in ("x" * 1_001, "@@ delete a", ".py\n"):
        assert parser.feed(chunk) == []


def test_a_block_has_a_size_however_it_arrives(monkeypatch):
    monkeypatch.setattr(parsing, "MAX_BLOCK_CHARS", 1_000)
    big, small = write(Create("a", "x\n" * 600)), write(Create("b", "x\n" * 300))
    assert "more than 1,000 characters" in complaints(BlockParser().feed(big))[0]
    parser = BlockParser()
    events = [*parser.feed(small[:20]), *parser.feed(small[20:] + small * 3)]
    assert len(finished(events)) == 4
    assert complaints(events) == []


def test_no_answer_takes_longer_than_its_length():
    """A million characters in chunks of four, which took minutes each."""
    for parser, answer in (
        (BlockParser(), "x" * 999_000),
        (BlockParser(), "@@ create x" + " " * 900_000 + "y\n"),
        (ToolCallParser(), "<function=create>" + " " * 900_000),
    ):
        for start in range(0, len(answer), 4):
            parser.feed(answer[start : start + 4])
        parser.end("its time is over")


def test_progress_is_told_once_a_chunk():
    parser = BlockParser()
    assert parser.feed("@@ create a.py\n<<<<<<< TEXT\none\ntwo\nthr") == [
        Begun(0, "create", "a.py"),
        Growing(0, 2),
    ]
    assert parser.feed("ee") == []
    assert parser.feed("\nfour\n>>>>>>> TEXT\n") == [Finished(0, Create("a.py", "one\ntwo\nthree\nfour\n"))]


# ---------------------------------------------------------------- tool calls


def call(name: str, **parameters: str) -> str:
    inner = "".join(f"<parameter={key}>\n{value}\n</parameter>\n" for key, value in parameters.items())
    return f"<tool_call>\n<function={name}>\n{inner}</function>\n</tool_call>"


CALLS = {
    "replace": (
        call("replace", path="a.py", search="old", replacement="new"),
        Replace("a.py", Search("old\n"), "new\n"),
    ),
    "names of other programs": (
        call("edit", file_path="a.py", old_string="old", new_string="new\n"),
        Replace("a.py", Search("old\n"), "new\n"),
    ),
    "lines": (
        call("replace_lines", path="a.py", first_line="3", last_line="4", replacement="new"),
        Replace("a.py", Lines(3, 4), "new\n"),
    ),
    "a file": (
        call("write_file", file_path="a.py", content="x = 1\n\ny = 2"),
        Create("a.py", "x = 1\n\ny = 2\n"),
    ),
    "nothing instead": (
        call("replace", path="a.py", search="old", replacement=""),
        Replace("a.py", Search("old\n"), ""),
    ),
    "on one line": (
        "<function=delete><parameter=path>a.py</parameter></function>",
        Delete("a.py"),
    ),
    "rename": (call("rename", path="a.py", new_path="b.py"), Rename("a.py", "b.py")),
    "tags in a text": (
        call("create", path="a.html", text="</parameter>\n<b>x</b>\n<function=x>"),
        Create("a.html", "</parameter>\n<b>x</b>\n<function=x>\n"),
    ),
}


@pytest.mark.parametrize("step", [1, 3, 1_000])
@pytest.mark.parametrize(("text", "block"), CALLS.values(), ids=CALLS.keys())
def test_tool_calls_become_the_same_blocks(text, block, step):
    said = f"I will change it.\n{text}\n"
    events = read(said, list(range(0, len(said), step)), ToolCallParser())
    assert finished(events) == [block]
    assert complaints(events) == []
    assert [event.path for event in events if isinstance(event, Begun)] == [block.path]


BAD_CALLS = {
    "cut off": (
        "<function=create><parameter=path>a</parameter><parameter=text>x",
        "ends in the middle of a call",
    ),
    "unknown": (call("bash", command="rm -rf /"), "'bash' is no tool"),
    "a parameter missing": (call("replace", path="a", search="x"), "lacks replacement"),
    "no number": (
        call("replace_lines", path="a", first_line="x", last_line="2", replacement=""),
        "a line's number",
    ),
    "no lines": (call("replace_lines", path="a", first_line="9", last_line="2", replacement=""), "are none"),
    "no path": (call("delete", path=""), "names no path"),
    "twice": (
        "<function=delete><parameter=path>a</parameter><parameter=path>b</parameter></function>",
        "given twice",
    ),
    "prose within": ("<function=delete>I delete it now, as asked.</function>", "a parameter is expected"),
    "a text with a whole call": (
        call("create", path="a", text=call("delete", path="b")),
        "holds tags itself",
    ),
}


@pytest.mark.parametrize(("text", "reason"), BAD_CALLS.values(), ids=BAD_CALLS.keys())
def test_calls_that_cannot_be_used_have_a_reason(text, reason):
    for step in (1, 1_000):
        assert any(
            reason in said
            for said in complaints(read(text, list(range(0, len(text), step)), ToolCallParser()))
        )


def test_ten_thousand_calls_are_refused():
    parser = ToolCallParser()
    events = parser.feed(call("delete", path="a") * 10_000)
    assert parser.full
    assert len(finished(events)) == MAX_BLOCKS
    assert complaints(events) == ["the answer holds more than 1,000 calls"]


def test_definitions_name_what_is_read():
    assert [each["function"]["name"] for each in definitions()] == list(TOOLS)
    for each in definitions():
        assert each["function"]["parameters"]["required"] == list(TOOLS[each["function"]["name"]].parameters)
