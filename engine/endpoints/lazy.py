"""An endpoint that is started by the first request for it, as one of several: the embedded host as fallback."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from engine.endpoints.endpoint import Chunk, Sampling
from engine.endpoints.sse import EngineRequestError, JsonObject

if TYPE_CHECKING:
    from engine.endpoints.client import SGLangEndpoint
    from engine.prompts import Prompt

GONE_FAULTS = ("unreachable", "refused", "dropped", "draining")
"""Faults after which the host is looked for anew: it has left, is leaving or was replaced."""

Start = Callable[[], Awaitable["SGLangEndpoint"]]


class LazyEndpoint:
    """Never in the way: while it starts, requests are refused with `starting`, and go elsewhere."""

    kind: Literal["sglang", "openai"] = "sglang"

    def __init__(
        self, name: str, model: str, *, context_tokens: int, start: Start, waits: bool = False
    ) -> None:
        """`start` raises EngineRequestError where there will be none. With `waits` a request waits for the start:
        there is nobody else to ask."""
        self.name = name
        self.model = model
        self.limits: list[str] = []
        self._context_tokens = context_tokens
        self._start = start
        self._waits = waits
        self._workspace = ""
        self._endpoint: SGLangEndpoint | None = None
        self._starting: asyncio.Task[SGLangEndpoint] | None = None
        self._users: Counter[SGLangEndpoint] = Counter()
        self._closing: set[asyncio.Task[None]] = set()

    def introduce(self, workspace: str) -> None:
        """See `SGLangEndpoint.introduce`."""
        self._workspace = workspace
        if self._endpoint is not None:
            self._endpoint.introduce(workspace)

    @property
    def context_tokens(self) -> int:
        return self._context_tokens if self._endpoint is None else self._endpoint.context_tokens

    def wake(self) -> None:
        """Begins to start it, if nobody has."""
        if self._endpoint is None and self._starting is None:
            self._starting = asyncio.create_task(self._started(), name=f"start {self.name}")

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`."""
        endpoint = await self._ready()
        answered = False
        self._users[endpoint] += 1
        try:
            async with aclosing(endpoint.generate(prompt, params, priority=priority)) as chunks:
                async for chunk in chunks:
                    answered = True
                    yield chunk
        except EngineRequestError as error:
            if error.fault not in GONE_FAULTS:
                raise
            if self._endpoint is endpoint:  # else another request noticed first
                self._endpoint = None
                self.wake()
            if answered:
                raise
            raise EngineRequestError("starting", f"{self.name} had left and is starting again") from error
        finally:
            self._users[endpoint] -= 1
            if self._endpoint is not endpoint and not self._users[endpoint]:
                del self._users[endpoint]
                self._close_one(endpoint)

    async def cached(self, ids: Sequence[int]) -> int | None:
        """See `TellsCached.cached`."""
        return None if self._endpoint is None else await self._endpoint.cached(ids)

    async def status(self) -> JsonObject:
        return {} if self._endpoint is None else await self._endpoint.status()

    async def probe(self) -> None:
        """See `Probed.probe`. A host of our own misses nothing, and looking at it is no reason to start it."""
        if self._endpoint is None:
            raise EngineRequestError("starting", f"{self.name} is started by the first request that needs it")
        await self._endpoint.probe()

    async def close(self) -> None:
        starting, self._starting = self._starting, None
        if starting is not None:
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        endpoint, self._endpoint = self._endpoint, None
        if endpoint is not None:
            await endpoint.close()
        await asyncio.gather(*self._closing, return_exceptions=True)

    async def _started(self) -> SGLangEndpoint:
        endpoint = await self._start()
        endpoint.introduce(self._workspace)
        self._endpoint = endpoint
        return endpoint

    async def _ready(self) -> SGLangEndpoint:
        """Raises EngineRequestError as long as it is not."""
        self.wake()
        starting = self._starting
        if starting is not None:
            if not starting.done() and not self._waits:
                raise EngineRequestError("starting", f"{self.name} is starting")
            try:
                await asyncio.shield(starting)
            finally:
                if starting.done() and self._starting is starting:
                    self._starting = None  # a failure is told once; the next request starts it again
        endpoint = self._endpoint
        if endpoint is None:
            raise EngineRequestError("starting", f"{self.name} left as soon as it had started; ask again")
        return endpoint

    def _close_one(self, endpoint: SGLangEndpoint) -> None:
        """A host that leaves still finishes what it has begun: its connections stay until its last user is done."""
        closing = asyncio.create_task(endpoint.close(), name=f"close {self.name}")
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
