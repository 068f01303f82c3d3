"""What a client sent in places where the protocol says nothing of its form: pygls makes objects of these."""

from __future__ import annotations

from typing import Any, cast


def plain(value: Any) -> Any:
    """As JSON has it."""
    if hasattr(value, "_asdict"):
        return {name: plain(inner) for name, inner in cast("dict[str, Any]", value._asdict()).items()}
    if isinstance(value, dict):
        return {str(name): plain(inner) for name, inner in cast("dict[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in cast("list[Any]", value)]
    return value
