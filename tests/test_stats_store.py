"""The file of what became of suggestions: whole, private, bounded, and never in anybody's way."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest

from lsp.documents import Snapshot
from lsp.happened import store as stores
from lsp.happened.figures import report
from lsp.happened.outcomes import Outcomes, Sent
from lsp.happened.records import Record
from lsp.happened.store import Store, StoreTrouble, path_of_store

TODAY = date(2026, 3, 1)
RECORD = Record(
    at=1_772_000_000,
    day="2026-03-01",
    language="python",
    model="a model",
    kind="one line",
    outcome="accepted",
    shown=None,
    told=True,
    engine=True,
    latency_ms=100,
    characters=20,
    lines=1,
    taken_characters=20,
    kept=1.0,
)


def made(**changes: object) -> Record:
    return msgspec.structs.replace(RECORD, **changes)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "state" / "stats.sqlite3")


def count(store: Store) -> int:
    return sum(each.count for each in store.sums("2000-01-01"))


def test_it_is_this_users_alone_and_in_the_state_folder(store: Store) -> None:
    store.append([RECORD], TODAY)
    with store._open() as open_:
        open_.execute("INSERT INTO sums SELECT * FROM sums")  # its log stands beside it now
        files = list(store.path.parent.iterdir())
        assert {stat.S_IMODE(each.stat().st_mode) for each in files} == {0o600}
    assert stat.S_IMODE(store.path.parent.stat().st_mode) == 0o700
    assert path_of_store() == Path(os.environ["XDG_STATE_HOME"]) / "foreword" / "stats.sqlite3"


def test_a_file_that_others_could_read_is_closed_to_them(store: Store) -> None:
    store.append([RECORD], TODAY)
    store.path.chmod(0o644)
    store.append([RECORD], TODAY)
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


WRITER = """
import sys
from datetime import date
from pathlib import Path
import msgspec
from lsp.happened.records import Record
from lsp.happened.store import Store
record = msgspec.json.decode(sys.argv[2], type=Record)
for _ in range(40):
    Store(Path(sys.argv[1])).append([record] * 5, date(2026, 3, 1))
