"""Which looked-up tokens of a batch's requests are worth to be verified in its next step."""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from engine.cpu.speculation.lookup import AcceptRates, Proposal, RowCosts, TokenText, rows_worth
from engine.cpu.speculation.speculation import MOST_ROWS, Mode
from engine.cpu.speculation.verification import tokens_left

PRIOR_ROW_COST = 0.025
"""Until it is measured, each further row is taken to cost this share of a step: 8 rows were measured at 1.1 to 1.2
steps of one, of the 0.5B model in 8 bits by our own products on one and two threads."""


class Followed:
    """A request whose text is looked up."""

    def __init__(self, request: Any, of_others: AcceptRates) -> None:
        self.text = TokenText(request.origin_input_ids)
        self.rates = AcceptRates(of_others)
        self._of_others = of_others
        self._prompt_tokens = len(self.text)
        self._proposal: Proposal | None = None

    def next(self, request: Any, limit: int) -> Proposal | None:
        """Take in what was generated since the last time, learn from it, and propose what may follow."""
        new = request.output_ids[len(self.text) - self._prompt_tokens :].tolist()
        if self._proposal is not None:
            self.rates.observe(self._proposal, new)
            self._of_others.observe(self._proposal, new)
        self.text.extend(new)
        self._proposal = self.text.propose(limit)
        return self._proposal


class Proposals:
    """Looks up what may follow in each request's text, and learns from what followed."""

    def __init__(self, mode: Mode) -> None:
        self._mode = mode
        self._rates = AcceptRates()
        self.costs = RowCosts(prior_cost)
        """Of steps, to be told by whoever runs them."""
        self._followed: WeakKeyDictionary[Any, Followed] = WeakKeyDictionary()

    def forget(self) -> None:
        self._followed.clear()

    def choose(self, requests: list[Any]) -> list[list[int]]:
        """For each request of a greedy batch the tokens to verify, which may be none."""
        if len(requests) >= MOST_ROWS:
            return [[] for _ in requests]
        followed = [self._follow(each) for each in requests]
        proposals = [
            each.next(request, min(MOST_ROWS - 1, tokens_left(request)))
            for each, request in zip(followed, requests, strict=True)
        ]
        survivals = [
            each.rates.survival(proposal) if proposal is not None else []
            for each, proposal in zip(followed, proposals, strict=True)
        ]
        if self._mode is Mode.ON:
            share = MOST_ROWS // len(requests) - 1
            counts = [min(len(each), share) for each in survivals]
        else:
            counts = rows_worth(survivals, self.costs, MOST_ROWS)
        return [each.tokens[:count] if each else [] for each, count in zip(proposals, counts, strict=True)]

    def _follow(self, request: Any) -> Followed:
        followed = self._followed.get(request)
        if followed is None:
            followed = self._followed[request] = Followed(request, self._rates)
        return followed


def prior_cost(rows: int) -> float:
    """Cost of a step of some rows before any was measured: weights are read once however many rows there are."""
    return 1.0 + PRIOR_ROW_COST * (rows - 1)
