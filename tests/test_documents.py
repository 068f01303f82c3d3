"""Documents: positions in each encoding, changes, and URIs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.documents import (
    Change,
    Known,
    changed,
    key_of,
    language_named,
    line_around,
    line_ending,
    line_start,
    offset_at,
    opened,
    path_of,
    position_at,
    units,
)
from lsp.workspace import Cell, NotOpen, Workspace

ENCODINGS = ("utf-8", "utf-16", "utf-32")

MIXED = 'x = "😀"\r\ný = 2\rz\u2028w\n\f\n'
"""Line ends of all three kinds, astral and accented characters, and two characters that end no line."""


@pytest.mark.parametrize(
    ("encoding", "line", "character", "offset"),
    [
        ("utf-16", 0, 5, 5),
        ("utf-16", 0, 7, 6),
        ("utf-16", 0, 6, 5),  # inside the pair: the character's start
        ("utf-8", 0, 9, 6),
        ("utf-8", 0, 7, 5),
        ("utf-32", 0, 6, 6),
        ("utf-16", 0, 99, 7),  # beyond the line: before its end
        ("utf-8", 1, 2, 10),
        ("utf-16", 1, 1, 10),
        ("utf-16", 2, 2, 17),  # U+2028 is no line's end
        ("utf-16", 3, 0, 19),
        ("utf-16", 3, 1, 20),  # a form feed is no line's end
        ("utf-16", 4, 0, 21),
        ("utf-16", 99, 3, 21),
        ("utf-16", 0, -1, 0),
        ("utf-16", -1, 4, 0),
    ],
)
def test_offset_of_a_position(encoding: str, line: int, character: int, offset: int) -> None:
    assert offset_at(MIXED, line, character, encoding) == offset


@pytest.mark.parametrize(
    ("encoding", "offset", "position"),
    [
        ("utf-16", 6, (0, 7)),
        ("utf-8", 6, (0, 9)),
        ("utf-32", 6, (0, 6)),
        ("utf-16", 8, (0, 8)),  # between \r and \n
        ("utf-16", 9, (1, 0)),
        ("utf-8", 10, (1, 2)),
        ("utf-16", 21, (4, 0)),
        ("utf-16", 999, (4, 0)),
        ("utf-16", -3, (0, 0)),
    ],
)
def test_position_of_an_offset(encoding: str, offset: int, position: tuple[int, int]) -> None:
    assert position_at(MIXED, offset, encoding) == position


texts = st.text(alphabet="ab😀é\n\r \u2028\t", max_size=40)


@given(texts, st.sampled_from(ENCODINGS), st.data())
def test_positions_and_offsets_agree(text: str, encoding: str, data: st.DataObject) -> None:
    offset = data.draw(st.integers(0, len(text)))
    if text[offset - 1 : offset + 1] == "\r\n" and offset:
        offset -= 1
    line, character = position_at(text, offset, encoding)
    assert offset_at(text, line, character, encoding) == offset


@given(texts, texts, st.sampled_from(ENCODINGS), st.data())
def test_a_change_by_positions_is_the_change_by_offsets(
    text: str, new: str, encoding: str, data: st.DataObject
) -> None:
    ends = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=2)))
    start, end = (at - 1 if at and text[at - 1 : at + 1] == "\r\n" else at for at in ends)
    before = opened("file:///a.py", "python", 1, text)
    change = Change(new, position_at(text, start, encoding), position_at(text, end, encoding))
    after = changed(before, [change], 2, encoding)
    assert after.text == text[:start] + new + text[end:]
    assert (before.text, before.version, after.version) == (text, 1, 2)


places = st.tuples(st.integers(-1, 8), st.integers(0, 12))


@given(texts, st.lists(st.tuples(places, places, texts), max_size=6), st.sampled_from(ENCODINGS))
def test_places_are_found_from_the_line_of_the_last_change_as_from_the_top(
    text: str, edits: list[tuple[tuple[int, int], tuple[int, int], str]], encoding: str
) -> None:
    document = opened("file:///a.py", "python", 1, text)
    for version, (start, end, new) in enumerate(edits, 2):
        document = changed(document, [Change(new, start, end)], version, encoding)
        now, known = document.text, document.known
        for line in range(-1, 10):
            assert line_start(now, line, known) == line_start(now, line)
            assert offset_at(now, line, 3, encoding, known) == offset_at(now, line, 3, encoding)
        for offset in range(len(now) + 1):
            assert position_at(now, offset, encoding, known) == position_at(now, offset, encoding)


def test_what_is_known_of_one_text_is_not_said_of_another() -> None:
    document = changed(
        opened("file:///a.py", "python", 1, "a\nb\nc\n"), [Change("x", (2, 0), (2, 0))], 2, "utf-16"
    )
    assert document.known == Known(document.text, 2, 4)
    assert line_start("aaaa\nb\nc\n", 2, document.known) == 7
    assert position_at("aaaa\nb\nc\n", 7, "utf-16", document.known) == (2, 0)


def test_changes_apply_in_order_each_to_the_last_result() -> None:
    document = opened("file:///a.py", "python", 1, "one\n")
    changes = [Change("two\n", (1, 0), (1, 0)), Change("2", (1, 0), (1, 3)), Change("1", (0, 0), (0, 3))]
    assert changed(document, changes, 2, "utf-16").text == "1\n2\n"


def test_a_change_without_range_is_the_whole_text() -> None:
    document = opened("file:///a.py", "python", 1, "one\n")
    assert changed(document, [Change("all")], 2, "utf-16").text == "all"


def test_half_a_surrogate_pair_can_still_be_encoded() -> None:
    document = opened("file:///a.py", "python", 1, "a\ud83db")
    assert document.text.encode()
    assert units(document.text, "utf-16") == 3
    assert changed(document, [Change("\udc00", (0, 3), (0, 3))], 2, "utf-16").text.encode()


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/a%20b/c.py", "/home/a b/c.py"),
        ("file:///home/%C3%A9.py", "/home/é.py"),
        ("untitled:Untitled-1", None),
        ("git:/home/a.py?ref", None),
        ("vscode-notebook-cell:/home/n.ipynb#X0", "/home/n.ipynb"),
        ("nonsense", None),
        ("", None),
    ],
)
def test_path_of_a_uri(uri: str, path: str | None) -> None:
    assert path_of(uri) == path


def test_one_document_by_every_spelling_of_its_uri() -> None:
    assert key_of("file:///c%3A/a.py") == key_of("file:///c:/a.py")


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("typescriptreact", "tsx"),
        ("Python", "python"),
        ("plaintext", None),
        ("", None),
        (None, None),
        ("cpp", "cpp"),
    ],
)
def test_language_of_an_identifier(given: str | None, name: str | None) -> None:
    assert language_named(given) == name


def test_line_around_and_line_ending() -> None:
    assert line_around("a\r\nbc\r\nd", 4) == ("b", "c")
    assert line_around("abc", 3) == ("abc", "")
    assert (line_ending("a\r\nb\n"), line_ending("a")) == ("\r\n", "\n")


def test_a_change_to_an_unknown_document_says_so() -> None:
    with pytest.raises(NotOpen, match=r"file:///a\.py"):
        Workspace().change("file:///a.py", [Change("x")], 2)


def test_a_cell_knows_the_code_above_it() -> None:
    workspace = Workspace()
    cells = [Cell("nb#1", True), Cell("nb#2", False), Cell("nb#3", True)]
    workspace.set_notebook("file:///n.ipynb", cells)
    for uri, text in [("nb#1", "import os"), ("nb#2", "# Title"), ("nb#3", "os.")]:
        workspace.open(uri, "python", 1, text)
    document = workspace.get("nb#3")
    assert document is not None
    assert (document.preamble, document.text) == ("import os\n\n", "os.")
    workspace.splice_notebook("file:///n.ipynb", 0, 1, [])
    document = workspace.get("nb#3")
    assert document is not None
    assert document.preamble == ""


def test_the_innermost_root_holds_a_file() -> None:
    workspace = Workspace()
    workspace.add_root("file:///a")
    workspace.add_root("file:///a/b")
    assert workspace.root_of("/a/b/c.py") == "/a/b"
    assert workspace.root_of("/a/x.py") == "/a"
    assert workspace.root_of("/ab/x.py") is None
    assert workspace.add_root("untitled:x") is None
    assert workspace.remove_root("file:///a/b") == "/a/b"
    assert workspace.root_of("/a/b/c.py") == "/a"
