"""What a user can set, fully defaulted, and how it is read from what a client sends.

Sources, later ones over earlier: the defaults, `initializationOptions`, the client's configuration section
`foreword`. Names are camelCase as editors write them; snake_case is understood too. A wrong value never stops
the server: the default stands and a message says which value was wrong and why.

What is run on this machine (`edit.check`) is read from the first source alone: a client's configuration may be that of
the folder which happens to be open.
"""

from __future__ import annotations

import re
import shlex
from typing import Annotated, Any, Literal, cast
from urllib.parse import urlsplit

import msgspec

EngineKind = Literal["embedded", "sglang", "openai", "none"]
Api = Literal["", "completions", "chat"]
Count = Annotated[int, msgspec.Meta(ge=0)]

DEFAULT_WAIT_S = 8.0
"""Counted from the first token: some 40 tokens, four lines, of the embedded model on two busy cores."""

DEFAULT_MAX_LINES = 40
"""A longer block is rarely right as a whole, and is more than fits on a screen beside what one reads."""

DEFAULT_FIRST_TEXT_S = 20.0
"""A GPU server pre-fills a large window in less; a CPU's first cold prompt of a repository may take longer."""

DEFAULT_CHECK_S = 120.0
"""A linter, a type checker or the fast tests of a repository; whoever waits longer has gone on."""

FIRST_SOURCE_ONLY = ("check", "checkS")
"""Of `edit`: see above."""

SECTION = "foreword"


class EngineSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where completions come from, or edits."""

    kind: EngineKind = "embedded"
    """`embedded`: a model on this machine, run by Foreword. `sglang`, `openai`: a server at `url`. `none`: no
    completions, the index only."""
    url: str = ""
    key: str = ""
    model: str = ""
    """The model's name as the server at `url` knows it; of an embedded one as Foreword does."""
    api: Api = ""
    """Of an `openai` server: which of its interfaces is used; empty finds out by the first request."""
    takes_suffix: bool = False
    """The server at `url` lays out fill in the middle itself (the `suffix` field of `/v1/completions`)."""
    context_tokens: Annotated[int, msgspec.Meta(ge=1024)] = 32_768
    """The window of the model at `url`."""
    window_tokens: Count = 0
    """The window that an embedded model is started with; 0 is its own."""
    first_text_s: Annotated[float, msgspec.Meta(gt=0, le=600)] = DEFAULT_FIRST_TEXT_S
    """How long the first text may take before the next of `fallbacks` is asked."""
    fallbacks: tuple[EngineSettings, ...] = ()
    """Asked in this order while those before them fail."""


class EditSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where edits come from. With `largeEngine`, an edit above any of the three limits goes there."""

    engine: EngineSettings | None = None
    """None: the one for completions."""
    large_engine: EngineSettings | None = None
    small_files: Count = 1
    small_lines: Count = 60
    small_diagnostics: Count = 3
    check: str | tuple[str, ...] = ()
    """A command that is run in the root after an edit: arguments, or a line that is split as a shell would. Of the
    first source of settings alone, read at start only."""
    check_s: Annotated[float, msgspec.Meta(gt=0, le=3600)] = DEFAULT_CHECK_S
    """How long it may take; from the same place."""


class SymbolSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Of whose languages this server tells the symbols: those that have no other server in this editor."""

    languages: tuple[str, ...] = ()
    """As the editor or the index names them: `lua`, `php`, `shellscript`."""


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    model: str = "auto"
    """The embedded model by full or short name; `auto` chooses by what the machine has."""
    engine: EngineSettings = EngineSettings()
    edit: EditSettings = EditSettings()
    budget_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Tokens of a whole prompt; 0 sizes it by the engine."""
    max_lines: Annotated[int, msgspec.Meta(ge=1, le=200)] = DEFAULT_MAX_LINES
    wait_s: Annotated[float, msgspec.Meta(gt=0, le=120)] = DEFAULT_WAIT_S
    """How long a whole block is waited for, counted from its first token; then whole lines are enough."""
    read_ahead: bool = True
    """Have the engine read a place where the cursor rests, before anything is typed there."""
    index: bool = True
    """Read the repository; without it completions see the open document only. Read at start only."""
    embedder: str = ""
    """The model of the index's vectors: an absolute folder with a sentence-transformers model or its name on the model
    hub; empty: whatever the index service uses. One service has one: the status tells when it is another. Read at start
    only."""
    symbols: SymbolSettings = SymbolSettings()
    """Answer `textDocument/documentSymbol` and `workspace/symbol` for some languages."""
    stats: bool = True
    """Count on this machine what becomes of suggestions; nothing is ever sent."""
    completion_items: bool = False
    """Also answer `textDocument/completion`, for clients without inline completion. Read at start only."""


class Read(msgspec.Struct, frozen=True):
    settings: Settings
    complaints: list[str]
    """One sentence for each value that was not taken, fit to be shown to a person."""


_NESTED: dict[str, type[msgspec.Struct]] = {
    "engine": EngineSettings,
    "largeEngine": EngineSettings,
    "edit": EditSettings,
    "symbols": SymbolSettings,
}
"""Settings that are objects of settings, by the name that clients write."""
_LISTS: dict[str, type[msgspec.Struct]] = {"fallbacks": EngineSettings}
_SECRET = frozenset({"key", *_NESTED, *_LISTS})
"""Whose values are not repeated: they are keys, or may hold some."""


def read_settings(*sources: object) -> Read:
    """The settings that `sources` (decoded JSON, any of them None) give together."""
    complaints: list[str] = []
    merged: dict[str, Any] = {}
    for number, source in enumerate(sources):
        section = _section(source, complaints)
        merged = _merged(merged, _without_commands(section, merged, complaints) if number else section)
    settings = Settings(**_valid(Settings, merged, SECTION, complaints))
    return Read(_consistent(settings, complaints), complaints)


def _section(source: object, complaints: list[str]) -> dict[str, Any]:
    if source is None:
        return {}
    if not isinstance(source, dict):
        complaints.append(f"The settings are no object but {type(source).__name__}; the defaults are used.")
        return {}
    section = cast("dict[str, Any]", source)
    inner = section.get(SECTION)
    return _camel(cast("dict[str, Any]", inner) if isinstance(inner, dict) else section)


def _without_commands(
    section: dict[str, Any], trusted: dict[str, Any], complaints: list[str]
) -> dict[str, Any]:
    """Without what is read from the first source alone; said where it differs from that."""
    edit = section.get("edit")
    if not isinstance(edit, dict):
        return section
    given = cast("dict[str, Any]", edit)
    earlier = trusted.get("edit")
    earlier = cast("dict[str, Any]", earlier) if isinstance(earlier, dict) else {}
    complaints.extend(
        f"{SECTION}.edit.{name} is ignored: what is run on this machine is read from initializationOptions alone, at "
        "start, since a folder may bring a configuration of its own."
        for name in FIRST_SOURCE_ONLY
        if given.get(name) not in (None, "", [], earlier.get(name))
    )
    return {
        **section,
        "edit": {name: value for name, value in given.items() if name not in FIRST_SOURCE_ONLY},
    }


def _camel(section: dict[str, Any]) -> dict[str, Any]:
    """The same with names as editors write them, at every depth."""
    return {
        re.sub(r"_([a-z])", lambda found: found.group(1).upper(), name): _camel(cast("dict[str, Any]", value))
        if isinstance(value, dict)
        else value
        for name, value in section.items()
    }


def _merged(earlier: dict[str, Any], later: dict[str, Any]) -> dict[str, Any]:
    """Value by value; lists are values."""
    merged = {**earlier}
    for name, value in later.items():
        before = merged.get(name)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[name] = _merged(cast("dict[str, Any]", before), cast("dict[str, Any]", value))
        else:
            merged[name] = value
    return merged


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
            taken[field.name] = _nested(_NESTED[name], value, f"{where}.{name}", complaints)
        elif name in _LISTS and isinstance(value, list):
            taken[field.name] = _list(_LISTS[name], value, f"{where}.{name}", complaints)
        elif value is not None:
            _take(field, value, f"{where}.{name}", taken, complaints)
    return taken


def _nested(kind: type[msgspec.Struct], value: object, where: str, complaints: list[str]) -> msgspec.Struct:
    return kind(**_valid(kind, cast("dict[str, Any]", value), where, complaints))


def _list(kind: type[msgspec.Struct], values: object, where: str, complaints: list[str]) -> tuple[Any, ...]:
    """Those elements that are objects."""
    taken: list[msgspec.Struct] = []
    for number, value in enumerate(cast("list[object]", values)):
        at = f"{where}[{number}]"
        if isinstance(value, dict):
            taken.append(_nested(kind, _camel(cast("dict[str, Any]", value)), at, complaints))
        else:
            complaints.append(f"{at} is no object of settings; it is left out.")
    return tuple(taken)


def _take(
    field: msgspec.structs.FieldInfo, value: object, where: str, taken: dict[str, Any], complaints: list[str]
) -> None:
    name = field.encode_name
    try:
        if name in _NESTED or name in _LISTS:
            raise msgspec.ValidationError(f"it has to be {'a list' if name in _LISTS else 'an object'}")
        taken[field.name] = msgspec.convert(value, field.type)
    except msgspec.ValidationError as wrong:
        default = "the default" if name in _NESTED or name in _LISTS else repr(field.default)
        shown = "that" if (name in _SECRET and not isinstance(value, str)) or name == "key" else repr(value)
        complaints.append(f"{where} cannot be {shown}: {wrong}. {default} is used.")


# ---------------------------------------------------------------- what has to fit together


def _consistent(settings: Settings, complaints: list[str]) -> Settings:
    edit = settings.edit
    engine = _usable(settings.engine, f"{SECTION}.engine", complaints, "there will be no completions.")
    small = _edit_engine(edit.engine, f"{SECTION}.edit.engine", complaints)
    large = _edit_engine(edit.large_engine, f"{SECTION}.edit.largeEngine", complaints)
    edit = msgspec.structs.replace(edit, engine=small, large_engine=large, check=_check(edit, complaints))
    if settings.symbols.languages and not settings.index:
        complaints.append(
            f"{SECTION}.symbols.languages is ignored: symbols come from the index, and {SECTION}.index is off."
        )
    return msgspec.structs.replace(settings, engine=engine, edit=edit)


def _check(edit: EditSettings, complaints: list[str]) -> tuple[str, ...]:
    """The command as arguments; none where it cannot be read as such."""
    given = edit.check
    try:
        argv = tuple(shlex.split(given) if isinstance(given, str) else given)
    except ValueError as wrong:
        complaints.append(f"{SECTION}.edit.check cannot be split into arguments: {wrong}. No check is run.")
        return ()
    if argv and not argv[0]:
        complaints.append(f"{SECTION}.edit.check names no program. No check is run.")
        return ()
    return argv


def _edit_engine(engine: EngineSettings | None, where: str, complaints: list[str]) -> EngineSettings | None:
    if engine is None:
        return None
    usable = _usable(engine, where, complaints, "it is left out.")
    return None if usable.kind == "none" else usable


def _usable(engine: EngineSettings, where: str, complaints: list[str], without: str) -> EngineSettings:
    """With the fallbacks that can be used; its kind is `none` where nothing can."""
    fallbacks: list[EngineSettings] = []
    for number, fallback in enumerate(engine.fallbacks):
        at = f"{where}.fallbacks[{number}]"
        if fallback.fallbacks:
            complaints.append(f"{at}.fallbacks is ignored: fallbacks have none of their own.")
        if _has_address(fallback, at, complaints, "it is left out."):
            fallbacks.append(msgspec.structs.replace(fallback, fallbacks=()))
    usable = [each for each in fallbacks if each.kind != "none"]
    if not _has_address(engine, where, complaints, "it is left out." if usable else without):
        first = usable.pop(0) if usable else msgspec.structs.replace(engine, kind="none")
        return msgspec.structs.replace(first, fallbacks=tuple(usable))
    return msgspec.structs.replace(engine, fallbacks=() if engine.kind == "none" else tuple(usable))


def _has_address(engine: EngineSettings, where: str, complaints: list[str], without: str) -> bool:
    if engine.kind not in ("sglang", "openai"):
        return True
    if engine.window_tokens:
        complaints.append(
            f"{where}.windowTokens is ignored: it is for an embedded model. A server's window is {where}.contextTokens."
        )
    if not engine.url:
        complaints.append(
            f"{where}.kind is {engine.kind!r} but {where}.url is empty: {without} "
            'Set the url, or set the kind to "embedded".'
        )
        return False
    if engine.kind == "openai" and not engine.model:
        at = without_credentials(engine.url)
        complaints.append(f"{where}.model is empty; the server at {at} may refuse requests.")
    return True


def without_credentials(url: str) -> str:
    """`url` as it may be shown: `http://name:password@host` loses what stands before the host."""
    try:
        parts = urlsplit(url)
    except ValueError:  # such as brackets that are none of an IPv6 address
        return url.rpartition("@")[2]
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
