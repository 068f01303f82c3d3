"""An OpenAI-compatible server as endpoint: raw fill-in-the-middle text over `/v1/completions`, streamed.

vLLM, llama.cpp, Ollama, LM Studio and hosted servers speak it. What it cannot do is said in `limits`.
Source: OpenAI API reference, "Completions"; `prompt_tokens_details` and `stream_options` as there.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import msgspec

from engine.endpoint import Chunk, Sampling
from engine.sse import (
    EngineRequestError,
    JsonObject,
    Timeouts,
    events,
    get_json,
    http_client,
    message_in,
    shown,
)

if TYPE_CHECKING:
    from engine.prompts import Prompt

LIMITS: tuple[str, ...] = (
    "it takes no token ids: the prompt goes as text, and another tokenizer may cut it otherwise",
    "it takes no priority: background work is not held back for interactive requests",
    "cached prompt tokens are known only where the server reports `prompt_tokens_details.cached_tokens`",
    "a cancelled request ends when the server notices that the connection is closed",
    "grammars do not constrain decoding",
)


class OpenAIEndpoint:
    """A server with `/v1/completions`. `url` may or may not end in `/v1`."""

    kind: Literal["sglang", "openai"] = "openai"

    def __init__(
        self,
        url: str,
        key: str,
        model: str,
        *,
        context_tokens: int,
        takes_suffix: bool = False,
        timeouts: Timeouts | None = None,
    ) -> None:
        """With `takes_suffix` the window and the suffix go in fields of their own and the server lays them
        out by its own template (context segments are then left out); else the prompt's raw text goes as it
        is."""
        base = url.rstrip("/").removesuffix("/v1")
        self.name = f"the server with {model} at {shown(base)}" if model else f"the server at {shown(base)}"
        self.context_tokens = context_tokens
        self.limits = [*LIMITS]
        if takes_suffix:
            self.limits.append("it lays out fill in the middle itself: context of other files is not sent")
        self._model = model
        self._takes_suffix = takes_suffix
        self._timeouts = timeouts or Timeouts()
        self._http = http_client(base, key, self._timeouts)

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`; `priority` is not taken by such a server (see `limits`)."""
        if params.regex is not None or params.ebnf is not None:
            raise EngineRequestError(
                "request", f"{self.name} takes no grammar; use an SGLang endpoint for this"
            )
        answer = CompletionAnswer(self.name, prompt.tokens)
        stream = events(
            self._http, "/v1/completions", self._body(prompt, params), name=self.name, timeouts=self._timeouts
        )
        tail = ""
        async with aclosing(stream):
            async for document in stream:
                chunk = answer.take(document)
                if chunk.finished is None:
                    yield chunk
                else:
                    tail += (
                        chunk.delta
                    )  # usage comes in an event after the last text: the last chunk waits for it
        yield answer.last(tail)

    async def status(self) -> JsonObject:
        """The models that the server offers (`/v1/models`). Raises EngineRequestError."""
        return await get_json(self._http, "/v1/models", self.name)

    async def close(self) -> None:
        await self._http.aclose()

    def _body(self, prompt: Prompt, params: Sampling) -> bytes:
        request: JsonObject = {
            "model": self._model,
            "prompt": prompt.window if self._takes_suffix else prompt.text,
            "max_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self._takes_suffix:
            request["suffix"] = prompt.suffix
        if params.stop:
            request["stop"] = list(params.stop)
        return msgspec.json.encode(request)


class CompletionAnswer:
    """Puts the text of an answer together. Without `usage`, completion tokens are counted as events and
    prompt tokens are our own count."""

    def __init__(self, name: str, prompt_tokens: int) -> None:
        self._name = name
        self._text = ""
        self._events = 0
        self._prompt_tokens = prompt_tokens
        self._finished: str | None = None
        self._usage: Usage | None = None

    def take(self, document: JsonObject) -> Chunk:
        """Raises EngineRequestError where the document is an error or no completion."""
        if document.get("error"):
            said = message_in(document["error"]) or str(document["error"])
            raise EngineRequestError("request", f"{self._name} gave up on the request: {said}")
        try:
            event = msgspec.convert(document, CompletionEvent)
        except msgspec.ValidationError as error:
            raise EngineRequestError(
                "protocol", f"{self._name} sent an event that is no completion: {error}"
            ) from error
        self._usage = event.usage or self._usage
        delta = "".join(choice.text or "" for choice in event.choices[:1])
        for choice in event.choices[:1]:
            self._finished = choice.finish_reason or self._finished
        self._text += delta
        self._events += 1 if delta else 0
        return self._chunk(delta)

    def last(self, delta: str) -> Chunk:
        """The last chunk, with all that is known at the end. Raises EngineRequestError where there is no
        end."""
        if self._finished is None:
            raise EngineRequestError(
                "dropped", f"{self._name} ended its answer without saying why; ask again"
            )
        if self._finished == "abort":
            raise EngineRequestError("aborted", f"{self._name} aborted the request; ask again")
        return self._chunk(delta)

    def _chunk(self, delta: str) -> Chunk:
        usage = self._usage
        details = usage.prompt_tokens_details if usage else None
        return Chunk(
            self._text,
            delta,
            usage.completion_tokens if usage else self._events,
            usage.prompt_tokens if usage else self._prompt_tokens,
            details.cached_tokens if details else None,
            self._finished,
        )


class PromptTokensDetails(msgspec.Struct):
    cached_tokens: int | None = None


class Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: PromptTokensDetails | None = None


class Choice(msgspec.Struct):
    text: str | None = None
    finish_reason: str | None = None


class CompletionEvent(msgspec.Struct):
    """One event of a streamed completion; the one with usage has no choices."""

    choices: list[Choice] = []
    usage: Usage | None = None
