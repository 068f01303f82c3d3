"""Our own answers as the protocol writes names: camelCase, like every standard message beside them."""

from __future__ import annotations

from typing import Any

import msgspec


def camel(name: str) -> str:
    """`start_line` → `startLine`."""
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def on_wire(value: object) -> Any:
    """`value` as plain JSON values, its structs' fields by camelCase names. Keys of mappings are data (reasons,
    paths) and stay as they are."""
    if isinstance(value, msgspec.Struct):
        return {camel(name): on_wire(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, list | tuple):
        return [on_wire(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
    return msgspec.to_builtins(value)
