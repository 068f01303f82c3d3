"""Whose turn it is, and which aborts were early: the rules themselves, with a clock of the test's own."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from engine.scheduler.superseded import REMEMBERED, REMEMBERED_S, Superseded
from engine.scheduler.turns import AGEING_S, Turns


class Asked(NamedTuple):
    rid: str
    priority: int | None


COMPLETION, EDIT, PREFETCH, WARM_UP = (
    Asked("completion", 10),
    Asked("edit", 0),
    Asked("prefetch", -5),
    Asked("warm-up", -10),
)
UNNAMED = Asked("unnamed", None)


class Clock:
    def __init__(self):
        self.now_s = 1000.0

    def __call__(self):
        return self.now_s


@pytest.mark.parametrize(
    ("waiting", "begun", "answering", "allowed"),
    [
        ([], None, [], set()),
        ([], None, [COMPLETION], set()),
        ([EDIT, COMPLETION], None, [], {"completion"}),
        ([COMPLETION], EDIT, [], {"completion"}),
        ([COMPLETION, WARM_UP], EDIT, [], {"completion"}),
        ([], WARM_UP, [], {"warm-up"}),
        ([], WARM_UP, [EDIT], set()),
        ([WARM_UP], PREFETCH, [], {"prefetch"}),
        ([PREFETCH], WARM_UP, [], {"prefetch"}),
        ([EDIT], None, [COMPLETION], set()),
        ([COMPLETION], None, [EDIT], {"completion"}),
        ([EDIT, UNNAMED], None, [], {"edit", "unnamed"}),
        ([EDIT], None, [UNNAMED], {"edit"}),
        ([Asked("a", 10), Asked("b", 10)], Asked("c", 10), [], {"a", "b", "c"}),
    ],
)
def test_only_the_highest_are_read(waiting, begun, answering, allowed):
    assert Turns(Clock()).allowed(waiting, begun, answering) == allowed


def test_an_edit_gets_a_step_when_it_has_waited():
    clock = Clock()
    turns = Turns(clock)
    assert turns.allowed([EDIT, COMPLETION, WARM_UP], None, []) == {"completion"}
    clock.now_s += AGEING_S - 0.01
    assert turns.allowed([EDIT, COMPLETION, WARM_UP], None, []) == {"completion"}
    clock.now_s += 0.01
    assert turns.allowed([EDIT, WARM_UP], COMPLETION, []) == {"edit"}, "whatever else waits, or has begun"
    assert turns.allowed([COMPLETION, WARM_UP], EDIT, []) == {"completion"}, "one step, and no more"
    clock.now_s += AGEING_S
    assert turns.allowed([EDIT, WARM_UP], None, [COMPLETION]) == {"edit"}
    assert turns.allowed([EDIT, WARM_UP], None, [COMPLETION]) == set(), "spent, though it was not admitted"


def test_work_that_nobody_waits_for_does_not_age():
    clock = Clock()
    turns = Turns(clock)
    for _ in range(100):
        assert turns.allowed([WARM_UP, PREFETCH], None, [EDIT]) == set()
        clock.now_s += AGEING_S


def test_waiting_of_requests_that_are_gone_is_forgotten():
    clock = Clock()
    turns = Turns(clock)
    turns.allowed([EDIT], None, [COMPLETION])
    clock.now_s += AGEING_S
    turns.allowed([], None, [COMPLETION])
    assert turns.allowed([EDIT], None, [COMPLETION]) == set()


def test_an_abort_before_its_request_drops_it_once():
    clock = Clock()
    superseded = Superseded(clock)
    assert superseded.abort("a")
    assert superseded.arrive("a")
    assert not superseded.arrive("a"), "the same id may be used again"
    assert not superseded.arrive("b")
    assert not superseded.abort("b"), "it was there already"
    assert not superseded.arrive("b")


def test_early_aborts_are_bounded_in_time_and_number():
    clock = Clock()
    superseded = Superseded(clock)
    superseded.abort("old")
    clock.now_s += REMEMBERED_S + 1
    assert not superseded.arrive("old")
    for number in range(REMEMBERED + 1):
        superseded.abort(f"rid-{number}")
    assert not superseded.arrive("rid-0")
    assert superseded.arrive("rid-1")
    assert superseded.arrive(f"rid-{REMEMBERED}")
