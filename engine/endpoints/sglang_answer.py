"""Puts the text of an SGLang server's answer together from its chunks."""

from __future__ import annotations

from http import HTTPStatus
from statistics import fmean

import msgspec

from engine.endpoints.endpoint import Chunk
from engine.endpoints.faults import EngineRequestError, JsonObject, event_error


class SGLangAnswer:
    """Puts the text of an answer together from SGLang's chunks.

    By default each chunk holds the whole text and all ids so far; under `--incremental-streaming-output` only
    what is new. A chunk with fewer ids than its count of completion tokens is of the second kind (SGLang
    0.5.23, managers/tokenizer_manager.py: ids and count are cut at the same place), the first chunk is both.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._text = ""
        self._logprobs: list[float] = []

    def take(self, document: JsonObject) -> Chunk:
        """Raises EngineRequestError where the chunk is an error or not what SGLang sends."""
        if "error" in document:
            raise event_error(self._name, document["error"])
        try:
            event = msgspec.convert(document, SGLangEvent)
        except msgspec.ValidationError as error:
            raise EngineRequestError(
                "protocol", f"{self._name} sent a chunk that is not SGLang's: {error}"
            ) from error
        meta = event.meta_info
        incremental = len(event.output_ids) < meta.completion_tokens
        text = self._text + event.text if incremental else event.text
        if meta.finish_reason is not None and self._text.startswith(text):
            self._text = text  # a stop string was found across tokens, and what had been sent of it taken off
        if not text.startswith(self._text):
            raise EngineRequestError("protocol", f"{self._name} took back text that it had already sent")
        reason = meta.finish_reason
        if reason is not None and reason.type == "abort":
            said = f": {reason.message}" if reason.message else ""
            fault = "busy" if reason.status_code == HTTPStatus.SERVICE_UNAVAILABLE else "aborted"
            raise EngineRequestError(fault, f"{self._name} aborted the request{said}")
        chunk = Chunk(
            text,
            text[len(self._text) :],
            meta.completion_tokens,
            meta.prompt_tokens,
            meta.cached_tokens,
            None if reason is None else reason.type,
            self._mean(event.meta_info.output_token_logprobs, incremental=incremental),
        )
        self._text = text
        return chunk

    def _mean(self, told: list[TokenLogprob], *, incremental: bool) -> float | None:
        """Of all tokens so far, of which a chunk tells as it tells of their text."""
        new = [each[0] for each in told if each[0] is not None]
        self._logprobs = self._logprobs + new if incremental else new
        return fmean(self._logprobs) if self._logprobs else None


TokenLogprob = tuple[float | None, int, str | None]
"""Its logarithm, its id, and its text where that was asked for."""


class FinishReason(msgspec.Struct):
    type: str
    message: str = ""
    status_code: int | None = None


class MetaInfo(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    finish_reason: FinishReason | None = None
    output_token_logprobs: list[TokenLogprob] = []


class SGLangEvent(msgspec.Struct):
    """One chunk of `/generate` (SGLang 0.5.23, managers/tokenizer_manager.py)."""

    text: str
    meta_info: MetaInfo
    output_ids: list[int] = []
