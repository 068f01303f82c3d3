"""What the store remembers about roots beside their files: when each was opened last, and which tokenizer was asked
for there."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from indexer.messages import TokenizerRef

_log = logging.getLogger(__name__)

_FILE = "roots.json"


class Opening(msgspec.Struct):
    opened_s: int = 0
    """Unix time; 0: nobody knows."""
    tokenizer: TokenizerRef | None = None


class Openings:
    """By root. From any thread; every change blocks for a small write."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / _FILE
        self._lock = threading.Lock()
        self._known = _read(self._file)

    def __getitem__(self, root: str) -> Opening:
        return self._known.get(root) or Opening()

    def opened(self, root: str) -> None:
        """Now. Raises OSError."""
        with self._lock:
            before = self[root]
            self._save(self._known | {root: Opening(int(time.time()), before.tokenizer)})

    def asked_for(self, root: str, tokenizer: TokenizerRef) -> None:
        """With a tokenizer that has ids. Raises OSError."""
        with self._lock:
            before = self[root]
            if before.tokenizer != tokenizer:
                self._save(self._known | {root: Opening(before.opened_s, tokenizer)})

    def tokenizers(self) -> list[TokenizerRef]:
        """All that some root was last asked about with."""
        return [one.tokenizer for one in self._known.values() if one.tokenizer is not None]

    def forget(self, roots: Iterable[str]) -> None:
        """Raises OSError."""
        with self._lock:
            gone = set(roots) & self._known.keys()
            if gone:
                self._save({root: one for root, one in self._known.items() if root not in gone})

    def _save(self, known: dict[str, Opening]) -> None:
        draft = self._file.with_suffix(".new")
        draft.write_bytes(msgspec.json.encode(known))
        draft.replace(self._file)
        self._known = known


def _read(file: Path) -> dict[str, Opening]:
    try:
        return msgspec.json.decode(file.read_bytes(), type=dict[str, Opening])
    except FileNotFoundError:
        return {}
    except (OSError, msgspec.DecodeError) as failed:
        _log.warning("when roots were opened is not known any longer: %s", failed)
        return {}
