"""The server's way to a model: an embedded engine that is started on demand, or a configured server.

Never in the way: starting goes on in the background, and until it is done `reason` says what goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from lsp.engines import Engine, NoEngine, choose_profile, configured, embedded
from lsp.settings import Settings

if TYPE_CHECKING:
    from engine.hostfile import EngineInfo
    from lsp.index_link import Bar

State = Literal["off", "starting", "ready", "failed"]

RETRY_AFTER_S = 15.0
"""A failed start is tried again by the first request after this, not by every keystroke."""


class EngineLink:
    def __init__(self, bar: Callable[[str], Bar], warn: Callable[[str], None]) -> None:
        self.engine: Engine | None = None
        self.state: State = "off"
        self.reason = "no model has been asked for yet"
        self._bar = bar
        self._warn = warn
        self._settings = Settings()
        self._starting: asyncio.Task[None] | None = None
        self._failed_at = 0.0
        self._closing: set[asyncio.Task[None]] = set()

    def start(self, settings: Settings) -> None:
        """Begins to make the engine of these settings ready."""
        self._settings = settings
        if settings.engine.kind == "none":
            self.state, self.reason = "off", "completions are switched off (foreword.engine.kind is none)"
            return
        self.state, self.reason = "starting", "the model is starting"
        self._starting = asyncio.create_task(self._start(settings), name="engine start")
        self._starting.add_done_callback(self._started)

    async def restart(self, settings: Settings) -> None:
        await self.close()
        self.start(settings)

    async def close(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        engine, self.engine = self.engine, None
        if engine is not None:
            await engine.endpoint.close()
        if self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    def wake(self) -> None:
        """A completion was asked for while there is no engine: tries again when the last failure is long
        enough ago."""
        if self.state == "failed" and time.monotonic() - self._failed_at > RETRY_AFTER_S:
            self.start(self._settings)

    def lost(self, engine: Engine, why: str) -> None:
        """A request found the server gone. The embedded one is started again at once (it leaves when it is
        idle)."""
        if self.engine is not engine:
            return  # another request noticed first
        self.engine = None
        task = asyncio.create_task(engine.endpoint.close(), name="engine close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self._warn(why)
        self.start(self._settings)

    async def describe(self) -> dict[str, Any]:
        """The engine's part of `foreword/status`."""
        engine = self.engine
        told: dict[str, Any] = {
            "state": self.state,
            "kind": self._settings.engine.kind,
            "reason": self.reason,
        }
        if engine is None:
            return told
        return {
            **told,
            "model": engine.profile.name
            if self._settings.engine.kind == "embedded"
            else self._model_there(engine),
            "reason": engine.why,
            "device": engine.device,
            "endpoint": engine.endpoint.name,
            "contextTokens": engine.endpoint.context_tokens,
            "budgetTokens": self._settings.budget_tokens or engine.budget_tokens,
            "limits": engine.endpoint.limits,
        }

    def _model_there(self, engine: Engine) -> str:
        return self._settings.engine.model or engine.profile.name

    # ------------------------------------------------------------ starting

    async def _start(self, settings: Settings) -> None:
        from engine.launcher import EngineError
        from engine.paths import EnginePathError
        from engine.profiles import ProfileError
        from engine.tokens import TokenizerError
        from engine.weights import WeightsError

        try:
            if settings.engine.kind == "embedded":
                self.engine = await self._embedded(settings)
            else:
                self.engine = await asyncio.to_thread(configured, settings.engine)
        except (
            NoEngine,
            EngineError,
            EnginePathError,
            ProfileError,
            TokenizerError,
            WeightsError,
            OSError,
        ) as failed:
            self._fail(str(failed))
            return
        self.state, self.reason = "ready", ""

    def _started(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"the engine could not be started for a reason of our own: {error!r}")

    def _fail(self, why: str) -> None:
        self.state, self.reason, self._failed_at = "failed", why, time.monotonic()
        self._warn(f"No completions: {why}")

    async def _embedded(self, settings: Settings) -> Engine:
        choice = await asyncio.to_thread(choose_profile, settings.model)
        bar = self._bar(f"Foreword: {choice.profile.short}")

        def on_progress(info: EngineInfo) -> None:
            self.reason = f"the model is {info.state}" + (f": {info.stage}" if info.stage else "")
            bar.report(info.stage or info.state, info.done, info.total)

        try:
            engine = await embedded(choice, on_progress)
            bar.end("ready")
            return engine
        finally:
            bar.end("not ready")