"""


def test_several_processes_write_at_once(store: Store) -> None:
    arguments = [sys.executable, "-c", WRITER, str(store.path), msgspec.json.encode(RECORD).decode()]
    writers = [subprocess.Popen(arguments) for _ in range(3)]
    assert [each.wait(60) for each in writers] == [0, 0, 0]
    assert count(store) == 600 and store.note == ""


@pytest.mark.parametrize(
    ("why", "content"),
    [
        ("damaged", b"no database at all, but long enough to be looked at" * 40),
        ("damaged", None),
        ("newer", b""),
    ],
)
def test_a_file_that_cannot_be_used_is_set_aside(store: Store, why: str, content: bytes | None) -> None:
    store.append([RECORD] * 500, TODAY)
    if why == "newer":
        with store._open() as open_:
            open_.execute(f"PRAGMA user_version = {stores.VERSION + 1}")
    elif content is None:  # a page in its middle was overwritten
        whole = bytearray(store.path.read_bytes())
        whole[4096:12288] = b"\xff" * 8192
        store.path.write_bytes(whole)
    else:
        store.path.write_bytes(content)
    for _ in range(2):
        try:
            store.append([RECORD], TODAY)
        except StoreTrouble:
            assert why == "damaged"
    assert why in store.note or "newer" in store.note
    assert 1 <= count(store) <= 2
    aside = store._set_aside()
    assert len(aside) == 1 and f".{why}-" in aside[0].name and aside[0].stat().st_size > 0


def test_only_the_last_ones_that_were_set_aside_stay(store: Store) -> None:
    store.path.parent.mkdir()
    for number in range(6):
        store.path.with_name(f"stats.sqlite3.damaged-2026010{number}-000000").write_bytes(b"x")
    store.path.write_bytes(b"no database" * 100)
    with pytest.raises(StoreTrouble):
        store.append([RECORD], TODAY)
    assert len(store._set_aside()) == stores.KEPT_ASIDE
    assert store.forget() == 0 and store._set_aside() == []


def test_days_that_are_over_become_sums(store: Store) -> None:
    old = (TODAY - timedelta(days=stores.RAW_DAYS + 1)).isoformat()
    rows = [made(day=old, kept=kept, latency_ms=50) for kept in (1.0, 0.8, 0.2)]
    rows += [made(day=old, outcome="rejected", kept=None, taken_characters=0), RECORD]
    store.append(rows, TODAY - timedelta(days=50))
    before = report(store, 200, "day", TODAY)
    store.append([], TODAY)
    store.append([made(day=old)], TODAY)  # one that comes late is added to its day
    with store._open() as open_:
        assert open_.execute("SELECT day, count(*) FROM suggestions").fetchall() == [("2026-03-01", 1)]
    after = report(store, 200, "day", TODAY)
    assert before is not None and after is not None
    first, then = before.groups[0], after.groups[0]
    assert (then.name, then.shown, then.accepted) == (old, 5, 4)
    assert (first.kept_whole, first.kept_part, first.looked_at) == (1, 1, 3)
    assert (then.kept_whole, then.kept_part, then.looked_at) == (2, 1, 4)
    assert first.latency_p50_ms == 50 and then.latency_p50_ms is None
    assert then.characters == first.characters + 20


def test_rows_are_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "MAX_RAW", 40)
    for back in range(10, 0, -1):
        store.append([made(day=(TODAY - timedelta(days=back)).isoformat())] * 10, TODAY)
    with store._open() as open_:
        assert open_.execute("SELECT count(*) FROM suggestions").fetchone()[0] <= 40
    assert count(store) == 100


def test_there_is_no_text_in_it(store: Store) -> None:
    store.append([made(language="x" * 64)], TODAY)
    with store._open() as open_:
        kinds = {name: kind for _, name, kind, *_ in open_.execute("PRAGMA table_info(suggestions)")}
    assert set(kinds) == set(Record.__struct_fields__)
    texts = {field.name for field in msgspec.structs.fields(Record) if field.type is str}
    assert texts == {"day", "language", "model"}


# ---------------------------------------------------------------- written by a server


def sent(counted: Outcomes, uri: str = "untitled:1") -> None:
    snapshot = Snapshot(uri, None, "x" * 500, 1, "a = \n")
    what = Sent(snapshot=snapshot, start=4, candidates=(("foo()", 4),), model="m" * 500)
    counted.sent(counted.ticket(), what)
    counted.closed(uri)


async def test_a_disk_that_is_full_is_told_and_nothing_else(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Outcomes(lambda: True, lambda: store)
    store.append([], TODAY)
    with store._open() as open_:
        pages = open_.execute("PRAGMA page_count").fetchone()[0]
    whole = store._connect

    def small() -> sqlite3.Connection:
        connection = whole()
        connection.execute(f"PRAGMA max_page_count = {pages}")  # SQLite says that the disk is full
        return connection

    monkeypatch.setattr(store, "_connect", small)
    monkeypatch.setattr("lsp.happened.outcomes.MAX_UNWRITTEN", 300)
    for _ in range(400):
        sent(counted)
    await counted.tick()
    told = counted.describe()
    assert "full" in told["reason"] and (told["unwritten"], told["lost"], told["written"]) == (300, 100, 0)
    monkeypatch.setattr(store, "_connect", whole)
    await counted.tick()
    told = counted.describe()
    assert (told["reason"], told["unwritten"], told["written"]) == ("", 0, 300)


async def test_names_are_short(store: Store) -> None:
    counted = Outcomes(lambda: True, lambda: store)
    sent(counted)
    await counted.close()
    (row,) = store.sums("2000-01-01")
    assert (len(row.language), len(row.model)) == (64, 64)


async def test_a_locked_file_is_waited_for_beside_the_loop(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stores, "BUSY_S", 0.2)
    counted = Outcomes(lambda: True, lambda: store)
    store.append([], TODAY)
    sent(counted)
    with store._open() as open_:
        open_.execute("BEGIN IMMEDIATE")
        writing = asyncio.create_task(counted.tick())
        beats = 0
        while not writing.done():
            await asyncio.sleep(0.01)
            beats += 1
        assert beats > 3 and "locked" in counted.describe()["reason"]
    await counted.tick()
    assert counted.describe()["written"] == 1
