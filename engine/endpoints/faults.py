"""What can go wrong between Foreword and an engine, each fault named for the person who reads it."""

from __future__ import annotations

import contextlib
import email.utils
import json
import re
import ssl
import time
from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Literal, cast

if TYPE_CHECKING:
    import httpx

Fault = Literal[
    "unreachable",
    "refused",
    "busy",
    "draining",
    "timeout",
    "dropped",
    "protocol",
    "request",
    "aborted",
    "starting",
]
"""What kind of thing went wrong: `refused` is about keys, `request` about what was sent, `protocol` about
what came back, `busy` and `starting` pass by themselves, `draining` does not (the host is leaving and has or
wants a successor), `aborted` was ended by somebody else."""

MAX_ERROR_CHARACTERS = 300
"""How much of a server's own words an error repeats."""

NO_SUCH_PATH = (HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED)
"""How servers say that they do not have what was asked for at this address."""

MAY_BE_TOO_LONG = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
"""The statuses under which servers say, among much else, that a prompt is longer than their window."""

SAYS_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|size|window)|than the context|exceed_context|max_model_len"
    r"|(?:prompt|input|request) (?:is )?too (?:long|large)|too many (?:input )?tokens",
    re.IGNORECASE,
)
"""In the words or codes of SGLang, vLLM, llama.cpp, Ollama, LM Studio and hosted servers. Their statuses do not tell
it from a request that is wrong."""

JsonObject = dict[str, Any]


class EngineRequestError(Exception):
    """A request to an engine failed. The text says what happened, to what, and what to do."""

    def __init__(
        self,
        fault: Fault,
        message: str,
        *,
        status: int | None = None,
        retry_after_s: float | None = None,
        only_here: bool = False,
    ) -> None:
        super().__init__(message)
        self.fault: Fault = fault
        self.status = status
        """The HTTP status, where one was answered."""
        self.retry_after_s = retry_after_s
        """When the server wants to be asked again, where it said so."""
        self.only_here = only_here
        """The request may be right: it is this endpoint that cannot answer it, though nothing is wrong with it."""


class PromptTooLargeError(EngineRequestError):
    """The prompt does not fit into the endpoint's window; nothing was sent."""

    def __init__(self, name: str, *, prompt_tokens: int, max_tokens: int, context_tokens: int) -> None:
        super().__init__(
            "request",
            f"the prompt has {prompt_tokens:,} tokens and up to {max_tokens:,} are asked for, but the window of "
            f"{name} is {context_tokens:,}; ask for less context (foreword.budgetTokens), or, if the model there "
            "reads more, set foreword.engine.contextTokens",
            only_here=True,
        )


def status_error(
    name: str, status: int, headers: Mapping[str, str], body: bytes, path: str
) -> EngineRequestError:
    """What an HTTP status other than 200 means for the person who reads it."""
    document = _decoded(body)
    said = brief(message_in(document) or body.decode(errors="replace"))
    fault, message = _meaning(name, status, said, document, path, headers.get("location", ""))
    return EngineRequestError(
        fault,
        message,
        status=status,
        retry_after_s=_retry_after(headers.get("retry-after", "")),
        only_here=fault == "request" and _is_too_long(status, body),
    )


def event_error(name: str, error: object) -> EngineRequestError:
    """What an error in the place of an event means: the server took the request, and could not answer it."""
    said = message_in(error) or brief(str(error))
    return EngineRequestError("request", f"{name} gave up on the request: {said}", only_here=True)


def _meaning(
    name: str, status: int, said: str, document: object, path: str, location: str
) -> tuple[Fault, str]:
    if status == HTTPStatus.UNAUTHORIZED:
        return "refused", (
            f"{name} refused the key (401); it was restarted with another one, or the setting is wrong"
        )
    if status == HTTPStatus.FORBIDDEN:
        return "refused", f"{name} refused this caller (403): {said}; check address and key"
    if status in NO_SUCH_PATH:
        return "request", (
            f"{name} knows no {path} ({status}: {said}); check the endpoint's address, kind and model"
        )
    if status == HTTPStatus.SERVICE_UNAVAILABLE and _is_draining(document):
        return "draining", f"{name} is leaving and takes no new requests; its successor has another address"
    if status in (HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS):
        return "busy", f"{name} takes no requests now ({status}: {said}); ask again shortly"
    if status < HTTPStatus.BAD_REQUEST:
        moved = f", to {location}" if location else ""
        return "request", (
            f"{name} sends its callers elsewhere ({status}{moved}); set the address where it answers itself"
        )
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return "request", f"{name} did not accept the request ({status}): {said}"
    return "protocol", f"{name} failed ({status}): {said}; its log says more"


def transport_error(name: str, error: httpx.HTTPError, *, started: bool) -> EngineRequestError:
    """What a failed connection means for the person who reads it."""
    import httpx

    what = brief(str(error) or type(error).__name__)
    if isinstance(error, httpx.ConnectTimeout | httpx.ConnectError):
        return EngineRequestError("unreachable", f"{name} cannot be reached ({what}); {_connecting(error)}")
    if isinstance(error, httpx.TimeoutException):
        return EngineRequestError(
            "timeout", f"{name} did not answer in time ({what}); it may be overloaded or stuck"
        )
    if started:
        return EngineRequestError(
            "dropped", f"{name} dropped the connection during its answer ({what}); ask again"
        )
    return EngineRequestError(
        "dropped",
        f"{name} dropped the connection before it answered ({what}); ask again, and if it stays so look whether "
        "the address is that of an HTTP server and its http or https is right",
    )


def _connecting(error: BaseException) -> str:
    """The remedy where no connection could be made."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return "its certificate is not trusted here: name its issuer's file in SSL_CERT_FILE"
        if isinstance(cause, ssl.SSLError):
            return "it speaks no TLS at this port: is the address to begin with http:// instead of https://?"
        cause = cause.__cause__ or cause.__context__
    return "is it running?"


def message_in(document: object) -> str:
    """The message of an error document, empty where it has none: SGLang, vLLM and FastAPI each put it somewhere
    else."""
    if isinstance(document, str):
        return document
    if isinstance(document, dict):
        fields = cast("JsonObject", document)
        for key in ("message", "error", "detail"):
            if found := message_in(fields.get(key)):
                return found
    return ""


def brief(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= MAX_ERROR_CHARACTERS else words[:MAX_ERROR_CHARACTERS] + "…"


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_draining(document: object) -> bool:
    """Whether our own host says that it leaves (`attendance.refuse_draining`)."""
    return isinstance(document, dict) and cast("JsonObject", document).get("error") == "draining"


def _is_too_long(status: int, body: bytes) -> bool:
    """Whether the prompt was longer than the server takes; 413 says nothing else."""
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return True
    return status in MAY_BE_TOO_LONG and SAYS_TOO_LONG.search(body.decode(errors="replace")) is not None


def _retry_after(header: str) -> float | None:
    """Seconds, given as such or as a date (RFC 9110, section 10.2.3); None where it says neither."""
    if header.isascii() and header.isdigit():
        return float(header)
    with contextlib.suppress(ValueError, TypeError):  # most servers send none
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - time.time())
    return None
