"""Asks a server a few small questions to find out what it is and what is missing there.

What was seen of sglang's router 0.3.2 (`sglang-router` on PyPI): it forwards `/generate` with ids, `rid`,
`priority` and grammars, `/v1/completions` and `/v1/chat/completions`; it has no `/abort_request`, `/model_info`
or `/v1/loads` and drops headers of our own. A worker learns of a closed stream when it sends its next event.
"""

from __future__ import annotations

import asyncio
import uuid
from http import HTTPStatus
from typing import Any, cast

import httpx
import msgspec

from engine.endpoints.faults import NO_SUCH_PATH, EngineRequestError, JsonObject
from engine.endpoints.sse import STATUS_TIMEOUT_S, get_json

HOST_PATH = "/foreword/host"

NO_ABORTS = (
    "it passes no aborts on: a cancelled request ends when the closed connection is noticed, at its next token, so "
    "that a prefill runs to its end"
)
NO_SHARES = "it does not know workspaces: they share its prefix cache without a rule"


class SGLangFacts(msgspec.Struct, frozen=True):
    """What an SGLang server, or a router in front of several, told of itself."""

    model: str
    """As it was started with: a name or a folder; empty where it did not tell."""
    window: int | None
    """Tokens of its model's window as served."""
    takes_aborts: bool
    is_host: bool
    """A host of Foreword's."""
    missing: list[str]
    """One sentence for each thing that a host of ours would have."""


class OpenAIFacts(msgspec.Struct, frozen=True):
    models: list[str]
    """By the names that requests use; empty where the server does not tell."""
    windows: dict[str, int]
    """Of those models that it tells it of."""


async def probe_sglang(http: httpx.AsyncClient, name: str) -> SGLangFacts:
    """Raises EngineRequestError where nothing answers or the key is refused; all else is a fact."""
    try:
        host = await get_json(http, HOST_PATH, name)
    except EngineRequestError as error:
        if error.status not in NO_SUCH_PATH:
            raise
    else:
        return SGLangFacts(_text(host.get("model")), None, takes_aborts=True, is_host=True, missing=[])
    info, offered, loads, aborts, workers = await asyncio.gather(
        _model_info(http, name),
        _told(http, "/v1/models", name),
        _told(http, "/v1/loads", name),
        _takes_aborts(http),
        _told(http, "/workers", name),
    )
    openai = read_models(offered or {})
    missing = [NO_SHARES]
    if workers is not None:
        count = len(_list(workers.get("workers")))
        missing.append(f"it is a router in front of {count} {'worker' if count == 1 else 'workers'}")
    if not aborts:
        missing.append(NO_ABORTS)
    if info is None:
        missing.append("it does not tell which model it runs (/model_info)")
    if loads is None:
        missing.append("it does not tell how busy it is (/v1/loads)")
    model = _text((info or {}).get("served_model_name")) or _text((info or {}).get("model_path"))
    window = min(openai.windows.values(), default=None)
    return SGLangFacts(model or next(iter(openai.models), ""), window, aborts, False, missing)


async def probe_openai(http: httpx.AsyncClient, name: str) -> OpenAIFacts:
    """Raises EngineRequestError where nothing answers or the key is refused; no list of models is a fact."""
    try:
        return read_models(await get_json(http, "/v1/models", name))
    except EngineRequestError as error:
        if error.status not in NO_SUCH_PATH:
            raise
        return OpenAIFacts([], {})


def kept_window(configured: int, told: int | None) -> tuple[int, list[str]]:
    """The window to keep to, in tokens, and what is to be said of it."""
    if told is None or told >= configured:
        return configured, []
    return told, [
        f"its window is {told:,} tokens, less than the {configured:,} that are configured: it is kept to"
    ]


def read_models(document: JsonObject) -> OpenAIFacts:
    """Of `/v1/models`, whatever of it can be understood. Windows are told by SGLang and vLLM (`max_model_len`) and
    some hosted servers (`context_length`)."""
    models: list[str] = []
    windows: dict[str, int] = {}
    for card in _list(document.get("data")):
        if not isinstance(card, dict):
            continue
        fields = cast("JsonObject", card)
        model = _text(fields.get("id"))
        if not model:
            continue
        models.append(model)
        window = fields.get("max_model_len") or fields.get("context_length")
        if isinstance(window, int) and window > 0:
            windows[model] = window
    return OpenAIFacts(models, windows)


async def _model_info(http: httpx.AsyncClient, name: str) -> JsonObject | None:
    return await _told(http, "/model_info", name) or await _told(http, "/get_model_info", name)


async def _told(http: httpx.AsyncClient, path: str, name: str) -> JsonObject | None:
    """None where the server does not tell, for whatever reason: that becomes one of its limits."""
    try:
        return await get_json(http, path, name)
    except EngineRequestError:
        return None


async def _takes_aborts(http: httpx.AsyncClient) -> bool:
    """Asked by the abort of a request that nobody ever made."""
    try:
        answered = await http.post("/abort_request", json={"rid": uuid.uuid4().hex}, timeout=STATUS_TIMEOUT_S)
    except httpx.HTTPError:
        return False
    return answered.status_code < HTTPStatus.BAD_REQUEST


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _list(value: object) -> list[Any]:
    return cast("list[Any]", value) if isinstance(value, list) else []
