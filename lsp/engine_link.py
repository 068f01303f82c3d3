"""The server's way to a model: an embedded engine that is started on demand, or a configured server.

Never in the way: starting goes on in the background, and until it is done `reason` says what goes on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from lsp.completion import DEFAULT_BUDGET_TOKENS, Tokenizer
from lsp.settings import EngineSettings, Settings

if TYPE_CHECKING:
    from engine.endpoint import Endpoint
    from engine.hostfile import EngineInfo
    from engine.profiles import Choice, Profile
    from lsp.index_link import Bar

State = Literal["off", "starting", "ready", "failed"]

START_TIMEOUT_S = 3600.0
"""The first start fetches half a gigabyte of weights; on a slow line that takes most of an hour."""

RETRY_AFTER_S = 15.0
"""A failed start is tried again by the first request after this, not by every keystroke."""

FOREIGN_BUDGET_TOKENS = 8_192
"""For a server that we know nothing about; GPU servers pre-fill this in a second or two."""

ESTIMATE_LIMIT = "tokens are estimated at 3 bytes each: this model's tokenizer is not known here"


class Engine(msgspec.Struct, frozen=True):
    """All that a completion needs of a model."""

    endpoint: Endpoint
    tokenizer: Tokenizer
    profile: Profile
    device: str
    budget_tokens: int
    why: str
    """Why this model."""


class NoEngine(Exception):
    """There will be no completions; the message says why and what to do."""


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
        from engine.launcher import ensure_engine

        choice = await asyncio.to_thread(_choose, settings.model)
        bar = self._bar(f"Foreword: {choice.profile.short}")

        def on_progress(info: EngineInfo) -> None:
            self.reason = f"the model is {info.state}" + (f": {info.stage}" if info.stage else "")
            bar.report(info.stage or info.state, info.done, info.total)

        try:
            info = await ensure_engine(choice.profile, on_progress=on_progress, timeout_s=START_TIMEOUT_S)
            engine = await asyncio.to_thread(_at_host, choice, info)
            bar.end("ready")
            return engine
        finally:
            bar.end("not ready")


def _choose(model: str) -> Choice:
    """Blocks while the machine is measured."""
    from engine.profiles import choose, find, measure

    if find_spec("sglang") is None:
        raise NoEngine(
            "the embedded engine is not installed. Install it with: pip install 'foreword[engine]' (Linux), "
            "or set foreword.engine.kind and foreword.engine.url to a server that runs a model"
        )
    return choose(measure(), None if model in ("", "auto") else find(model))


def _at_host(choice: Choice, info: EngineInfo) -> Engine:
    from engine.client import SGLangEndpoint
    from engine.tokens import ModelTokenizer
    from engine.weights import ensure_tokenizer

    profile = choice.profile
    endpoint = SGLangEndpoint(
        info.url,
        info.key,
        model=profile.short,
        context_tokens=info.context_tokens or profile.context_native,
        stop_ids=profile.stop_ids,
    )
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(profile))
    budget = DEFAULT_BUDGET_TOKENS if info.device == "cpu" else profile.default_budget
    return Engine(endpoint, tokenizer, profile, info.device, budget, choice.reason)


def configured(settings: EngineSettings) -> Engine:
    """The engine of a configured server. Nothing is sent to it before the first completion; may block to
    fetch a tokenizer."""
    from engine.client import SGLangEndpoint
    from engine.openai import OpenAIEndpoint
    from engine.profiles import QWEN_SMALL, ProfileError, find

    try:
        profile, known = find(settings.model), True
    except ProfileError:
        profile, known = QWEN_SMALL, False  # the family whose layout most code models read
    why = f"configured: {settings.url}"
    if settings.kind == "openai":
        endpoint = OpenAIEndpoint(
            settings.url,
            settings.key,
            settings.model,
            context_tokens=settings.context_tokens,
            takes_suffix=settings.takes_suffix,
        )
    else:
        endpoint = SGLangEndpoint(
            settings.url,
            settings.key,
            model=settings.model or "its model",
            context_tokens=settings.context_tokens,
            stop_ids=profile.stop_ids if known else (),
        )
    tokenizer = _tokenizer(profile) if known and settings.kind == "sglang" else None
    if tokenizer is None:
        from engine.tokens import EstimateTokenizer

        tokenizer = EstimateTokenizer()
        endpoint.limits.append(ESTIMATE_LIMIT)
    return Engine(endpoint, tokenizer, profile, "remote", FOREIGN_BUDGET_TOKENS, why)


def _tokenizer(profile: Profile) -> Tokenizer | None:
    """The model's own tokenizer, None where it cannot be had here."""
    from engine.tokens import ModelTokenizer
    from engine.weights import WeightsError, ensure_tokenizer

    try:
        return ModelTokenizer.from_file(ensure_tokenizer(profile))
    except WeightsError:
        return None  # said in the endpoint's limits
