"""Proposals are what followed the longest earlier match; they are made only where they pay."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.cpu.speculation.lookup import (
    COST_SAMPLES,
    MAX_MATCH_TOKENS,
    MIN_COST_SAMPLES,
    MIN_MATCH_TOKENS,
    AcceptRates,
    Proposal,
    RowCosts,
    TokenText,
    rows_worth,
)

few_tokens = st.lists(st.integers(0, 3), max_size=60)


def reference(tokens: list[int], limit: int) -> tuple[list[int], int] | None:
    """The longest earlier match, found by trying every place; the latest of equally long ones."""
    best: tuple[int, int] | None = None
    for end in range(1, len(tokens)):
        matched = 0
        while matched < min(end, MAX_MATCH_TOKENS) and tokens[end - 1 - matched] == tokens[-1 - matched]:
            matched += 1
        if matched >= MIN_MATCH_TOKENS and (best is None or matched >= best[1]):
            best = (end, matched)
    return (tokens[best[0] : best[0] + limit], best[1]) if best else None


@given(prompt=few_tokens, pieces=st.lists(few_tokens, max_size=4), limit=st.integers(1, 8))
def test_proposals_follow_the_longest_earlier_match(prompt, pieces, limit):
    text = TokenText(prompt)
    tokens = list(prompt)
    for piece in [[], *pieces]:
        text.extend(piece)
        tokens += piece
        proposal = text.propose(limit)
        expected = reference(tokens, limit)
        assert (proposal and (proposal.tokens, proposal.matched)) == expected
        assert len(text) == len(tokens)


@pytest.mark.parametrize(
    "tokens, limit, expected",
    [
        ([1, 2, 3, 4, 1, 2], 8, ([3, 4, 1, 2], 2)),
        ([1, 2, 3, 4, 1, 2], 1, ([3], 2)),
        ([1, 2, 3, 1, 2, 4, 1, 2], 1, ([4], 2)),  # the latest of two
        ([9, 1, 2, 3, 1, 2, 4, 9, 1, 2], 1, ([3], 3)),  # the longer one before the later one
        ([7, 7, 7, 7], 4, ([7], 3)),  # a run proposes itself
        ([1, 2, 3, 2], 4, ([3, 2], 1)),  # a single token is a match
        ([5, 6], 4, None),
        ([1, 2, 3, 1, 2], 0, None),
    ],
)
def test_proposals(tokens, limit, expected):
    proposal = TokenText(tokens).propose(limit)
    assert (proposal and (proposal.tokens, proposal.matched)) == expected


def test_survival_never_rises_and_learns():
    rates = AcceptRates()
    proposal = Proposal(tokens=[1, 2, 3, 4], matched=2)
    before = rates.survival(proposal)
    assert before == sorted(before, reverse=True)
    for _ in range(50):
        rates.observe(proposal, [1, 2, 3, 4])
    better = rates.survival(proposal)
    assert all(new > old for new, old in zip(better, before, strict=True))
    for _ in range(200):
        rates.observe(proposal, [9])
    assert rates.survival(proposal)[0] < 0.05
    # what lies behind the first wrong token was never reached: its own rate is as it was
    longer = Proposal(tokens=[2, 3, 4], matched=3)
    assert rates.survival(longer)[0] > 0.9


def test_nothing_is_learned_past_what_came():
    rates = AcceptRates()
    proposal = Proposal(tokens=[1, 2, 3], matched=5)
    before = rates.survival(proposal)
    rates.observe(proposal, [])
    assert rates.survival(proposal) == before


def costs_of(seconds: dict[int, float]) -> RowCosts:
    costs = RowCosts(lambda rows: 1.0 + 0.1 * (rows - 1))
    for rows, each in seconds.items():
        for _ in range(MIN_COST_SAMPLES):
            costs.observe(rows, each)
    return costs


@pytest.mark.parametrize(
    "survivals, seconds, expected",
    [
        pytest.param([[0.9, 0.8, 0.7]], {}, [3], id="likely and cheap: all"),
        pytest.param([[0.05, 0.01]], {}, [0], id="unlikely: none"),
        pytest.param([[]], {}, [0], id="nothing found"),
        pytest.param([[0.9, 0.8]], {1: 0.02, 2: 0.04, 3: 0.06}, [0], id="a row costs a step: none"),
        pytest.param([[0.9, 0.1, 0.05]], {}, [1], id="only what is likely"),
        pytest.param([[0.9, 0.85], []], {}, [2, 0], id="beside a request without proposals"),
        pytest.param([[0.2, 0.1], [0.95, 0.9]], {}, [0, 2], id="the likelier request first"),
        pytest.param(
            [[0.5, 0.5, 0.5, 0.5]], {1: 1.0, 2: 2.0, 3: 1.1, 4: 2.0, 5: 2.0}, [2], id="past a dear number"
        ),
    ],
)
def test_rows_that_are_worth_it(survivals, seconds, expected):
    assert rows_worth(survivals, costs_of(seconds), 9) == expected


def test_rows_of_a_step_are_bounded():
    certain = [[1.0] * 8, [1.0] * 8, [1.0] * 8]
    assert sum(rows_worth(certain, costs_of({}), 9)) == 6
    assert rows_worth([[1.0]] * 9, costs_of({}), 9) == [0] * 9


def test_a_disturbed_step_does_not_count():
    costs = costs_of({1: 0.010, 4: 0.012})
    costs.observe(4, 5.0)
    assert costs.seconds(4) == pytest.approx(0.012)


def test_costs_that_nobody_measures_any_more_are_forgotten():
    """A disturbance that made rows look dear must not keep them from ever being tried again."""
    costs = costs_of({1: 0.010, 4: 0.100})
    assert costs.seconds(4) == pytest.approx(0.100)
    for _ in range(100 * COST_SAMPLES):
        costs.observe(1, 0.010)
    assert costs.seconds(4) == pytest.approx(0.010 * 1.3)


def test_a_long_text_grows_token_by_token():
    chosen = random.Random(3)
    tokens = [chosen.randrange(50) for _ in range(500)]
    text = TokenText(tokens[:1])
    for each in tokens[1:]:
        text.extend([each])
    assert text.propose(4) == TokenText(tokens).propose(4)
