"""The rule by which an edit goes to the small or to the large model. Plain counts, so that anybody can foresee
it."""

from __future__ import annotations

from typing import Literal

import msgspec

Size = Literal["small", "large"]


class EditScope(msgspec.Struct, frozen=True):
    """How much an edit touches, as far as it is known before the model writes."""

    files: int
    """That may be changed."""
    lines: int
    """Of what was selected, or of the definitions that are meant."""
    diagnostics: int
    """That the edit is to mend."""


class EditRule(msgspec.Struct, frozen=True):
    """What the small model still gets; an edit above any of these goes to the large one."""

    files: int
    lines: int
    diagnostics: int


class Route(msgspec.Struct, frozen=True):
    size: Size
    reason: str
    """For people: what decided."""


def route(scope: EditScope, rule: EditRule) -> Route:
    """Where an edit of this scope goes."""
    above = [
        f"{_counted(count, unit)}, more than {limit}"
        for count, limit, unit in (
            (scope.files, rule.files, "file"),
            (scope.lines, rule.lines, "line"),
            (scope.diagnostics, rule.diagnostics, "diagnostic"),
        )
        if count > limit
    ]
    if above:
        return Route("large", "; ".join(above))
    within = ", ".join(
        (
            _counted(scope.files, "file"),
            _counted(scope.lines, "line"),
            _counted(scope.diagnostics, "diagnostic"),
        )
    )
    return Route("small", f"{within}: within the small model's limits")


def described(rule: EditRule) -> str:
    """The rule as a sentence, for the status."""
    return (
        f"up to {_counted(rule.files, 'file')}, {_counted(rule.lines, 'line')} and "
        f"{_counted(rule.diagnostics, 'diagnostic')} an edit goes to the small model, above any of these to the "
        "large one"
    )


def _counted(count: int, unit: str) -> str:
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"
