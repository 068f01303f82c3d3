"""The client of an SGLang server: streams completions, and cancels them all the way down to the scheduler.

It does not care where the server is: the embedded host, a GPU machine, or a router in front of several.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal

import httpx
import msgspec

from engine.endpoints import token_body
from engine.endpoints.endpoint import (
    Chunk,
    Endpoint,
    Generation,
    Priority,
    Sampling,
    collect,
    refuse_too_large,
)
from engine.endpoints.faults import NO_SUCH_PATH
from engine.endpoints.probe import NO_ABORTS, kept_window, probe_sglang
from engine.endpoints.sglang_answer import SGLangAnswer
from engine.endpoints.sse import (
    JSON,
    EngineRequestError,
    JsonObject,
    Timeouts,
    drained,
    events,
    get_json,
    http_client,
    shown,
)
from engine.healing import NotBegun

if TYPE_CHECKING:
    from engine.prompts import Prompt

__all__ = [
    "Chunk",
    "Endpoint",
    "EngineRequestError",
    "Generation",
    "Priority",
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
read). Our own host remembers such an abort (`engine.scheduler.superseded`)."""

NEVER_STARTED = ("unreachable", "refused", "request", "busy", "draining", "aborted")
"""Faults after which the server holds nothing of the request that could be aborted."""

REFUSED_GRAMMAR = ("request", "aborted")
"""Faults by which SGLang refuses a grammar, before any text: one that it cannot compile, or none at all."""

NO_HEALING = "takes no grammar: an identifier that was begun is completed less well"

