"""Records of suggestions in a small SQLite file that only this user can read.

Several servers write to it at once, each in batches. A file that is damaged, or was made by a newer Foreword, is set
aside under another name. It holds no text of any document.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import date, timedelta
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout
from platformdirs import user_state_path

from lsp.happened.records import MOSTLY, WHOLE, Record

VERSION = 1
"""Of the tables, as `PRAGMA user_version`."""

RAW_DAYS = 90
"""After so many days what is known of single suggestions becomes one row of sums for each day and kind."""

MAX_RAW = 200_000
"""Rows of single suggestions, some 25 MB: whoever is offered more in 90 days has sums of the oldest days sooner."""

SUM_DAYS = 3_650
"""Ten years; sums take some kilobytes a year."""

BUSY_S = 5.0
"""For another server's batch, which takes milliseconds."""

KEPT_ASIDE = 3
"""Files that were set aside; older ones are removed."""

PRIVATE_FILE, PRIVATE_FOLDER = 0o600, 0o700

_BESIDE = ("-wal", "-shm")
"""What SQLite adds to the name for its log and the log's index."""

_STAMP, _STAMP_CHARS = "%Y%m%d-%H%M%S", 15

_COLUMNS = Record.__struct_fields__
_GROUP = ("day", "language", "model", "kind", "outcome", "shown", "told", "engine")
"""What sums are told apart by."""

_ADDED = ("count", "characters", "lines", "taken_characters", "judged", "whole", "part", "latency_ms")

_TABLES = f"""
CREATE TABLE IF NOT EXISTS suggestions ({", ".join(_COLUMNS)});
CREATE INDEX IF NOT EXISTS suggestions_by_day ON suggestions (day);
CREATE TABLE IF NOT EXISTS sums ({", ".join((*_GROUP, *_ADDED))}, PRIMARY KEY ({", ".join(_GROUP)}));
PRAGMA user_version = {VERSION};
"""

_SUMMED = f"""
SELECT day, language, model, kind, outcome, coalesce(shown, -1) AS shown, told, engine, count(*) AS count,
  sum(characters) AS characters, sum(lines) AS lines, sum(taken_characters) AS taken_characters,
  count(kept) AS judged, sum(coalesce(kept >= {WHOLE}, 0)) AS whole,
  sum(coalesce(kept >= {MOSTLY} AND kept < {WHOLE}, 0)) AS part, sum(latency_ms) AS latency_ms
FROM suggestions
"""
_GROUPED = " GROUP BY day, language, model, kind, outcome, coalesce(shown, -1), told, engine"


