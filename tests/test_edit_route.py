"""Which model gets an edit, and what is said about it."""

from __future__ import annotations

import pytest

from engine.endpoints.edit_route import EditRule, EditScope, described, route

RULE = EditRule(files=1, lines=60, diagnostics=3)

ROUTES = [
    (EditScope(1, 1, 0), "small", "1 file, 1 line, 0 diagnostics: within the small model's limits"),
    (EditScope(1, 60, 3), "small", "1 file, 60 lines, 3 diagnostics: within the small model's limits"),
    (EditScope(0, 0, 0), "small", "0 files, 0 lines, 0 diagnostics: within the small model's limits"),
    (EditScope(2, 1, 0), "large", "2 files, more than 1"),
    (EditScope(1, 61, 0), "large", "61 lines, more than 60"),
    (EditScope(1, 1, 4), "large", "4 diagnostics, more than 3"),
    (EditScope(12, 4000, 0), "large", "12 files, more than 1; 4,000 lines, more than 60"),
]


@pytest.mark.parametrize(("scope", "size", "reason"), ROUTES)
def test_route(scope: EditScope, size: str, reason: str) -> None:
    chosen = route(scope, RULE)
    assert (chosen.size, chosen.reason) == (size, reason)


@pytest.mark.parametrize("field", ["files", "lines", "diagnostics"])
def test_limits_of_nothing_send_everything_to_the_large_one(field: str) -> None:
    nothing = EditRule(files=0, lines=0, diagnostics=0)
    one = {"files": 0, "lines": 0, "diagnostics": 0, field: 1}
    assert route(EditScope(**one), nothing).size == "large"


def test_the_rule_in_words() -> None:
    assert described(RULE) == (
        "up to 1 file, 60 lines and 3 diagnostics an edit goes to the small model, above any of these to the large one"
    )
