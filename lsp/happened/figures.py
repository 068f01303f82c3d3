"""What the records say: shares and medians for a table, a chart and a JSON document."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Literal

import msgspec

from lsp.happened.store import Store, Sums

By = Literal["language", "model", "day", "kind"]


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of some suggestions. Shares are of what was shown, from 0 to 1; None where there is nothing to divide by."""

    name: str
    sent: int
    shown: int
    """What the client says it showed, and all that was sent where it says nothing."""
    supposed_shown: int
    """Of these, where the client says nothing."""
    accepted: int
    partly: int
    typed: int
    rejected: int
    acceptance: float | None
    """Accepted wholly or partly."""
    told: int
    """Acceptances of which the client has told."""
    looked_at: int
    """Accepted ones that were looked for 30 s later."""
    kept_whole: int
    kept_part: int
    kept_share: float | None
    """Of those that were looked for, there wholly or in part."""
    engine_share: float | None
    """Of all that was sent, what the engine was needed for."""
    latency_p50_ms: float | None
    """Of single suggestions; None where only sums are left."""
    characters: int
    """That were shown."""
    accepted_characters: int
    lines: int


class Day(msgspec.Struct, frozen=True):
    day: str
    shown: int
    accepted: int
    partly: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    since: str
    days: int
    by: By
    total: Figures
    groups: list[Figures]
    daily: list[Day]
    """One for each day, those without suggestions too, from the first that has some."""


def report(store: Store, days: int, by: By, today: date) -> Report | None:
    """Of the last so many days, today included; None where nothing was counted. Blocks; raises StoreTrouble."""
    since = (today - timedelta(days=days - 1)).isoformat()
    rows = store.sums(since)
    if not rows:
        return None
    times = store.latencies(since)
    place = ("day", "language", "model", "kind").index(by)

    def figures(
        name: str, of: Sequence[Sums], wanted: Callable[[tuple[str, str, str, str, int]], bool]
    ) -> Figures:
        return _figures(name, of, [each[-1] for each in times if wanted(each)])

    names = sorted({str(getattr(row, by)) for row in rows})
    groups = [
        figures(
            name,
            [row for row in rows if getattr(row, by) == name],
            lambda each, name=name: each[place] == name,
        )
        for name in names
    ]
    if by != "day":
        groups.sort(key=lambda each: -each.shown)
    return Report(
        since=since,
        days=days,
        by=by,
        total=figures("all", rows, lambda _: True),
        groups=groups,
        daily=_daily(rows, today),
    )


def _figures(name: str, rows: Sequence[Sums], times_ms: Sequence[int]) -> Figures:
    shown = [row for row in rows if row.outcome != "unseen"]
    taken = [row for row in rows if row.outcome in ("accepted", "partly")]
    sent, seen, looked_at = _count(rows), _count(shown), sum(row.judged for row in taken)
    whole, part = sum(row.whole for row in taken), sum(row.part for row in taken)
    return Figures(
        name=name,
        sent=sent,
        shown=seen,
        supposed_shown=_count(row for row in shown if row.shown < 0),
        accepted=_count(row for row in rows if row.outcome == "accepted"),
        partly=_count(row for row in rows if row.outcome == "partly"),
        typed=_count(row for row in rows if row.outcome == "typed"),
        rejected=_count(row for row in rows if row.outcome == "rejected"),
        acceptance=_share(_count(taken), seen),
        told=_count(row for row in taken if row.told),
        looked_at=looked_at,
        kept_whole=whole,
        kept_part=part,
        kept_share=_share(whole + part, looked_at),
        engine_share=_share(_count(row for row in rows if row.engine), sent),
        latency_p50_ms=statistics.median(times_ms) if times_ms else None,
        characters=sum(row.characters for row in shown),
        accepted_characters=sum(row.taken_characters for row in taken),
        lines=sum(row.lines for row in shown),
    )


def _daily(rows: Sequence[Sums], today: date) -> list[Day]:
    first = date.fromisoformat(min(row.day for row in rows))
    days: list[Day] = []
    for number in range(max(0, (today - first).days) + 1):
        day = (first + timedelta(days=number)).isoformat()
        of = [row for row in rows if row.day == day and row.outcome != "unseen"]
        accepted = _count(row for row in of if row.outcome == "accepted")
        days.append(Day(day, _count(of), accepted, _count(row for row in of if row.outcome == "partly")))
    return days


def _count(rows: Iterable[Sums]) -> int:
    return sum(row.count for row in rows)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
