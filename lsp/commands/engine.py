"""`foreword engine start/stop/status`: the host that holds the model, seen from a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
from rich.markup import escape
from rich.table import Table

from engine.endpoints.client import EngineRequestError, SGLangEndpoint
from engine.hosting.launcher import (
    EngineError,
    EngineInfo,
    ensure_engine,
    list_engines,
    other_window,
    stop_engine,
    window_arguments,
)
from engine.paths import EnginePathError
from engine.profiles import Choice, ProfileError, find
from lsp.commands.endpoints import Looked, as_data, look, settings_of, show
from lsp.links.engines import START_TIMEOUT_S, choose_profile
from lsp.terminal import EXIT_EMPTY, err, fail, out, print_json, progress, run, size

STOP_TIMEOUT_S = 30.0

NOT_FOR_PEOPLE = ("server", "model_hash", "done", "total")
"""Of a host's file: what the server tells has rows of its own, the rest is for programs (`--json`)."""
LABELS = {"rss_bytes": "memory", "uptime_s": "uptime"}
NOTHING: tuple[object, ...] = ("", None, [], {})

EXPECTED = (EngineError, EnginePathError, ProfileError)
"""What can go wrong outside Foreword; each message is for a person."""


def chosen(model: str | None) -> Choice:
    """The model asked for, or the one that fits this machine. Ends the command with the reason when none does."""
    try:
        return choose_profile(model or "")
    except (ProfileError, EnginePathError) as error:
        fail(str(error))


def run_start(model: str | None, window: int, *, as_json: bool) -> None:
    choice = chosen(model)

    async def start() -> EngineInfo:
        with progress(not as_json) as report:

            def on_progress(info: EngineInfo) -> None:
                report(info.stage or info.state, info.done, info.total)

            return await ensure_engine(
                choice.profile,
                on_progress=on_progress,
                timeout_s=START_TIMEOUT_S,
                host_arguments=window_arguments(window),
            )

    info = run(start(), EXPECTED)
    if other := other_window(info, window):
        fail(other)
    if as_json:
        print_json(_public(info))
        return
    out.print(f"{escape(info.model)} is ready at {info.url} (pid {info.pid})")
    out.print(f"[dim]{escape(choice.reason)}[/]")


def run_stop(model: str | None, *, as_json: bool) -> None:
    async def stop() -> dict[str, bool]:
        # A set: `stop_engine` ends a model's hosts of every version at once.
        names = {find(model).short} if model else {info.model for info in list_engines()}
        return {name: await stop_engine(name, timeout_s=STOP_TIMEOUT_S) for name in sorted(names)}

    stopped = run(stop(), EXPECTED)
    if as_json:
        print_json(stopped)
    if not any(stopped.values()):
        fail("no engine host is running", EXIT_EMPTY)
    if as_json:
        return
    for name, done in stopped.items():
        out.print(f"{escape(name)}: {'stopped' if done else 'was not running'}")


async def _describe(info: EngineInfo) -> dict[str, Any]:
    described = _public(info)
    if info.state != "ready":
        return described
    endpoint = SGLangEndpoint(info.url, info.key, model=info.model, context_tokens=info.context_tokens)
    try:
        described["server"] = await endpoint.status()
    except (EngineRequestError, httpx.HTTPError) as error:
        described["server"] = {"error": str(error)}
    finally:
        await endpoint.close()
    return described


def run_status(settings: Path | None, *, as_json: bool) -> None:
    """Of the hosts on this machine, and of the endpoints that a file of settings names."""
    read = None if settings is None else settings_of(settings)

    async def status() -> tuple[list[dict[str, Any]], list[Looked]]:
        hosts = [await _describe(info) for info in list_engines()]
        return hosts, [] if read is None else await look(read[0])

    engines, looked = run(status(), EXPECTED)
    for complaint in [] if read is None else read[1]:
        err.print(f"[yellow]{escape(complaint)}[/]")
    if as_json:
        endpoints = {} if read is None else {"endpoints": as_data(looked)}
        print_json({"engines": engines, **endpoints, "would_choose": chosen(None).reason})
        return
    show(looked)
    if not engines:
        err.print("no engine host is running; the first completion starts it")
        err.print(f"it would choose: {escape(chosen(None).reason)}")
        return
    for engine in engines:
        table = Table(box=None, show_header=False, pad_edge=False)
        for name, value in _rows(engine):
            table.add_row(LABELS.get(name, name.replace("_", " ")), escape(_shown(name, value)))
        out.print(table)


def _rows(engine: dict[str, Any]) -> Iterator[tuple[str, object]]:
    """What there is to say of one host: what its file says, then what its server tells beyond that."""
    told: dict[str, Any] = engine.get("server", {})
    for name, value in engine.items():
        if name not in NOT_FOR_PEOPLE and value not in NOTHING:
            yield name, value
    for name, value in told.items():
        if engine.get(name) != value and value not in NOTHING:
            yield name, value


def _shown(name: str, value: object) -> str:
    """A value as a person reads it; its name says of what it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if name.endswith("_bytes"):
            return size(value)
        if name.endswith(("_rate", "_usage")):
            return f"{value:.1%}"
        if name == "uptime_s":
            return str(timedelta(seconds=round(value)))
        if name == "started_at":
            return datetime.fromtimestamp(value).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        if name == "pid":
            return str(value)
        return f"{value:,}" if isinstance(value, int) else f"{value:,.3g}"
    if name == "processes" and isinstance(value, dict):
        return ", ".join(f"{kind} {size(told['rss_bytes'])}" for kind, told in value.items())
    if isinstance(value, list | dict):
        return msgspec.json.encode(value).decode()
    return str(value)


def _public(info: EngineInfo) -> dict[str, Any]:
    """What may be shown: everything but the key."""
    described: dict[str, Any] = msgspec.to_builtins(info)
    del described["key"]
    return described
