"""A note beside the tables: these contents are about to be written or removed, as a whole or not at all.

Whoever finds the note after a crash knows which rows to look after, without reading every row of every table."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

_FILE = "batch"


class Announcement:
    """In one folder of the store."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE

    @contextmanager
    def of(self, keys: Sequence[str]) -> Generator[None]:
        """While rows of these contents change. The note stays when that fails. Raises OSError."""
        self.leave(keys)
        yield
        self.withdraw()

    def leave(self, keys: Sequence[str]) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(list(keys)))
        draft.replace(self._file)  # there as a whole or not at all

    def withdraw(self) -> None:
        self._file.unlink(missing_ok=True)

    def left(self) -> list[str]:
        """Contents of a change that was cut short. Raises OSError."""
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=list[str])
        except FileNotFoundError:
            return []
