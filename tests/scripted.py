"""An endpoint that writes what a test tells it to.

What a model writes is not decided in these tests, only what Foreword makes of it and when it stops listening;
tests marked `engine` have the real one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Any

from engine.endpoints.endpoint import Chunk, Sampling
from engine.prompts import Prompt


class ScriptedEndpoint:
    name = "a script"
    kind = "sglang"
    context_tokens = 32_768

    def __init__(
        self,
        text: str | Callable[[Prompt], str],
        *,
        piece: int = 4,
        delay_s: float = 0.0,
        ends: str | None = "stop",
        tick: Callable[[], None] = lambda: None,
        error: Exception | None = None,
        mean_logprob: float | None = None,
    ) -> None:
        """`mean_logprob` is told of all that was written, character by character, where somebody asks."""
        self.limits: list[str] = []
        self.prompts: list[Prompt] = []
        self.priorities: list[int] = []
        self.written = 0
        self.closed_early = 0
        self.closed = 0
        self._text, self._piece, self._delay_s, self._ends = text, piece, delay_s, ends
        self._tick, self._error = tick, error
        self._mean_logprob = mean_logprob

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        self.prompts.append(prompt)
        self.priorities.append(priority)
        text = self._text if isinstance(self._text, str) else self._text(prompt)
        whole = False
        try:
            for end in range(self._piece, len(text) + self._piece, self._piece):
                await asyncio.sleep(self._delay_s)
                self._tick()
                if self._error is not None:
                    raise self._error
                self.written = min(end, len(text))
                last = end >= len(text)
                finished = self._ends if last else None
                mean = self._mean_logprob if params.logprobs else None
                yield Chunk(text[:end], text[end - self._piece : end], end, 10, 5, finished, mean)
            whole = True
        finally:
            self.closed_early += not whole

    async def status(self) -> dict[str, Any]:
        return {}

    async def close(self) -> None:
        self.closed += 1
