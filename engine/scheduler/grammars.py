"""Compiled grammars are forgotten in time: SGLang keeps each one for good, and an identifier that is completed has one
for each of its beginnings."""

from __future__ import annotations

from typing import Any

MOST_GRAMMARS = 512
"""Measured with Qwen's vocabulary: 54 kB each, 28 MB in all. One that is asked for again takes some milliseconds; that
of an edit up to two seconds, once."""


def forget_grammars(scheduler: Any) -> None:
    """All of them, where there are more and none is being compiled. Requests under way hold their own."""
    manager = scheduler.grammar_manager
    backend = manager.grammar_backend
    if backend is not None and len(backend.cache) > MOST_GRAMMARS and not manager.grammar_queue:
        manager.clear()
