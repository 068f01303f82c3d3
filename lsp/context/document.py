"""The window as JSON, for the command line and for editors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lsp.context.window import ContextWindow, Part, is_segment
from lsp.wire import camel


def document(window: ContextWindow, *, first_line: int) -> dict[str, Any]:
    """The shape that the README and docs/protocol.md promise. `first_line` is 1 for people, whose last line is
    included, and 0 for the protocol, whose end is exclusive: both give the same `end_line`."""
    chosen = [part for part in window.parts if is_segment(part)]
    return {
        "budget": window.budget,
        "tokens": window.used,
        "segments": [{**_placed(part, first_line), "text": part.text} for part in chosen],
        "notes": window.notes,
        "window": {
            "path": window.path,
            "model": window.model,
            "tokens": window.tokens,
            "limit": window.limit,
            "cached_tokens": window.cached.tokens,
            "cached_note": window.cached.note,
            "parts": list(_listed(window.parts, first_line)),
        },
    }


def _listed(parts: Sequence[Part], first_line: int) -> Iterator[dict[str, Any]]:
    """Each part once; texts of the pack's stand in `segments`, and here by their number there."""
    number = 0
    for part in parts:
        listed = {**_placed(part, first_line), "cached": part.cached, "cached_tokens": part.cached_tokens}
        if is_segment(part):
            yield {**listed, "segment": number}
            number += 1
        else:
            yield {**listed, "text": part.text}


def _placed(part: Part, first_line: int) -> dict[str, Any]:
    return {
        "path": part.path,
        "start_line": None if part.start_line is None else part.start_line + first_line,
        "end_line": part.end_line,
        "tokens": part.tokens,
        "layer": part.layer,
        "reason": part.reason,
    }


def in_camel_case(value: Any) -> Any:
    """A document with the names that the protocol writes."""
    if isinstance(value, dict):
        return {camel(name): in_camel_case(each) for name, each in value.items()}  # pyright: ignore
    if isinstance(value, list):
        return [in_camel_case(each) for each in value]  # pyright: ignore
    return value
