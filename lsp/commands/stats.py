"""`foreword stats`: what became of suggestions, as a table and a chart."""

from __future__ import annotations

from datetime import date

from rich.table import Table
from rich.text import Text

from lsp.happened.figures import By, Day, Figures, Report, report
from lsp.happened.store import Store, StoreTrouble, path_of_store
from lsp.terminal import EXIT_EMPTY, fail, out, print_json

BAR = 40
"""Columns of the longest bar: a day on which every suggestion was accepted."""

CHART_DAYS = 31
"""Days that fit on a screen; of more the last ones are drawn."""

COLUMNS = ("shown", "accepted", "partly", "typed", "rejected", "kept", "no engine", "p50", "chars")


def run_stats(days: int, by: By, *, as_json: bool) -> None:
    """Ends with 3 where nothing was counted."""
    store = Store(path_of_store())
    try:
        found = report(store, days, by, date.today())
    except StoreTrouble as trouble:
        fail(store.note or str(trouble))
    if found is None:
        fail(f"no suggestion was counted in the last {_days(days)} ({store.path})", EXIT_EMPTY)
    if as_json:
        print_json(found)
        return
    show(found)


def run_forget(*, as_json: bool) -> None:
    store = Store(path_of_store())
    try:
        count = store.forget()
    except StoreTrouble as trouble:
        fail(store.note or str(trouble))
    if as_json:
        print_json({"forgotten": count, "path": str(store.path)})
    else:
        out.print(f"forgot what became of {count:,} suggestion{'' if count == 1 else 's'}")


def show(found: Report) -> None:
    out.print(_table(found))
    for note in _notes(found):
        out.print(f"[dim]{note}[/]")
    out.print()
    drawn = found.daily[-CHART_DAYS:]
    title = "accepted" if len(drawn) == len(found.daily) else f"accepted, the last {_days(len(drawn))}"
    out.print(
        Text.assemble(("█", "green"), f" {title}  ", ("▒", "cyan"), " a part of it  ", ("·", "dim"), " not")
    )
    widest = max(len(str(day.shown)) for day in drawn)
    for day in drawn:
        out.print(_bar(day, widest))


def _table(found: Report) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column(found.by, overflow="fold")  # a model's name may be longer than all the rest
    for name in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    for row in found.groups:
        table.add_row(*_cells(row))
    if len(found.groups) > 1:
        table.add_section()
        table.add_row(*_cells(found.total), style="bold")
    return table


def _cells(row: Figures) -> list[str]:
    without = None if row.engine_share is None else 1 - row.engine_share
    return [
        row.name,
        f"{row.shown:,}",
        _of(row.accepted, row.shown),
        _of(row.partly, row.shown),
        _of(row.typed, row.shown),
        _of(row.rejected, row.shown),
        _percent(row.kept_share),
        _percent(without),
        "–" if row.latency_p50_ms is None else f"{row.latency_p50_ms / 1000:.2f} s",
        f"{row.accepted_characters:,}",
    ]


def _notes(found: Report) -> list[str]:
    total = found.total
    notes = [
        f"The last {_days(found.days)}. kept: of what was accepted, there 30 s later, wholly or for the most part."
    ]
    if total.looked_at:
        notes.append(f"Of {total.looked_at:,} looked for, {total.kept_whole:,} stood there as they were.")
    if total.supposed_shown:
        notes.append(
            f"{total.supposed_shown:,} of {total.shown:,} were sent to editors that do not tell what they show: "
            "sent counts as shown."
        )
    if total.sent > total.shown:
        notes.append(f"{total.sent - total.shown:,} more were sent and never shown.")
    taken = total.accepted + total.partly
    if total.told < taken:
        notes.append(
            f"{taken - total.told:,} of {taken:,} acceptances are inferred from what the document became."
        )
    return notes


def _bar(day: Day, widest: int) -> Text:
    """Its length is the share, so that days of much and of little typing can be compared."""
    if not day.shown:
        return Text(f"{day.day}  {'':{BAR}}  {'–':>{widest}}", "dim")
    accepted = round(BAR * day.accepted / day.shown)
    taken = round(BAR * (day.accepted + day.partly) / day.shown)
    share = f"{(day.accepted + day.partly) / day.shown:4.0%}"
    return Text.assemble(
        f"{day.day}  ",
        ("█" * accepted, "green"),
        ("▒" * (taken - accepted), "cyan"),
        ("·" * (BAR - taken), "dim"),
        f"  {share} of {day.shown:>{widest}}",
    )


def _of(part: int, whole: int) -> str:
    return _percent(part / whole) if whole else "–"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{share:.0%}"


def _days(days: int) -> str:
    return "day" if days == 1 else f"{days} days"
