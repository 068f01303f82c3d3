"""A note beside the tables: these contents are about to be written or removed, as a whole or not at all.

Whoever finds the note after a crash knows which rows to look after, without reading every row of every table."""

from __future__ import annotations

import os
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from indexer.store.contents import StoreError

_FILE = "batch"


class TornNoteError(ValueError):
    """There is a note, and nobody can read it: any content may have been half-way."""


class Announcement:
    """In one folder of the store."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE

    @contextmanager
    def of(self, keys: Sequence[str]) -> Generator[None]:
        """While rows of these contents change. The note stays when that fails. Raises OSError, and StoreError over
        the note of another change."""
        self.leave(keys)
        yield
        self.withdraw()

    def leave(self, keys: Sequence[str]) -> None:
        """Raises OSError, and StoreError over the note of another change: it would be lost, and with it what that
        change has left behind."""
        if self._file.exists():
            raise StoreError(
                f"a change of the store was cut short and is not repaired yet ({self._file}): it is, at the next write"
            )
        draft = self._file.with_suffix(".new")
        with draft.open("wb") as file:
            file.write(msgspec.json.encode(list(keys)))
            file.flush()
            os.fsync(file.fileno())  # else a loss of power may leave the name without what it says
        draft.replace(self._file)  # there as a whole or not at all
        _sync_folder(self._file.parent)

    def withdraw(self) -> None:
        self._file.unlink(missing_ok=True)

    def left(self) -> list[str] | None:
        """Contents of a change that was cut short; None when none was. Raises OSError, and TornNoteError when they
        cannot be told."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[str])
        except FileNotFoundError:
            return None
        except ValueError as failed:  # no JSON, or no UTF-8
            raise TornNoteError(f"{self._file} cannot be read: {failed}") from failed


def _sync_folder(folder: Path) -> None:
    """The names in it last through a loss of power, too."""
    held = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(held)
    finally:
        os.close(held)
