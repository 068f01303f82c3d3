"""The client of an SGLang server: streams completions, and cancels them all the way down to the scheduler.

It does not care where the server is: the embedded host, a GPU machine, or a router in front of several.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import httpx
import msgspec

from engine.endpoint import Chunk, Endpoint, Generation, Sampling, collect
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

__all__ = [
    "Chunk",
    "Endpoint",
    "EngineRequestError",
    "Generation",
    "SGLangEndpoint",
    "Sampling",
    "Timeouts",
    "collect",
]

ABORT_TIMEOUT_S = 5.0
"""An abort is a few bytes; when it takes longer the server is gone or stuck, and so is the request."""

ABORT_AGAIN_S = (0.2, 1.0)
"""SGLang forgets an abort for a request that it has not read yet. One that is cancelled before the server has
answered with headers is therefore aborted again after these waits (a 256K-token body takes it about 0.1 s to
read)."""

NEVER_STARTED = ("unreachable", "refused", "request", "busy", "draining", "aborted")
"""Faults after which the server holds nothing of the request that could be aborted."""


class SGLangEndpoint:
    """An SGLang server by its native HTTP interface."""

    kind: Literal["sglang", "openai"] = "sglang"

    def __init__(
        self,
        url: str,
        key: str,
        *,
        model: str,
        context_tokens: int,
        stop_ids: tuple[int, ...] = (),
        timeouts: Timeouts | None = None,
    ) -> None:
        self.name = f"the SGLang server with {model} at {shown(url)}"
        self.context_tokens = context_tokens
        self.limits: list[str] = []
        self._stop_ids = stop_ids
        self._timeouts = timeouts or Timeouts()
        self._http = http_client(url, key, self._timeouts)
        self._aborts: set[asyncio.Task[None]] = set()

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`."""
        # Of fixed length: SGLang aborts every request whose id begins with the one given.
        request_id = uuid.uuid4().hex
        admitted = asyncio.Event()
        body = self._body(request_id, prompt, params, priority)
        answer = Answer(self.name)
        stream = events(
            self._http, "/generate", body, name=self.name, timeouts=self._timeouts, on_admitted=admitted.set
        )
        over = False
        try:
            async with aclosing(stream):
                async for document in stream:
                    chunk = answer.take(document)
                    over = chunk.finished is not None
                    yield chunk
            if not over:
                raise EngineRequestError(
                    "dropped", f"{self.name} ended its answer before it was complete; ask again"
                )
        except EngineRequestError as error:
            over = over or error.fault in NEVER_STARTED
            raise
        finally:
            if not over:
                self._abort(request_id, again=not admitted.is_set())

    async def status(self) -> JsonObject:
        """What the server tells about itself: a host of ours its memory, cache and requests (see
        `engine.vitals`), any other SGLang server what its `/model_info` says. Raises EngineRequestError."""
        try:
            return await get_json(self._http, "/foreword/host", self.name)
        except EngineRequestError as error:
            if error.fault != "request":  # this is what a server is told to have that does not know the path
                raise
        return await get_json(self._http, "/model_info", self.name)

    async def close(self) -> None:
        """Waits for aborts that are under way (a few seconds at most) and closes the connections."""
        if self._aborts:
            await asyncio.wait(self._aborts, timeout=ABORT_TIMEOUT_S)
        for task in self._aborts:
            task.cancel()
        await self._http.aclose()

    def _body(self, request_id: str, prompt: Prompt, params: Sampling, priority: int) -> bytes:
        sampling: JsonObject = {
            "max_new_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "stop": list(params.stop),
            "stop_token_ids": list(self._stop_ids),
            "skip_special_tokens": True,
            "spaces_between_special_tokens": False,
        }
        if params.regex is not None:
            sampling["regex"] = params.regex
        if params.ebnf is not None:
            sampling["ebnf"] = params.ebnf
        request: JsonObject = {
            "rid": request_id,
            "stream": True,
            "sampling_params": sampling,
            "priority": priority,
        }
        if prompt.ids is None:
            request["text"] = prompt.text
        else:
            request["input_ids"] = prompt.ids
        return msgspec.json.encode(request)

    def _abort(self, request_id: str, *, again: bool) -> None:
        """In a task of its own, so that whoever cancels need not wait."""
        task = asyncio.get_running_loop().create_task(
            self._send_aborts(request_id, ABORT_AGAIN_S if again else ())
        )
        self._aborts.add(task)
        task.add_done_callback(self._aborts.discard)

    async def _send_aborts(self, request_id: str, waits: tuple[float, ...]) -> None:
        for wait in (0.0, *waits):
            await asyncio.sleep(wait)
            if self._http.is_closed:
                return  # all its connections were closed with it, and what ran over them ends by that
            try:
                await self._http.post("/abort_request", json={"rid": request_id}, timeout=ABORT_TIMEOUT_S)
            except httpx.HTTPError:
                return  # Closing the connection, which came first, ends it on a server that is still there.


class Answer:
    """Puts the text of an answer together from SGLang's chunks.

    By default each chunk holds the whole text and all ids so far; under `--incremental-streaming-output` only
    what is new. A chunk with fewer ids than its count of completion tokens is of the second kind (SGLang
    0.5.23, managers/tokenizer_manager.py: ids and count are cut at the same place), the first chunk is both.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._text = ""

    def take(self, document: JsonObject) -> Chunk:
        """Raises EngineRequestError where the chunk is an error or not what SGLang sends."""
        if "error" in document:
            said = message_in(document["error"]) or str(document["error"])
            raise EngineRequestError("request", f"{self._name} gave up on the request: {said}")
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
        )
        self._text = text
        return chunk


class FinishReason(msgspec.Struct):
    type: str
    message: str = ""
    status_code: int | None = None


class MetaInfo(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int = 0
    finish_reason: FinishReason | None = None


class SGLangEvent(msgspec.Struct):
    """One chunk of `/generate` (SGLang 0.5.23, managers/tokenizer_manager.py)."""

    text: str
    meta_info: MetaInfo
    output_ids: list[int] = []
