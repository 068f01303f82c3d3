"""Texts of contents that were read from the disk a moment ago."""

from __future__ import annotations

import threading
from collections import OrderedDict

_CACHED_TEXT_CHARACTERS = 32 * 1024 * 1024
"""The files of a 256K-token pack are a few megabytes; this keeps those of several roots."""


class TextCache:
    """Texts of contents, the last used ones; from any thread."""

    def __init__(self, limit: int = _CACHED_TEXT_CHARACTERS) -> None:
        self._limit = limit
        self._size = 0
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: str) -> str | None:
        with self._lock:
            text = self._texts.get(key)
            if text is not None:
                self._texts.move_to_end(key)
            return text

    def put(self, key: str, text: str) -> None:
        with self._lock:
            if key in self._texts or len(text) > self._limit:
                return
            self._texts[key] = text
            self._size += len(text)
            while self._size > self._limit:
                _, dropped = self._texts.popitem(last=False)
                self._size -= len(dropped)
