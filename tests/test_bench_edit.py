"""`foreword bench edit` without a model: changes in eight languages come out true, no faulty anchor lands elsewhere."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.edit.histories import HISTORIES, LANGUAGES, TrueEdit
from benchmarks.edit.hunks import FilePair, Uncut, by_number, by_search, hunks
from benchmarks.edit.judged import Judged
from benchmarks.edit.mutations import KINDS
from benchmarks.edit.replay import ANCHORS, Replayed, read_again, replay
from benchmarks.edit.run import fault_figures, replay_figures, spoiled
from engine.editing.blocks import Create, Delete, Lines, Replace, Search
from lsp.edits.lines import split

SAMPLES = Path(__file__).with_name("languages")
FILES = {
    "c/table.c": "entry",
    "cpp/scene.cpp": "area",
    "csharp/Inventory.cs": "item",
    "go/graph.go": "places",
    "java/Orders.java": "payments",
    "lua/player.lua": "health",
    "ruby/ledger.rb": "amount",
    "rust/queue.rs": "clock",
}
"""And a name in each."""


def step(path: str) -> TrueEdit:
    """The name changed on every other line that has it, a comment here and there, and some blank lines gone."""
    old = (SAMPLES / path).read_text("utf-8")
    mark = {"lua": "--", "rb": "#"}.get(path.rpartition(".")[2], "//")
    lines: list[str] = []
    for number, line in enumerate(split(old).lines):
        if number % 9 == 4 and not line.strip():
            continue
        lines.append(re.sub(rf"\b{FILES[path]}\b", "renamed", line) if number % 2 else line)
        if number % 23 == 11 and line.endswith(";"):
            lines.append(f"{mark} added, {number}")
    new = "".join(f"{line}\n" for line in lines)
    return TrueEdit(path.partition("/")[0], "a step", (FilePair(path, old, new),))


STEPS = [step(path) for path in FILES]


@pytest.mark.parametrize("edit", STEPS, ids=list(FILES))
def test_true_changes_come_out_true(edit):
    """With the base as it was sent, and with up to three changes elsewhere."""
    for anchors, crlf, unrelated in itertools.product(ANCHORS, (False, True), (0, 1, 3)):
        found = replay(edit, anchors, crlf=crlf, unrelated=unrelated)
        assert found is not None
        assert found.why == "", (anchors, crlf, unrelated)


def test_no_anchor_with_a_fault_lands_at_a_wrong_place():
    found = spoiled(STEPS, 100)
    assert len(found) == 100
    assert [(each.mutant.path, each.mutant.block) for each in found if each.verdict == "wrong place"] == []
    verdicts = {kind: Counter(each.verdict for each in found if each.mutant.kind == kind) for kind in KINDS}
    assert verdicts["white space"]["repaired"] > verdicts["white space"]["refused"]
    assert verdicts["one token"]["repaired"]
    assert verdicts["stale"] == {"refused": 20}
    assert verdicts["wrong numbers"] == {"refused": 20}
    assert verdicts["two places"]["refused"]


OLD = "a\nb\nc\nb\nd\n"


def test_hunks_have_the_lines_around_them_that_make_their_place_the_only_one():
    pair = FilePair("x.py", OLD, "a\nb\nc\nB\nd\n")
    assert by_search(pair) == [Replace("x.py", Search("c\nb\nd\n"), "c\nB\nd\n")]
    assert by_number(pair) == [Replace("x.py", Lines(4, 4), "B\n")]
    assert by_number(pair, copied=True) == [Replace("x.py", Lines(4, 4, "b\n"), "B\n")]
    pair = FilePair("x.py", OLD * 2, OLD * 2 + "e")
    assert (
        by_search(pair) == [Replace("x.py", Search("d\n"), "d\ne")] or "e" in by_search(pair)[0].replacement
    )


@pytest.mark.parametrize(
    ("old", "new", "block"),
    [(None, "x\n", Create("x.py", "x\n")), ("x\n", None, Delete("x.py"))],
)
def test_whole_files_are_made_and_deleted(old, new, block):
    assert by_search(FilePair("x.py", old, new)) == [block]


@pytest.mark.parametrize(("old", "new"), [("a\r\nb\n", "a\r\nc\n"), ("a\n", "a\r\n"), ("a\n", "a\n")])
def test_what_blocks_cannot_tell_is_left_out(old, new):
    with pytest.raises(Uncut):
        by_search(FilePair("x.py", old, new))


def test_hunks_are_what_leads_from_one_text_to_the_other():
    old, new = split(OLD), split("a\nc\nb\nd\ne\n")
    lines = list(old.lines)
    for hunk in reversed(hunks(old, new)):
        lines[hunk.start : hunk.end] = hunk.lines
    assert tuple(lines) == new.lines
    assert hunks(old, old) == ()


def test_what_was_written_is_read_from_small_pieces():
    blocks = by_search(STEPS[0].pairs[0])
    assert len(blocks) > 3
    assert read_again(blocks) == blocks


def test_figures_are_shares_of_what_was_replayed():
    some = [
        Replayed(language, "", "search", False, 0, why)
        for language, why in (("c", ""), ("c", "no"), ("go", ""))
    ]
    found = {figure.name: figure for figure in replay_figures(some)}
    assert found["replay_applied"].value == pytest.approx(2 / 3)
    assert (found["replay_applied"].min, found["replay_applied"].max, found["replay_applied"].n) == (
        0.5,
        1.0,
        3,
    )
    assert found["replay_applied_c"].value == 0.5
    assert replay_figures([]) == []


def test_figures_count_what_landed_at_a_wrong_place():
    mutant = spoiled(STEPS[:1], 5)[0].mutant
    figures = fault_figures(
        [Judged(mutant, "wrong place"), Judged(mutant, "refused"), Judged(mutant, "repaired")]
    )
    found = {figure.name: figure.value for figure in figures}
    assert found["wrong_place"] == 1
    assert found[f"refused_{mutant.kind.replace(' ', '_')}"] == pytest.approx(1 / 3)
    assert fault_figures([]) == []


def test_every_history_is_of_another_language_and_pinned():
    assert tuple(history.language for history in HISTORIES) == LANGUAGES
    for history in HISTORIES:
        assert all(len(archive.sha256) == 64 for archive in history.releases)
