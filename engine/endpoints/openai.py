"""An OpenAI-compatible server as endpoint: raw fill-in-the-middle text over `/v1/completions`, streamed.

vLLM, llama.cpp, Ollama, LM Studio and hosted servers speak it. What it cannot do is said in `limits`.
Source: OpenAI API reference, "Completions"; `stream_options` as there.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.endpoints.endpoint import Chunk, Sampling, refuse_too_large
from engine.endpoints.openai_answer import OpenAIAnswer
from engine.endpoints.probe import kept_window, probe_openai
from engine.endpoints.sse import (
    EngineRequestError,
    JsonObject,
    Timeouts,
    drained,
    events,
    get_json,
    http_client,
    shown,
)

if TYPE_CHECKING:
    from engine.prompts import Prompt

COMMON_LIMITS: tuple[str, ...] = (
    "it takes no token ids: the prompt goes as text, and another tokenizer may cut it otherwise",
    "it takes no priority: background work is not held back for interactive requests",
    "cached prompt tokens are known only where the server reports `prompt_tokens_details.cached_tokens`",
    "a cancelled request ends when the server notices that the connection is closed",
    "top-k and repetition penalty are no part of its interface: they are not sent",
)
NO_GRAMMARS = "grammars do not constrain decoding"
MODELS_SHOWN = 8
"""Of the names of a server's models; hosted ones have hundreds."""

NO_LIST = "it does not tell which models it has (/v1/models)"


class OpenAIEndpoint:
    """A server with `/v1/completions`. `url` may or may not end in `/v1`."""

    kind: Literal["sglang", "openai"] = "openai"
    path = "/v1/completions"

    def __init__(
        self,
        url: str,
        key: str,
        model: str,
        *,
        context_tokens: int,
        takes_suffix: bool = False,
        timeouts: Timeouts | None = None,
        limits: Sequence[str] = (),
    ) -> None:
        """With `takes_suffix` the window and the suffix go in fields of their own and the server lays them
        out by its own template (context segments are then left out); else the prompt's raw text goes as it
        is. `limits` are those that the caller knows of."""
        base = url.rstrip("/").removesuffix("/v1")
        self.name = f"the server with {model} at {shown(base)}" if model else f"the server at {shown(base)}"
        self.model = model
        self.context_tokens = self._configured_tokens = context_tokens
        self._takes_suffix = takes_suffix
        self._timeouts = timeouts or Timeouts()
        self._http = http_client(base, key, self._timeouts)
        self._known_limits = (*self.interface_limits(), *limits)
        self.limits = [*self._known_limits]

    def interface_limits(self) -> list[str]:
        """What this way of asking cannot do, whatever the server."""
        suffix = ["it lays out fill in the middle itself: context of other files is not sent"]
        return [*COMMON_LIMITS, NO_GRAMMARS, *(suffix if self._takes_suffix else [])]

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`; `priority` is not taken by such a server (see `limits`)."""
        self.refuse_grammar(params)
        refuse_too_large(self.name, prompt, params, self.context_tokens)
        answer = OpenAIAnswer(self.name, prompt.tokens)
        body = msgspec.json.encode(self.request(prompt, params))
        stream = events(self._http, self.path, body, name=self.name, timeouts=self._timeouts)
        tail = ""
        async with aclosing(stream):
            async for document in stream:
                chunk = answer.take(document)
                if chunk.finished is None:
                    yield chunk
                    continue
                tail = chunk.delta
                # Usage comes in an event after the last text: the last chunk waits for it.
                after = await drained(stream)
                if after is not None:
                    with contextlib.suppress(EngineRequestError):  # the answer is whole, whatever follows it
                        answer.take(after)
                break
        yield answer.last(tail)

    async def status(self) -> JsonObject:
        """The models that the server offers (`/v1/models`). Raises EngineRequestError."""
        return await get_json(self._http, "/v1/models", self.name)

    async def probe(self) -> None:
        """See `Probed.probe`. A server with one model alone needs no name for it."""
        facts = await probe_openai(self._http, self.name)
        self.limits[:] = self._known_limits
        if not facts.models:
            self.limits.append(NO_LIST)
            return
        if not self.model and len(facts.models) == 1:
            self.model = facts.models[0]
        if self.model not in facts.models:
            missing = f"{self.model!r}" if self.model else "a model without a name"
            self.limits.append(
                f"it does not offer {missing}; it has {', '.join(facts.models[:MODELS_SHOWN])}"
            )
        self.context_tokens, limit = kept_window(self._configured_tokens, facts.windows.get(self.model))
        self.limits += limit

    async def close(self) -> None:
        await self._http.aclose()

    def refuse_grammar(self, params: Sampling) -> None:
        """Raises EngineRequestError rather than answering without it."""
        if params.constrained:
            raise EngineRequestError(
                "request", f"{self.name} takes no grammar; use an SGLang endpoint for this", only_here=True
            )

    def request(self, prompt: Prompt, params: Sampling) -> JsonObject:
        """The body of one request."""
        request = self.common(params)
        request["prompt"] = prompt.window if self._takes_suffix else prompt.text
        if self._takes_suffix:
            request["suffix"] = prompt.suffix
        return request

    def common(self, params: Sampling) -> JsonObject:
        """What both interfaces take by the same names."""
        request: JsonObject = {
            "model": self.model,
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if params.stop:
            request["stop"] = list(params.stop)
        return request
