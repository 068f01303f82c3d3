"""An OpenAI-compatible server of which nobody said whether it completes or only chats: the first answer tells."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

from engine.endpoints.chat import ChatEndpoint
from engine.endpoints.endpoint import Chunk, Sampling
from engine.endpoints.faults import NO_SUCH_PATH
from engine.endpoints.openai import OpenAIEndpoint
from engine.endpoints.sse import EngineRequestError, JsonObject

if TYPE_CHECKING:
    from engine.prompts import Prompt


class DetectedEndpoint:
    """Completions as long as the server does not say that it has none; then chat, if that works, from there on.

    Both speak to the same server. Servers answer an unknown path and an unknown model alike (404): so a
    conversation that works is the proof, and where it fails too the first error stands.
    """

    kind: Literal["sglang", "openai"] = "openai"

    def __init__(self, completions: OpenAIEndpoint, chat: ChatEndpoint) -> None:
        self._both = (completions, chat)
        self._now: OpenAIEndpoint = completions
        self._sure = False

    @property
    def name(self) -> str:
        return self._now.name

    @property
    def model(self) -> str:
        return self._now.model

    @property
    def context_tokens(self) -> int:
        return self._now.context_tokens

    @property
    def limits(self) -> list[str]:
        return self._now.limits

    @property
    def api(self) -> Literal["completions", "chat"] | None:
        """Which interface it is; None as long as nobody knows."""
        if not self._sure:
            return None
        return "chat" if isinstance(self._now, ChatEndpoint) else "completions"

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`."""
        if self._sure:
            async with aclosing(self._now.generate(prompt, params, priority=priority)) as known:
                async for chunk in known:
                    yield chunk
            return
        completions, chat = self._both
        try:
            async with aclosing(completions.generate(prompt, params, priority=priority)) as first:
                async for chunk in first:
                    self._sure = True
                    yield chunk
            return
        except EngineRequestError as error:
            if self._sure or error.status not in NO_SUCH_PATH:
                raise
            refused = error
        try:
            async with aclosing(chat.generate(prompt, params, priority=priority)) as second:
                async for chunk in second:
                    self._now, self._sure = chat, True
                    yield chunk
        except EngineRequestError as error:
            if error.status in NO_SUCH_PATH:
                raise refused from error
            raise

    async def status(self) -> JsonObject:
        return await self._now.status()

    async def probe(self) -> None:
        await self._now.probe()

    async def close(self) -> None:
        for endpoint in self._both:
            await endpoint.close()
