"""Where a completion ends: the table of `trim_cases`, and what holds whatever a model writes."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Iterable

import pytest
from trim_table import Case, cases

from lsp.trim import Decision, Place, Trimmer
from lsp.trimming.near import REACH_CHARS, Near, near

CURSOR = "▮"
CASES = cases()
SEEDS = range(4)


def check(case: Case, decision: Decision) -> None:
    assert decision.text == case.keeps
    assert decision.replaced == case.replaces
    assert decision.done
    if case.keeps:
        assert not decision.why
    else:
        assert any(part in decision.why for part in case.why.split("|")), decision.why


def streamed(
    place: Place, writes: str, ends: Iterable[int], *, cut: bool = False
) -> tuple[Decision, int | None]:
    """What is decided of a text that comes in pieces with these ends, and after how much of it, if early."""
    trimmer = Trimmer(place)
    for end in ends:
        decision = trimmer.feed(writes[:end])
        if decision.done:
            return decision, end
    return trimmer.finish(writes, cut=cut), None


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_whole_text(case: Case) -> None:
    check(case, Trimmer(case.place).finish(case.writes, cut=case.cut))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_character_by_character(case: Case) -> None:
    """What was shown as whole is not replaced by something else, and the stream ends where the table says."""
    trimmer = Trimmer(case.place)
    shown, stop = "", None
    for end in range(1, len(case.writes) + 1):
        decision = trimmer.feed(case.writes[:end])
        if decision.done:
            stop = end
            break
        assert decision.text.startswith(shown) or shown.startswith(decision.text)
        shown = decision.text
    else:
        decision = trimmer.finish(case.writes, cut=case.cut)
    check(case, decision)
    assert stop == case.stop


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_in_pieces(case: Case) -> None:
    """A stream ends with the same text however it is cut into tokens."""
    for seed in SEEDS:
        cuts = sorted(random.Random(seed).sample(range(1, len(case.writes) + 1), len(case.writes) // 4))
        check(case, streamed(case.place, case.writes, cuts, cut=case.cut)[0])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_one_line_or_many(case: Case) -> None:
    assert (case.decided.block == case.block) is not case.given


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

    def taken(methods: int) -> int:
        """Bytes that a token takes at most, in a file with so many methods before and after it."""
        around = method * methods
        trimmer = Trimmer(Place(f"class A:\n{around}    def f(self):\n", f"\n{around}", True))
        trimmer.feed(written)
        tracemalloc.start()
        try:
            assert not trimmer.feed(written).done
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert taken(7_000) < 2 * taken(700)


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


def test_the_table_is_large_enough() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 150
    assert len({case.language for case in CASES}) >= 8