class StoreTrouble(Exception):
    """The file cannot be read or written now; the message says why."""


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Of all suggestions of a day that are alike."""

    day: str
    language: str
    model: str
    kind: str
    outcome: str
    shown: int
    """1 or 0 as the client said, -1 where it said nothing."""
    told: int
    engine: int
    count: int
    characters: int
    lines: int
    taken_characters: int
    judged: int
    whole: int
    part: int
    latency_ms: int
    """All of theirs together."""


def path_of_store() -> Path:
    """State, not cache: it cannot be made anew."""
    return user_state_path("foreword") / "stats.sqlite3"


class Store:
    """Each call opens the file and closes it again, so that nobody has one open that was set aside. They block, and
    raise StoreTrouble."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note = ""
        """What a person should know of it, as that it was set aside."""

    def append(self, records: Sequence[Record], today: date) -> None:
        """All of them or none. Once a day what is old is summed."""
        rows = [msgspec.structs.astuple(each) for each in records]
        marks = ", ".join("?" for _ in _COLUMNS)
        with self._open() as open_, open_:
            open_.execute("BEGIN IMMEDIATE")
            open_.executemany(f"INSERT INTO suggestions VALUES ({marks})", rows)
            _sum_up(open_, today)

    def sums(self, since: str) -> list[Sums]:
        """Of all days from `since` on, whether they are summed already or not."""
        if not self.path.exists():
            return []
        with self._open() as open_:
            found = open_.execute(
                f"{_SUMMED} WHERE day >= ?{_GROUPED} UNION ALL SELECT * FROM sums WHERE day >= ?",
                (since, since),
            )
            return [
                msgspec.convert(dict(zip(Sums.__struct_fields__, row, strict=True)), Sums) for row in found
            ]

    def latencies(self, since: str) -> list[tuple[str, str, str, str, int]]:
        """(day, language, model, kind, milliseconds) of each suggestion that is not summed yet."""
        if not self.path.exists():
            return []
        with self._open() as open_:
            asked = "SELECT day, language, model, kind, latency_ms FROM suggestions WHERE day >= ?"
            return open_.execute(asked, (since,)).fetchall()

    def forget(self) -> int:
        """Removes everything, what was set aside too, and tells how many suggestions that were."""
        count = 0
        if self.path.exists():
            with self._open() as open_:
                with open_:
                    for table, counted in (("suggestions", "count(*)"), ("sums", "coalesce(sum(count), 0)")):
                        count += open_.execute(f"SELECT {counted} FROM {table}").fetchone()[0]
                        open_.execute(f"DELETE FROM {table}")
                open_.execute("VACUUM")
                open_.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._remove(self._set_aside())
        return count

    # ------------------------------------------------------------ the file

    @contextmanager
    def _open(self) -> Generator[sqlite3.Connection]:
        """A connection to a file that is whole and of this version; a fresh one where there is none."""
        try:
            self._make()
            with closing(self._connected()) as connection:
                yield connection
        except (OSError, sqlite3.Error) as failed:
            if isinstance(failed, sqlite3.DatabaseError) and _is_damage(failed):
                self._aside("damaged")
            raise StoreTrouble(f"{self.path}: {_said(failed)}") from failed

    def _connected(self) -> sqlite3.Connection:
        connection = self._connect()
        try:
            version: int = connection.execute("PRAGMA user_version").fetchone()[0]
            if version > VERSION:
                connection.close()
                self._aside(f"newer-{version}")
                self._make()
                connection, version = self._connect(), 0
            if version < VERSION:
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(_TABLES)
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=BUSY_S)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA secure_delete = ON")
        return connection

    def _make(self) -> None:
        """The file, with nobody's rights but the owner's; SQLite gives its own files beside it the same."""
        self.path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
        made = os.open(self.path, os.O_CREAT | os.O_RDWR, PRIVATE_FILE)
        try:
            if os.name == "posix" and os.fstat(made).st_mode & 0o077:
                os.fchmod(made, PRIVATE_FILE)
        finally:
            os.close(made)

    def _aside(self, why: str) -> None:
        """Renames the file, unless another server has done so in the meantime."""
        stamp = time.strftime(_STAMP)
        try:
            with FileLock(f"{self.path}.lock", timeout=BUSY_S, mode=PRIVATE_FILE):
                if not self._is_wrong():
                    return
                named = self.path.with_name(f"{self.path.name}.{why}-{stamp}")
                for beside in _BESIDE:  # what is in its log belongs to it
                    with suppress(FileNotFoundError):
                        Path(f"{self.path}{beside}").rename(f"{named}{beside}")
                self.path.rename(named)
                self._remove(self._set_aside()[:-KEPT_ASIDE])
        except (OSError, Timeout) as failed:
            self.note = f"{self.path} is {why} and could not be set aside: {_said(failed)}. Remove it."
            return
        what = "was damaged" if why == "damaged" else "is of a newer Foreword"
        self.note = f"{self.path} {what}: it is {named.name} now, and counting began anew"

    def _is_wrong(self) -> bool:
        """Looked at afresh."""
        try:
            with closing(self._connect()) as connection:
                if connection.execute("PRAGMA user_version").fetchone()[0] > VERSION:
                    return True
                return connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok"
        except sqlite3.DatabaseError as failed:
            return _is_damage(failed)

    def _set_aside(self) -> list[Path]:
        """Oldest first."""
        kinds = (self.path.parent.glob(f"{self.path.name}.{why}-*") for why in ("damaged", "newer"))
        found = [each for kind in kinds for each in kind if not each.name.endswith(_BESIDE)]
        return sorted(found, key=lambda each: each.name[-_STAMP_CHARS:])

    def _remove(self, files: Sequence[Path]) -> None:
        for file in files:
            for beside in ("", *_BESIDE):
                Path(f"{file}{beside}").unlink(missing_ok=True)


def _sum_up(open_: sqlite3.Connection, today: date) -> None:
    """Rows of days that are too old, or too many, become sums. Cheap where there is nothing to do."""
    before = (today - timedelta(days=RAW_DAYS)).isoformat()
    oldest, count = open_.execute("SELECT min(day), count(*) FROM suggestions").fetchone()
    if count > MAX_RAW:
        asked = "SELECT day FROM suggestions ORDER BY day DESC LIMIT 1 OFFSET ?"
        before = max(before, open_.execute(asked, (MAX_RAW // 2,)).fetchone()[0])
    if oldest is None or oldest >= before:
        return
    added = ", ".join(f"{name} = {name} + excluded.{name}" for name in _ADDED)
    keys = ", ".join(_GROUP)
    open_.execute(
        f"INSERT INTO sums {_SUMMED} WHERE day < ?{_GROUPED} ON CONFLICT ({keys}) DO UPDATE SET {added}",
        (before,),
    )
    open_.execute("DELETE FROM suggestions WHERE day < ?", (before,))
    open_.execute("DELETE FROM sums WHERE day < ?", ((today - timedelta(days=SUM_DAYS)).isoformat(),))


_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _is_damage(failed: sqlite3.DatabaseError) -> bool:
    """A table that is not there, or has other columns, is none that we made."""
    code = getattr(failed, "sqlite_errorcode", None)
    if code is None:
        return False
    return code & 0xFF in _DAMAGE or (code == sqlite3.SQLITE_ERROR and "no such" in str(failed))


def _said(failed: Exception) -> str:
    return (failed.strerror or str(failed)) if isinstance(failed, OSError) else str(failed)
