"""When an endpoint is left alone and when it is tried again, on a clock of the test's own."""

from __future__ import annotations

from typing import Any

import pytest

from engine.endpoints.faults import EngineRequestError, Fault, PromptTooLargeError
from engine.endpoints.health import (
    BACK_OFF_MAX_S,
    BACK_OFF_S,
    FORGET_S,
    JITTER,
    MISCONFIGURED_S,
    RETRY_AFTER_MAX_S,
    Health,
    Verdict,
    verdict,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def health(clock: Clock, chance: float = 0.0) -> Health:
    return Health(clock=clock, chance=lambda: chance)


def error(fault: Fault = "unreachable", **more: Any) -> EngineRequestError:
    return EngineRequestError(fault, f"it was {fault}", **more)


ON, AWAY, MENDED, HERE = (
    Verdict(True, "no"),
    Verdict(True, "back-off"),
    Verdict(True, "misconfigured"),
    Verdict(False, "no"),
)

VERDICTS = [
    (error("unreachable"), AWAY),
    (error("timeout"), AWAY),
    (error("dropped"), AWAY),
    (error("protocol"), AWAY),
    (error("protocol", status=500), AWAY),
    (error("busy", status=429), AWAY),
    (error("busy", status=503), AWAY),
    (error("draining", status=503), AWAY),
    (error("refused", status=401), MENDED),
    (error("refused", status=403), MENDED),
    (error("request", status=404), MENDED),
    (error("request", status=405), MENDED),
    (error("request", status=301), MENDED),
    (error("aborted"), ON),
    (error("starting"), ON),
    (PromptTooLargeError("it", prompt_tokens=9, max_tokens=1, context_tokens=8), ON),
    (error("request", only_here=True), ON),
    (error("request", status=400, only_here=True), ON),
    (error("request", status=400), HERE),
    (error("request", status=422), HERE),
    (error("request"), HERE),
]


@pytest.mark.parametrize(("failed", "meant"), VERDICTS)
def test_what_a_fault_means(failed: EngineRequestError, meant: Verdict) -> None:
    assert verdict(failed) == meant


def test_back_off_doubles_up_to_its_cap(clock: Clock) -> None:
    one = health(clock)
    waits = []
    for _ in range(9):
        one.failed(error(), one.began())
        waits.append(one.again_in_s)
        clock.now += one.again_in_s
    assert waits[:4] == [BACK_OFF_S, 2 * BACK_OFF_S, 4 * BACK_OFF_S, 8 * BACK_OFF_S]
    assert waits[-1] == BACK_OFF_MAX_S == max(waits)


@pytest.mark.parametrize(("chance", "wait_s"), [(0.0, BACK_OFF_S), (1.0, BACK_OFF_S * (1 + JITTER))])
def test_chance_adds_to_the_wait(clock: Clock, chance: float, wait_s: float) -> None:
    one = health(clock, chance)
    one.failed(error(), one.began())
    assert one.again_in_s == pytest.approx(wait_s)


def test_one_request_tries_it_again_and_the_others_wait(clock: Clock) -> None:
    one = health(clock)
    assert (one.state, one.due) == ("untried", True)
    one.failed(error(), one.began())
    assert (one.state, one.due) == ("waiting", False)
    clock.now += BACK_OFF_S
    assert one.due
    began = one.began()
    assert (one.state, one.due) == ("trying", False)
    one.failed(error(), began)
    assert (one.state, one.due, one.again_in_s) == ("waiting", False, 2 * BACK_OFF_S)
    clock.now += 2 * BACK_OFF_S
    one.began()
    assert one.answered()
    assert (one.state, one.due, one.failures, one.again_in_s) == ("ready", True, 0, 0.0)
    assert not one.answered()


def test_a_trial_that_was_given_up_leaves_the_way_free(clock: Clock) -> None:
    one = health(clock)
    one.failed(error(), one.began())
    clock.now += BACK_OFF_S
    one.given_up(one.began())
    assert (one.state, one.due) == ("waiting", True)


def test_requests_that_fail_together_are_one_failure(clock: Clock) -> None:
    one = health(clock)
    together = [one.began() for _ in range(5)]
    clock.now += 0.1
    for began in together:
        one.failed(error(), began)
    assert (one.failures, one.again_in_s) == (1, BACK_OFF_S)


def test_given_up_requests_add_up_until_text_comes(clock: Clock) -> None:
    one = health(clock)
    for waited in (3.0, 6.0):
        began = one.began()
        clock.now += 3.0
        assert one.given_up(began) == waited
    one.answered()
    began = one.began()
    clock.now += 1.0
    assert one.given_up(began) == 1.0


def test_whoever_types_gives_up_on_a_healthy_one(clock: Clock) -> None:
    one = health(clock)
    for _ in range(70):
        began = one.began()
        clock.now += 0.3
        assert one.given_up(began, counts_from_s=2.0) == 0.0


def test_time_in_which_several_waited_counts_once(clock: Clock) -> None:
    one = health(clock)
    together = [one.began() for _ in range(5)]
    clock.now += 3.0
    assert [one.given_up(began) for began in together] == [3.0] * 5


def test_what_was_waited_for_long_ago_is_forgotten(clock: Clock) -> None:
    one = health(clock)
    for pause, waited in ((0.0, 3.0), (FORGET_S, 6.0), (FORGET_S + 1, 3.0)):
        clock.now += pause
        began = one.began()
        clock.now += 3.0
        assert one.given_up(began) == waited


def test_a_trial_that_ended_in_any_way_leaves_the_way_free(clock: Clock) -> None:
    one = health(clock)
    before = one.began()
    clock.now += 1.0
    one.failed(error(), one.began())
    clock.now += BACK_OFF_S
    trial = one.began()
    one.ended(before)
    assert (one.state, one.due) == ("trying", False), "that was another request"
    one.ended(trial)
    assert (one.state, one.due) == ("waiting", True)


@pytest.mark.parametrize(
    ("failed", "wait_s"),
    [
        (error("busy", retry_after_s=30.0), 30.0),
        (error("busy", retry_after_s=0.1), BACK_OFF_S),
        (error("busy", retry_after_s=1e9), RETRY_AFTER_MAX_S),
        (error("refused", status=401), MISCONFIGURED_S),
        (error("request", status=404), MISCONFIGURED_S),
        (error("starting"), 0.0),
        (error("request", status=400), 0.0),
    ],
)
def test_how_long_it_is_left_alone(clock: Clock, failed: EngineRequestError, wait_s: float) -> None:
    one = health(clock)
    one.failed(failed, one.began())
    assert one.again_in_s == wait_s
    assert one.due == (wait_s == 0.0)
