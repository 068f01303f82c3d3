"""How large a prompt may be: by what an engine was measured to read in the time that a person waits."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsp.links.budget import (
    COLD_S,
    GONE_S,
    LEAST_BASE_SPEED,
    LEAST_MEASURED,
    LEAST_TOKENS,
    PRIOR_TOKENS_S,
    STEADY,
    WANTED_S,
    Clock,
    Speed,
    base_tokens,
    steady,
    stepped,
)

WINDOW = 262_144


class Time:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@given(st.floats(1, 1e7))
def test_steps_never_exceed_what_was_asked_for(tokens):
    step = stepped(tokens)
    assert step <= tokens + 1 and step * 1.5 + 1 >= tokens and stepped(step) in (step, stepped(step))


@pytest.mark.parametrize(
    ("before", "tokens", "after"),
    [
        (0, 1024, 1024),
        (1024, 1024 / STEADY + 1, 1024),
        (1024, 1024 / STEADY - 20, 724),
        (1024, 1448 * STEADY - 20, 1024),
        (1024, 1448 * STEADY + 20, 1448),
    ],
)
def test_a_budget_stays_while_it_is_nearly_right(before, tokens, after):
    assert steady(before, tokens) == after


@given(st.lists(st.floats(0.9, 1.1), min_size=1, max_size=30))
def test_scattering_measurements_do_not_move_the_budget(scatter):
    speed = Speed(1000.0)
    speed.seen(1000, 1.0)
    before = speed.fresh_tokens()
    for factor in scatter:
        speed.seen(1000, factor)
        assert speed.fresh_tokens() == before


def test_measurements_replace_the_prior_and_outliers_do_not():
    speed = Speed(PRIOR_TOKENS_S["cpu"])
    speed.seen(LEAST_MEASURED - 1, 5.0)
    assert speed.tokens_s == PRIOR_TOKENS_S["cpu"] and not speed.measured
    speed.seen(20_000, 1.0)
    assert speed.tokens_s == pytest.approx(20_000)
    speed.seen(20_000, 4.0)
    assert 12_000 < speed.tokens_s < 20_000
    speed.seen(20_000, 0.0)
    assert speed.measured == 2


@pytest.mark.parametrize(
    ("tokens_s", "first", "last"),
    [(300, LEAST_TOKENS, LEAST_TOKENS), (1_200, LEAST_TOKENS, 4_096), (20_000, 8_192, 46_341)],
)
def test_a_prompt_grows_by_what_may_be_read_anew(tokens_s, first, last):
    """A few thousand tokens on a processor, tens of thousands on a GPU, beside what is cached."""
    speed, clock = Speed(float(tokens_s)), Clock(Time())
    sizes = []
    for _ in range(20):
        tokens = clock.budget(speed, "a.py", WINDOW)
        sizes.append(tokens)
        clock.read("a.py", tokens)
    assert sizes[0] == pytest.approx(first, rel=0.3) and sizes[-1] == pytest.approx(last, rel=0.5)
    assert sizes == sorted(sizes) and len(set(sizes)) <= 8, "in steps, few of them"
    assert max(sizes) <= max(LEAST_TOKENS, tokens_s * COLD_S)
    fresh = [after - before for before, after in itertools.pairwise(sizes)]
    assert all(more <= tokens_s * WANTED_S for more in fresh)


@pytest.mark.parametrize("tokens_s", [300.0, 1_200.0, 20_000.0])
def test_what_nobody_waits_for_is_as_large_as_prompts_become(tokens_s):
    clock, speed = Clock(Time()), Speed(tokens_s)
    whole = clock.whole(speed, WINDOW)
    clock.read("a.py", whole)
    assert clock.budget(speed, "a.py", WINDOW) == whole, "the next one need not grow"
    assert clock.whole(speed, 100) == 100


def test_what_is_read_so_far_counts_and_takes_nothing_away():
    clock, speed = Clock(Time()), Speed(3_000.0)
    sizes = []
    for tokens in (2_000, 5_000, 256):  # the third begins anew, at a place for which most is cached
        clock.read_so_far("a.py", tokens)
        sizes.append(clock.budget(speed, "a.py", WINDOW))
    assert sizes == [2_000 + speed.fresh, 5_000 + speed.fresh, 5_000 + speed.fresh]


def test_another_document_and_a_long_pause_begin_anew():
    time = Time()
    clock, speed = Clock(time), Speed(2_000.0)
    clock.read("a.py", 5_000)
    grown = clock.budget(speed, "a.py", WINDOW)
    assert clock.budget(speed, "b.py", WINDOW) < grown
    time.now_s = GONE_S + 1
    assert clock.budget(speed, "a.py", WINDOW) < grown


@pytest.mark.parametrize("most", [100, 2_000, 40_000])
def test_never_more_than_there_is_room_for(most):
    assert Clock(Time()).budget(Speed(1e6), "a.py", most) <= most
    for window, share in ((most, WINDOW), (WINDOW, most)):
        assert base_tokens(Speed(1e6), window, share) <= most // 2 + 1


def test_a_slow_engine_has_no_base_and_a_fast_one_fills_its_window():
    assert base_tokens(Speed(LEAST_BASE_SPEED - 1), WINDOW, WINDOW) == 0
    assert base_tokens(Speed(PRIOR_TOKENS_S["cuda"]), WINDOW, WINDOW) > WINDOW // 2
