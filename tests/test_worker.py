"""Which of several schedulers does what, and whom an abort names; without a model."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from engine.hosting.worker import is_alone, is_first
from engine.scheduler.scheduling import PrioritySchedule
from engine.scheduler.superseded import Superseded
from engine.scheduler.turns import Turns


@pytest.mark.parametrize(
    ("sizes", "alone"),
    [((1, 1, 1), True), ((2, 1, 1), False), ((1, 2, 1), False), ((1, 1, 2), False), ((2, 2, 2), False)],
)
def test_turns_are_chosen_only_where_nobody_else_chooses(sizes, alone):
    tp, pp, dp = sizes
    assert is_alone(SimpleNamespace(tp_size=tp, pp_size=pp, dp_size=dp)) is alone


def test_one_scheduler_writes_the_step_page():
    assert is_first(0, 0, None)
    ranks = [(tp, pp, dp) for tp in range(2) for pp in range(2) for dp in range(2)]
    assert [each for each in ranks if is_first(*each)] == [(0, 0, 0)]


def aborted(rid: str, *held: str) -> tuple[list[str], list[str]]:
    """Ids that SGLang's rule, every id that begins with the abort's, ends; and the ids of all afterwards."""
    requests = [SimpleNamespace(rid=each) for each in held]
    ended: list[object] = []
    scheduler = SimpleNamespace(
        waiting_queue=requests,
        grammar_manager=SimpleNamespace(grammar_queue=[]),
        chunked_req=None,
        collect_inflight_reqs=list,
    )

    def original(_scheduler, abort):
        ended.extend(each for each in requests if each.rid.startswith(abort.rid))

    schedule = PrioritySchedule(Turns(lambda: 0.0), Superseded(lambda: 0.0), None)
    schedule.abort_exactly(original, scheduler, SimpleNamespace(rid=rid, abort_all=False))
    return [each.rid for each in requests if each in ended], [each.rid for each in requests]


@pytest.mark.parametrize("rid", ["a", "\0", "\0\0", "\1", "\0a"])
def test_an_abort_ends_its_own_request_whatever_characters_ids_hold(rid):
    held = (rid, rid + "b", rid + "\0", "\0" + rid, "c")
    ended, after = aborted(rid, *held)
    assert ended == [each for each in held if each == rid]
    assert after == [*held], "every id is what it was"


def test_an_abort_of_nobody_ends_nobody():
    assert aborted("", "a", "b")[0] == []
