"""The server's way to a model: an embedded engine that is started on demand, or a configured server.

Never in the way: starting goes on in the background, and until it is done `reason` says what goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from lsp.links.engines import Engine, NoEngine, choose_profile, configured, embedded
from lsp.links.roles import EditEngines, Editor, described_endpoints
from lsp.settings import Settings, without_credentials

if TYPE_CHECKING:
    from engine.endpoints.edit_route import EditScope
    from engine.hosting.hostfile import EngineInfo
    from lsp.links.index_link import Bar

State = Literal["off", "starting", "ready", "failed"]

RETRY_AFTER_S = 15.0
"""A failed start is tried again by the first request after this, not by every keystroke."""


RESTARTING = "the engine is being set up anew"
ENDING = "the server is ending"


class EngineLink:
    def __init__(
        self,
        bar: Callable[[str], Bar],
        warn: Callable[[str], None],
        workspace: Callable[[], str] = lambda: "",
    ) -> None:
        """`workspace` names the open workspace to the hosts that are asked (`engines.workspace_hash`)."""
        self.engine: Engine | None = None
        self.state: State = "off"
        self.reason = "no model has been asked for yet"
        self._bar = bar
        self._warn = warn
        self._workspace = workspace
        self._settings = Settings()
        self._edits = EditEngines(self._settings, self._prepare)
        self._starting: asyncio.Task[None] | None = None
        self._progress: dict[str, Any] = {}
        self._stage_began = 0.0
        self._failed_at = 0.0
        self._using: dict[asyncio.Task[Any], Engine] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()

    def start(self, settings: Settings) -> None:
        """Begins to make the engine of these settings ready."""
        if self._edits.closed or settings != self._settings:
            self._edits = EditEngines(settings, self._prepare)
        self._settings, self._progress = settings, {}
        self._stage("", 0, 0)
        if settings.engine.kind == "none":
            self.state, self.reason = "off", "completions are switched off (foreword.engine.kind is none)"
            return
        self.state, self.reason = "starting", "the model is starting"
        self._starting = asyncio.create_task(self._start(settings), name="engine start")
        self._starting.add_done_callback(self._started)

    async def restart(self, settings: Settings) -> None:
        """Lets go of one engine before another is started, also when settings change twice in a moment."""
        async with self._one_at_a_time:
            await self._close(RESTARTING)
            self.start(settings)

    async def close(self) -> None:
        async with self._one_at_a_time:
            await self._close(ENDING)

    async def _close(self, why: str) -> None:
        engine, self.engine = self.engine, None
        self.state, self.reason = "off", why
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.gather(self._starting, return_exceptions=True)
        for task in self._using:
            task.cancel()
        for each in (*([] if engine is None else [engine]), *self._edits.take_all()):
            await self._let_go(each)
        if self._closing:
            await asyncio.gather(*self._closing, return_exceptions=True)

    @contextmanager
    def using(self, engine: Engine) -> Generator[None]:
        """The running task talks to this engine: its connections stay open until the task is done with it."""
        task = asyncio.current_task()
        assert task is not None, "an engine is used by tasks"
        self._using[task] = engine
        try:
            yield
        finally:
            del self._using[task]

    async def _let_go(self, engine: Engine) -> None:
        """Closes the engine's connections when nothing uses them any more."""
        users = [task for task, used in self._using.items() if used is engine]
        if users:
            await asyncio.wait(users)
        await engine.endpoint.close()

    def wake(self) -> None:
        """A completion was asked for while there is no engine: tries again when the last failure is long
        enough ago."""
        if self.state == "failed" and time.monotonic() - self._failed_at > RETRY_AFTER_S:
            self.start(self._settings)

    def lost(self, engine: Engine, why: str) -> None:
        """A request found the server gone. The embedded one is started again at once (it leaves when it is
        idle)."""
        if self.engine is not engine or engine.lasting:
            return  # another request noticed first, or its endpoint has told already and looks after itself
        self.engine = None
        task = asyncio.create_task(self._let_go(engine), name="engine close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        self._warn(why)
        self.start(self._settings)

    async def editor(self, scope: EditScope) -> Editor:
        """Who writes an edit of this scope, and why; to be used within `using`. Raises NoEngine saying why there is
        nobody, EngineRequestError where an address is wrong."""
        editor = await self._edits.editor(scope, self.engine)
        if editor is None:
            self.wake()
            raise NoEngine(self.reason)
        return editor

    def _prepare(self, engine: Engine) -> None:
        """What an endpoint has to know of this server."""
        from engine.endpoints.client import SGLangEndpoint
        from engine.endpoints.failover import FailoverEndpoint

        endpoint = engine.endpoint
        if isinstance(endpoint, FailoverEndpoint):
            endpoint.tell = self._warn
            endpoint.wake()
        if isinstance(endpoint, FailoverEndpoint | SGLangEndpoint):
            endpoint.introduce(self._workspace())

    async def describe(self) -> dict[str, Any]:
        """The engine's part of `foreword/status`."""
        engine = self.engine
        told: dict[str, Any] = {
            "state": self.state,
            "kind": self._settings.engine.kind,
            "reason": self.reason,
        }
        if self.state == "starting":
            told["progress"] = {**self._progress, "stageS": round(time.monotonic() - self._stage_began, 1)}
        edit = self._edits.describe()
        if engine is None:
            return {**told, "roles": {"edit": edit}}
        model = self.model
        roles = {"completion": {"endpoint": engine.endpoint.name, "model": model}, "edit": edit}
        return {
            **told,
            "model": model,
            "reason": engine.why,
            "device": engine.device,
            "url": without_credentials(engine.url),
            **({"pid": engine.pid} if engine.pid is not None else {}),
            **described_endpoints(engine),
            "roles": roles,
            "contextTokens": engine.endpoint.context_tokens,
            "budgetTokens": self._settings.budget_tokens or engine.budget_tokens,
            "limits": engine.endpoint.limits,
        }

    @property
    def model(self) -> str:
        """The name of the model that completes; empty before there is one."""
        engine = self.engine
        if engine is None:
            return ""
        embedded = self._settings.engine.kind == "embedded"
        return engine.profile.name if embedded else self._settings.engine.model or engine.profile.name

    # ------------------------------------------------------------ starting

    async def _start(self, settings: Settings) -> None:
        alone = settings.engine.kind == "embedded" and not settings.engine.fallbacks
        try:
            if alone:
                engine = await self._embedded(settings)
            elif settings.engine.kind == "embedded" or settings.engine.fallbacks:
                engine = await asyncio.to_thread(configured, settings.engine, settings.model)
            else:
                engine = await asyncio.to_thread(configured, settings.engine)
        except _expected(embedded=alone) as failed:
            self._fail(str(failed))
            return
        self._prepare(engine)
        self.engine = engine
        self.state, self.reason = "ready", ""

    def _started(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(f"the engine could not be started for a reason of our own: {error!r}")

    def _fail(self, why: str) -> None:
        self.state, self.reason, self._failed_at = "failed", why, time.monotonic()
        self._warn(f"No completions: {why}")

    def _stage(self, stage: str, done: int, total: int) -> None:
        """What goes on; the time of a stage counts from its first word."""
        if stage != self._progress.get("stage"):
            self._stage_began = time.monotonic()
        self._progress = {"stage": stage, "done": done, "total": total}

    async def _embedded(self, settings: Settings) -> Engine:
        choice = await asyncio.to_thread(choose_profile, settings.model)
        bar = self._bar(f"Foreword: {choice.profile.short}")

        def on_progress(info: EngineInfo) -> None:
            self.reason = f"the model is {info.state}" + (f": {info.stage}" if info.stage else "")
            self._stage(info.stage or info.state, info.done, info.total)
            bar.report(info.stage or info.state, info.done, info.total)

        try:
            engine = await embedded(choice, on_progress, settings.engine.window_tokens)
            bar.end("ready")
            return engine
        finally:
            bar.end("not ready")


def _expected(*, embedded: bool) -> tuple[type[Exception], ...]:
    """What can keep an engine from starting outside Foreword. The launcher is imported only where a host is
    started: it needs file locks that not every system has."""
    from engine.endpoints.sse import EngineRequestError
    from engine.paths import EnginePathError
    from engine.profiles import ProfileError
    from engine.tokens import TokenizerError
    from engine.weights.weights import WeightsError

    common = (
        *(NoEngine, EnginePathError, EngineRequestError, ProfileError, TokenizerError, WeightsError),
        OSError,
    )
    if not embedded:
        return common
    from engine.hosting.launcher import EngineError

    return (*common, EngineError)
