"""An edit of a document that moved on goes where its lines are now, or nowhere."""

from __future__ import annotations

import pytest

from engine.editing.blocks import Delete, Lines, Replace, Search
from lsp.edits.applying import Applied, apply
from lsp.edits.files import SourceFile
from lsp.edits.rebase import rebased

SENT = """\
def one():
    x = 1
    return x


def two():
    x = 1
    return x


def three():
    y = 3
    return y
"""


def change_of(*blocks):
    result = apply(blocks, {"a.py": SourceFile("a.py", SENT, version=1)})
    assert isinstance(result, Applied), result
    return result.changes[0]


THREE = Replace("a.py", Search("    y = 3\n"), "    y = 4\n")
SECOND_X = Replace("a.py", Lines(7, 7), "    x = 5\n")
BEHIND_TWO = Replace("a.py", Lines(7, 6), "    print()\n")

MOVED = {
    "nothing": (THREE, SENT),
    "lines above": (THREE, "import os\n\n\n" + SENT),
    "lines below": (THREE, SENT + "\n\nprint()\n"),
    "another function": (THREE, SENT.replace("x = 1\n", "x = 2\n", 1)),
    "one of two that are alike": (SECOND_X, "import os\n\n" + SENT),
    "one of two, the other changed": (SECOND_X, SENT.replace("x = 1\n", "x = 2\n", 1)),
    "an insertion": (BEHIND_TWO, "# note\n" + SENT),
    "other line ends": (THREE, ("# note\n" + SENT).replace("\n", "\r\n")),
}


@pytest.mark.parametrize(("block", "now"), MOVED.values(), ids=MOVED.keys())
def test_what_changed_elsewhere_does_not_matter(block, now):
    change = change_of(block)
    moved = rebased(change, SourceFile("a.py", now, version=7))
    assert not isinstance(moved, str), moved
    old, new = ("    x = 1\n", "    x = 5\n") if block is SECOND_X else ("    y = 3\n", "    y = 4\n")
    plain = now.replace("\r\n", "\n")
    if block is BEHIND_TWO:
        wanted = plain.replace("def two():\n", "def two():\n    print()\n")
    else:
        at = plain.rindex(old)
        wanted = plain[:at] + new + plain[at + len(old) :]
    assert (moved.after or "").replace("\r\n", "\n") == wanted
    assert ("\r\n" in (moved.after or "")) == ("\r\n" in now)
    assert moved.before is not None and moved.before.version == 7


STALE = {
    "the line itself": (THREE, SENT.replace("y = 3", "y = 33")),
    "the line before": (THREE, SENT.replace("def three():", "def three(z):")),
    "gone": (THREE, SENT.partition("\n\n\ndef three")[0] + "\n"),
    "there twice": (THREE, SENT + "\n\n" + SENT[SENT.index("def three") :]),
    "only copies of it": (THREE, "\n\n".join([SENT[SENT.index("def three") :]] * 2)),
    "gone, and a copy elsewhere changed": (
        SECOND_X,
        SENT.replace("def two():\n    x = 1\n    return x\n\n\n", ""),
    ),
    "emptied": (THREE, ""),
}


@pytest.mark.parametrize(("block", "now"), STALE.values(), ids=STALE.keys())
def test_what_changed_where_it_was_to_be_edited_is_refused(block, now):
    said = rebased(change_of(block), SourceFile("a.py", now, version=7))
    assert isinstance(said, str)
    assert "a.py was changed around line" in said


def test_a_file_that_was_changed_is_not_deleted():
    said = rebased(change_of(Delete("a.py")), SourceFile("a.py", SENT + "x\n", version=7))
    assert said == "a.py was changed since it was to be deleted"


def test_hunks_that_changed_their_order_are_refused():
    change = change_of(
        Replace("a.py", Lines(1, 3), "def one():\n    return 1\n"),
        Replace("a.py", Lines(11, 13), "def three():\n    return 3\n"),
    )
    one, two, three = SENT.split("\n\n\n")
    now = "\n\n\n".join([three.rstrip("\n"), two, one]) + "\n"
    assert isinstance(rebased(change, SourceFile("a.py", now)), str)