WORKSPACE_HEADER = "X-Foreword-Workspace"
"""Tells a host of ours which workspace asks, so that it can share its cache among them."""


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
        workspace: str = "",
        limits: Sequence[str] = (),
        packs_ids: bool = False,
    ) -> None:
        """`workspace` as of `introduce`; `limits` are those that the caller knows of; `packs_ids`: it is a host of
        ours, which takes token ids as bytes (`engine.endpoints.token_body`) and is told for whom is asked."""
        self.name = f"the SGLang server with {model} at {shown(url)}"
        self.model = model
        self.context_tokens = self._configured_tokens = context_tokens
        self.limits = [*limits]
        self._known_limits = tuple(limits)
        self._stop_ids = stop_ids
        self._timeouts = timeouts or Timeouts()
        self._http = http_client(url, key, self._timeouts)
        self._is_ours = packs_ids
        self.introduce(workspace)
        self._aborts: set[asyncio.Task[None]] = set()
        self._takes_aborts = self._heals = True
        self._packs_ids = packs_ids

    def introduce(self, workspace: str) -> None:
        """Says for whom is asked from now on: a hash that names a workspace to a host of ours, and tells nothing
        else; empty for nobody in particular. No other server is told."""
        self._workspace = workspace
        if workspace and self._is_ours:
            self._http.headers[WORKSPACE_HEADER] = workspace
        else:
            self._http.headers.pop(WORKSPACE_HEADER, None)

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`. A prompt that can be healed is, at a host of ours: any other SGLang server keeps
        every grammar that it was ever given, 54 kB for each beginning of an identifier."""
        refuse_too_large(self.name, prompt, params, self.context_tokens)
        healed, refused = prompt.healed, False
        if healed is not None and self._heals and self._is_ours and not params.constrained:
            asked = msgspec.structs.replace(prompt, ids=healed.ids)
            held = msgspec.structs.replace(params, regex=healed.regex)
            begun = False
            try:
                async with aclosing(self._answer(asked, held, priority)) as chunks:
                    async for chunk in chunks:
                        rest = healed.rest_of(chunk)
                        if rest is not None:
                            begun = True
                            yield rest
                return
            except NotBegun:
                refused = True
            except EngineRequestError as error:
                if begun or error.fault not in REFUSED_GRAMMAR:
                    raise
                refused = True
        async with aclosing(self._answer(prompt, params, priority)) as chunks:
            async for chunk in chunks:
                if refused and self._heals:  # this one it takes, so that it was the grammar that it did not
                    self._heals = False
                    self.limits.append(NO_HEALING)
                yield chunk

    async def _answer(self, prompt: Prompt, params: Sampling, priority: int) -> AsyncGenerator[Chunk, None]:
        """A request that is given up before its body has left never reaches a scheduler; after that it is aborted by
        its id, and its connection closed."""
        # Of fixed length: SGLang aborts every request whose id begins with the one given.
        request_id = uuid.uuid4().hex
        sent, admitted = asyncio.Event(), asyncio.Event()
        answer = SGLangAnswer(self.name)
        stream = self._stream(request_id, prompt, params, priority, sent, admitted)
        over = False
        try:
            async with aclosing(stream):
                async for document in stream:
                    chunk = answer.take(document)
                    over = chunk.finished is not None
                    yield chunk
                    if over:
                        await drained(stream)
                        return
            if not over:
                raise EngineRequestError(
                    "dropped", f"{self.name} ended its answer before it was complete; ask again"
                )
        except EngineRequestError as error:
            over = over or error.fault in NEVER_STARTED
            raise
        finally:
            if sent.is_set() and not over and self._takes_aborts:
                self._abort(request_id, again=not admitted.is_set())

    async def status(self) -> JsonObject:
        """What the server tells about itself: a host of ours its memory, cache and requests (see
        `engine.hosting.vitals`), any other SGLang server what its `/model_info` says. Raises EngineRequestError."""
        try:
            return await get_json(self._http, "/foreword/host", self.name)
        except EngineRequestError as error:
            if error.fault != "request":  # this is what a server is told to have that does not know the path
                raise
        try:
            return await get_json(self._http, "/model_info", self.name)
        except EngineRequestError as error:
            if error.status not in NO_SUCH_PATH:
                raise
        return await get_json(self._http, "/get_model_info", self.name)  # routers and older servers

    async def cached(self, ids: Sequence[int]) -> int | None:
        """See `TellsCached.cached`."""
        if not self._packs_ids or not ids:
            return None
        question = token_body.encode(token_body.TokenRequest("", {}), ids)
        try:
            told = await get_json(self._http, token_body.CACHED_PATH, self.name, question)
        except EngineRequestError as error:
            if error.status in NO_SUCH_PATH:
                return None  # a host of another version
            raise
        found = told.get("cached_tokens")
        return found if isinstance(found, int) else None

    async def probe(self) -> None:
        """See `Probed.probe`."""
        facts = await probe_sglang(self._http, self.name)
        self._takes_aborts, self._packs_ids, self._is_ours = facts.takes_aborts, facts.is_host, facts.is_host
        self.introduce(self._workspace)
        self.limits[:] = [*self._known_limits, *facts.missing]
        self.context_tokens, limit = kept_window(self._configured_tokens, facts.window)
        self.limits += limit

    async def close(self) -> None:
        """Waits for aborts that are under way (a few seconds at most) and closes the connections."""
        if self._aborts:
            await asyncio.wait(self._aborts, timeout=ABORT_TIMEOUT_S)
        for task in self._aborts:
            task.cancel()
        await self._http.aclose()

    async def _stream(
        self,
        request_id: str,
        prompt: Prompt,
        params: Sampling,
        priority: int,
        sent: asyncio.Event,
        admitted: asyncio.Event,
    ) -> AsyncGenerator[JsonObject, None]:
        """The events of the answer, by the shorter way where there is one. `sent` and `admitted` tell how far it
        has come."""
        sampling = self._sampling(params)

        def ask(path: str, body: bytes, media_type: str) -> AsyncGenerator[JsonObject, None]:
            return events(
                self._http,
                path,
                body,
                name=self.name,
                timeouts=self._timeouts,
                media_type=media_type,
                on_sent=sent.set,
                on_admitted=admitted.set,
            )

        if self._packs_ids and prompt.ids:
            wanted = True if params.logprobs else msgspec.UNSET
            head = token_body.TokenRequest(request_id, sampling, priority=priority, return_logprob=wanted)
            packed = ask(token_body.PATH, token_body.encode(head, prompt.ids), token_body.MEDIA_TYPE)
            try:
                async with aclosing(packed):
                    async for document in packed:
                        yield document
                return
            except EngineRequestError as error:
                if error.status not in NO_SUCH_PATH:
                    raise
            self._packs_ids = False  # a host of another version
        request: JsonObject = {
            "rid": request_id,
            "stream": True,
            "sampling_params": sampling,
            "priority": priority,
        }
        if params.logprobs:
            request["return_logprob"] = True
        if prompt.ids is None:
            request["text"] = prompt.text
        else:
            request["input_ids"] = prompt.ids
        async with aclosing(ask("/generate", msgspec.json.encode(request), JSON)) as plain:
            async for document in plain:
                yield document

    def _sampling(self, params: Sampling) -> JsonObject:
        sampling: JsonObject = {
            "max_new_tokens": params.max_tokens,
            "temperature": params.temperature,
            "top_p": params.top_p,
            "top_k": params.top_k,
            "repetition_penalty": params.repetition_penalty,
            "stop": list(params.stop),
            "stop_token_ids": list(self._stop_ids),
            "skip_special_tokens": True,
            "spaces_between_special_tokens": False,
        }
        grammars = {"regex": params.regex, "ebnf": params.ebnf, "json_schema": params.json_schema}
        sampling |= {name: grammar for name, grammar in grammars.items() if grammar is not None}
        return sampling

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
                # streamed, so that of the answer nothing but its status is read: it may have no end
                abort = self._http.stream(
                    "POST", "/abort_request", json={"rid": request_id}, timeout=ABORT_TIMEOUT_S
                )
                async with abort as answered:
                    status = answered.status_code
            except httpx.HTTPError:
                return  # Closing the connection, which came first, ends it on a server that is still there.
            if status in NO_SUCH_PATH:
                self._no_aborts()
                return

    def _no_aborts(self) -> None:
        self._takes_aborts = False
        if NO_ABORTS not in self.limits:
            self.limits.append(NO_ABORTS)
