"""Looks at the endpoints that a file of settings names, for `foreword engine status` and `foreword doctor`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import msgspec
from rich.markup import escape
from rich.table import Table

from engine.endpoints.failover import EndpointStatus, FailoverEndpoint
from lsp.links.engines import NoEngine, configured
from lsp.settings import EngineSettings, Settings, read_settings
from lsp.terminal import fail, out


class Looked(msgspec.Struct, frozen=True):
    """One role and what was found of its endpoints, in their order."""

    role: str
    endpoints: list[EndpointStatus]


def settings_of(file: Path) -> tuple[Settings, list[str]]:
    """What the file says and what of it is not understood. Ends the command where it cannot be read."""
    try:
        given = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}")
    except ValueError as error:
        fail(f"{file} is no JSON: {error}")
    read = read_settings(given)
    return read.settings, read.complaints


async def look(settings: Settings) -> list[Looked]:
    """Asks every configured server a few small questions. An embedded engine alone is not looked at: the host tells
    of itself."""
    edit = settings.edit
    roles: list[tuple[str, EngineSettings | None]] = [("completion", settings.engine)]
    if edit.engine is not None or edit.large_engine is not None:
        roles += [("edit", edit.engine), ("large edit", edit.large_engine)]
    found: list[Looked] = []
    for role, engine in roles:
        if engine is None or engine.kind == "none" or (engine.kind == "embedded" and not engine.fallbacks):
            continue
        found.append(Looked(role, await _look(engine, settings.model)))
    return found


async def _look(settings: EngineSettings, model: str) -> list[EndpointStatus]:
    try:
        engine = await asyncio.to_thread(configured, settings, model)
    except NoEngine as error:
        return [EndpointStatus(endpoint=settings.kind, last_error=str(error))]
    endpoint = engine.endpoint
    assert isinstance(endpoint, FailoverEndpoint), "what is configured is made of one"
    try:
        await endpoint.probe()
        return endpoint.describe()
    finally:
        await endpoint.close()


def show(found: list[Looked]) -> None:
    """For people: one block for each endpoint."""
    for looked in found:
        for status in looked.endpoints:
            table = Table(box=None, show_header=False, pad_edge=False)
            for name, value in _rows(looked.role, status):
                table.add_row(name, escape(value))
            out.print(table)


def reached(status: EndpointStatus) -> bool:
    return bool(status.reachable)


def to_be_started(status: EndpointStatus) -> bool:
    """An embedded engine that nobody has needed yet: nothing is wrong with it."""
    return status.reachable is None and status.state != "unusable"


def as_data(found: list[Looked]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(looked) for looked in found]


def _rows(role: str, status: EndpointStatus) -> list[tuple[str, str]]:
    reachable = {True: "yes", False: "no", None: "not started"}[status.reachable]
    rows = [(role, status.endpoint), ("reachable", reachable if status.state != "unusable" else "no")]
    if status.last_error:
        rows.append(("error", status.last_error))
    if reached(status):
        rows.append(("model", status.model or "not told"))
        rows.append(("window", f"{status.context_tokens or 0:,} tokens"))
        rows += [("limit", limit) for limit in status.limits]
    return rows
