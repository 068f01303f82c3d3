"""Puts the text of an OpenAI-compatible server's answer together from its events, of either interface.

Source: OpenAI API reference, "Completions" and "Chat completions", streaming; `prompt_tokens_details` as there.
"""

from __future__ import annotations

import msgspec

from engine.endpoints.endpoint import Chunk
from engine.endpoints.faults import EngineRequestError, JsonObject, event_error


class OpenAIAnswer:
    """Without `usage`, completion tokens are counted as events and prompt tokens are our own count."""

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
            raise event_error(self._name, document["error"])
        try:
            event = msgspec.convert(document, Event)
        except msgspec.ValidationError as error:
            raise EngineRequestError(
                "protocol", f"{self._name} sent an event that is no completion: {error}"
            ) from error
        self._usage = event.usage or self._usage
        delta = ""
        for choice in (event.choices or [])[:1]:
            delta = choice.written()
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


class Delta(msgspec.Struct):
    """A piece of a chat answer. What a reasoning model thinks beforehand comes in other fields, and is no part of
    the answer."""

    content: str | None = None


class Choice(msgspec.Struct):
    text: str | None = None
    delta: Delta | None = None
    finish_reason: str | None = None

    def written(self) -> str:
        return self.text or (self.delta.content if self.delta else None) or ""


class Event(msgspec.Struct):
    """One event of a streamed answer; the one with usage has no choices."""

    choices: list[Choice] | None = None
    usage: Usage | None = None
