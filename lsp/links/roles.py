"""Who writes edits: an endpoint of their own, two by a rule, or the one that writes completions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from engine.endpoints.edit_route import EditRule, EditScope, Route, Size, described, route
from lsp.links.engines import Engine, NoEngine, configured
from lsp.settings import EditSettings, EngineSettings, Settings, without_credentials

SETTINGS_CHANGED = "the settings have changed while the model for edits was set up; ask again"
ONE_MODEL = Route("small", "one model is configured for edits")


class Editor(msgspec.Struct, frozen=True):
    """Who writes one edit, and why."""

    engine: Engine
    route: Route


class EditEngines:
    """The engines for edits of one set of settings, each made by the first edit that needs it."""

    def __init__(self, settings: Settings, prepare: Callable[[Engine], None]) -> None:
        """`prepare` gets each engine once, before it is used."""
        self._settings = settings
        self._prepare = prepare
        self.closed = False
        """These settings are no longer in force."""
        self._made: dict[Size, Engine] = {}
        self._making: dict[Size, asyncio.Task[Engine]] = {}

    async def editor(self, scope: EditScope, completion: Engine | None) -> Editor | None:
        """For an edit of this scope; `completion` is the engine for completions, where there is one. None where
        that is wanted and is not there. Raises NoEngine."""
        edit = self._settings.edit
        chosen = ONE_MODEL if edit.large_engine is None else route(scope, rule_of(edit))
        wanted = edit.large_engine if chosen.size == "large" else edit.engine
        if wanted is None:
            return None if completion is None else Editor(completion, chosen)
        return Editor(self._made.get(chosen.size) or await self._make(chosen.size, wanted), chosen)

    def take_all(self) -> list[Engine]:
        """The engines that were made, to be closed; none is left here, and one that is being made is closed as soon
        as it is there."""
        self.closed = True
        made, self._made = list(self._made.values()), {}
        return made

    async def _make(self, size: Size, settings: EngineSettings) -> Engine:
        """One at a time of each size, and to its end also where the edit that wanted it is given up: a thread cannot
        be stopped, and what it made would be closed by nobody."""
        if self.closed:
            raise NoEngine(SETTINGS_CHANGED)
        making = self._making.get(size)
        if making is None:
            making = asyncio.create_task(
                self._made_now(size, settings), name=f"set up the {size} model for edits"
            )
            self._making[size] = making
            making.add_done_callback(lambda task: self._is_made(size, task))
        return await asyncio.shield(making)

    async def _made_now(self, size: Size, settings: EngineSettings) -> Engine:
        engine = await asyncio.to_thread(configured, settings, self._settings.model)
        if self.closed:
            await engine.endpoint.close()
            raise NoEngine(SETTINGS_CHANGED)
        self._prepare(engine)
        self._made[size] = engine
        return engine

    def _is_made(self, size: Size, task: asyncio.Task[Engine]) -> None:
        del self._making[size]
        if not task.cancelled():
            task.exception()  # whoever waits for it has it; where nobody does any more, nobody is to be told

    def describe(self) -> dict[str, Any]:
        """For `foreword/status`: who writes, and by which rule."""
        edit = self._settings.edit
        small = self._told("small", edit.engine)
        if edit.large_engine is None:
            return {"small": small, "rule": "off: one model writes every edit"}
        rule = described(rule_of(edit))
        return {"small": small, "large": self._told("large", edit.large_engine), "rule": rule}

    def _told(self, size: Size, settings: EngineSettings | None) -> dict[str, Any]:
        if settings is None:
            return {"endpoint": "the one for completions"}
        told: dict[str, Any] = {
            "kind": settings.kind,
            "url": without_credentials(settings.url),
            "model": settings.model or (self._settings.model if settings.kind == "embedded" else ""),
        }
        engine = self._made.get(size)
        return told if engine is None else {**told, **described_endpoints(engine)}


def rule_of(edit: EditSettings) -> EditRule:
    return EditRule(edit.small_files, edit.small_lines, edit.small_diagnostics)


def described_endpoints(engine: Engine) -> dict[str, Any]:
    """What an engine's endpoint knows of the servers behind it."""
    from engine.endpoints.failover import FailoverEndpoint
    from lsp.wire import on_wire

    told: dict[str, Any] = {"endpoint": engine.endpoint.name}
    if isinstance(engine.endpoint, FailoverEndpoint):
        told["endpoints"] = on_wire(engine.endpoint.describe())
    return told
