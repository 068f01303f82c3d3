"""What a user can set, fully defaulted, and how it is read from what a client sends.

Sources, later ones over earlier: the defaults, `initializationOptions`, the client's configuration section
`foreword`. Names are camelCase as editors write them; snake_case is understood too. A wrong value never stops
the server: the default stands and a message says which value was wrong and why.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, cast

import msgspec

EngineKind = Literal["embedded", "sglang", "openai", "none"]

DEFAULT_WAIT_S = 8.0
"""Counted from the first token: some 40 tokens, four lines, of the embedded model on two busy cores."""

DEFAULT_MAX_LINES = 40
"""A longer block is rarely right as a whole, and is more than fits on a screen beside what one reads."""

SECTION = "foreword"


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where completions come from."""

    kind: EngineKind = "embedded"
    """`embedded`: a model on this machine, run by Foreword. `sglang`, `openai`: a server at `url`. `none`: no
    completions, the index only."""
    url: str = ""
    key: str = ""
    model: str = ""
    """The model's name as the server at `url` knows it."""
    takes_suffix: bool = False
    """The server at `url` lays out fill in the middle itself (the `suffix` field of `/v1/completions`)."""
    context_tokens: Annotated[int, msgspec.Meta(ge=1024)] = 32_768
    """The window of the model at `url`."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model: str = "auto"
    """The embedded model by full or short name; `auto` chooses by what the machine has."""
    engine: EngineSettings = EngineSettings()
    budget_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Tokens of a whole prompt; 0 sizes it by the engine."""
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=200)] = DEFAULT_MAX_LINES
    wait_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = DEFAULT_WAIT_S
    """How long a whole block is waited for, counted from its first token; then whole lines are enough."""
    index: bool = True
    """Read the repository; without it completions see the open document only. Read at start only."""
    completion_items: bool = False
    """Also answer `textDocument/completion`, for clients without inline completion. Read at start only."""


class Read(msgspec.Struct, frozen=True):
    settings: Settings
    complaints: list[str]
    """One sentence for each value that was not taken, fit to be shown to a person."""


_NESTED: dict[str, type[msgspec.Struct]] = {"engine": EngineSettings}


def read_settings(*sources: object) -> Read:
    """The settings that `sources` (decoded JSON, any of them None) give together."""
    complaints: list[str] = []
    merged: dict[str, Any] = {}
    for source in sources:
        section = _section(source, complaints)
        for name, value in section.items():
            if name in _NESTED and isinstance(value, dict) and isinstance(merged.get(name), dict):
                merged[name] = {**merged[name], **_camel(cast("dict[str, Any]", value))}
            elif name in _NESTED and isinstance(value, dict):
                merged[name] = _camel(cast("dict[str, Any]", value))
            else:
                merged[name] = value
    fields = _valid(Settings, merged, SECTION, complaints)
    settings = Settings(**fields)
    return _consistent(settings, complaints)


def _section(source: object, complaints: list[str]) -> dict[str, Any]:
    if source is None:
        return {}
    if not isinstance(source, dict):
        complaints.append(f"The settings are no object but {type(source).__name__}; the defaults are used.")
        return {}
    section = cast("dict[str, Any]", source)
    inner = section.get(SECTION)
    return _camel(cast("dict[str, Any]", inner) if isinstance(inner, dict) else section)


def _camel(section: dict[str, Any]) -> dict[str, Any]:
    return {re.sub(r"_([a-z])", lambda found: found.group(1).upper(), name): v for name, v in section.items()}


def _valid(
    kind: type[msgspec.Struct], given: dict[str, Any], where: str, complaints: list[str]
) -> dict[str, Any]:
    """The fields of `kind` that `given` has right, by Python name."""
    known = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    taken: dict[str, Any] = {}
    for name, value in given.items():
        field = known.get(name)
        if field is None:
            complaints.append(
                f"{where}.{name} is no setting of Foreword; it is ignored. Known: {', '.join(known)}."
            )
        elif name in _NESTED and isinstance(value, dict):
            inner = _valid(_NESTED[name], cast("dict[str, Any]", value), f"{where}.{name}", complaints)
            taken[field.name] = _NESTED[name](**inner)
        elif value is not None:
            _take(field, value, f"{where}.{name}", taken, complaints)
    return taken


def _take(
    field: msgspec.structs.FieldInfo, value: object, where: str, taken: dict[str, Any], complaints: list[str]
) -> None:
    try:
        taken[field.name] = msgspec.convert(value, field.type)
    except msgspec.ValidationError as wrong:
        default = "the default" if field.name in _NESTED else repr(field.default)
        complaints.append(f"{where} cannot be {_shown(field.name, value)}: {wrong}. {default} is used.")


def _shown(name: str, value: object) -> str:
    return "that" if name == "key" else repr(value)


def _consistent(settings: Settings, complaints: list[str]) -> Read:
    engine = settings.engine
    if engine.kind in ("sglang", "openai") and not engine.url:
        complaints.append(
            f"{SECTION}.engine.kind is {engine.kind!r} but {SECTION}.engine.url is empty: there will be no "
            'completions. Set the url, or set the kind to "embedded".'
        )
        settings = msgspec.structs.replace(settings, engine=msgspec.structs.replace(engine, kind="none"))
    if engine.kind == "openai" and engine.url and not engine.model:
        complaints.append(f"{SECTION}.engine.model is empty; the server at {engine.url} may refuse requests.")
    return Read(settings, complaints)
