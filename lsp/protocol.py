"""JSON-RPC for the server: every request is answered, invalid ones too, and nothing pops up at the user.

On top of pygls' protocol: a gate before `initialize` and after `shutdown`, answers to invalid params,
documents kept by `lsp.workspace`, and the document of a request taken at the moment the request came in."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, cast

import attrs
from cattrs.errors import ClassValidationError
from cattrs.v import transform_error
from lsprotocol import types
from pygls.exceptions import JsonRpcException
from pygls.protocol import LanguageServerProtocol, lsp_method

from lsp.documents import Snapshot
from lsp.stdio import INVALID_REQUEST, Malformed

if TYPE_CHECKING:
    from lsp.session import ForewordServer

log = logging.getLogger("foreword.protocol")

INVALID_PARAMS = -32602
NOT_INITIALIZED = -32002

MAX_COMPLAINTS = 3
"""Of what is wrong with one message; the first says enough."""

AT_DISPATCH: contextvars.ContextVar[Snapshot | None] = contextvars.ContextVar("AT_DISPATCH", default=None)
"""The document that the running request is about, as it was when the request came in."""

PARTIAL_RESULT: contextvars.ContextVar[str | int | None] = contextvars.ContextVar(
    "PARTIAL_RESULT", default=None
)
"""By which token the running inline completion is to be told while it grows; None where that is not wanted."""

WORK_DONE: contextvars.ContextVar[str | int | None] = contextvars.ContextVar("WORK_DONE", default=None)
"""By which token the client wants to be shown how far the running request has come; None where it has sent none."""

Handled = Generator[Any, Any, None]
"""What pygls' own handlers return: a generator of further handlers to call, here of none."""


FOREWORD_METHODS = "foreword/"
"""Every method of our own begins so."""


@attrs.define
class ForewordMessage:
    """A request of one of our own methods, its parameters as they came (pygls would make objects of them)."""

    id: str | int
    method: str
    jsonrpc: str
    params: Any = None


@attrs.define
class ForewordNotification:
    """The same without an answer."""

    method: str
    params: Any = None
    jsonrpc: str = "2.0"


class ForewordProtocol(LanguageServerProtocol):
    @property
    def session(self) -> ForewordServer:
        return cast("ForewordServer", self._server)

    def receive(self, message: dict[str, Any]) -> None:
        """Handles one message, already known to be JSON-RPC."""
        method, request_id = message.get("method"), message.get("id")
        refusal = self._refusal(method)
        if refusal is not None:
            if request_id is not None:
                self.refuse(Malformed(*refusal, request_id))
            return
        if method is not None and self.get_message_type(method) is None:
            message.setdefault(
                "params", None
            )  # pygls' own type for methods that are not the protocol's needs them
        try:
            structured = self.structure_message(message)
            token = partial_result_token(message)
        except Malformed as wrong:
            if request_id is not None and method is not None:
                self.refuse(wrong)
            else:
                self.session.log_warning(f"Ignored {method or 'an answer'}: {wrong}")
            return
        AT_DISPATCH.set(self._document_of(structured))
        PARTIAL_RESULT.set(token)
        WORK_DONE.set(getattr(getattr(structured, "params", None), "work_done_token", None))
        self.handle_message(structured)

    # pygls' own is wrapped in a cache, which makes it a variable to pyright.
    def get_message_type(  # pyright: ignore[reportIncompatibleVariableOverride]
        self, method: str
    ) -> type[Any] | None:
        return ForewordMessage if method.startswith(FOREWORD_METHODS) else super().get_message_type(method)

    @property
    def is_shut_down(self) -> bool:
        return self._shutdown

    def when_cancelled(self, run: Callable[[], object]) -> None:
        """Runs this as soon as the client cancels the request that is being handled. For commands: pygls answers a
        cancelled `workspace/executeCommand` and lets its coroutine run on."""
        request = None if self.msg_id is None else self._request_futures.get(self.msg_id)
        if request is not None:
            request.add_done_callback(lambda done: run() if done.cancelled() else None)

    def _run_generator(
        self, future: Future[Any] | None, *, gen: Generator[Any, Any, Any], result_future: Future[Any]
    ) -> None:
        """Nobody waits for what a cancelled command comes to; pygls would fail at answering it again."""
        if result_future.cancelled():
            gen.close()
            return
        super()._run_generator(future, gen=gen, result_future=result_future)

    def tell(self, method: str, params: dict[str, Any]) -> None:
        """Sends a notification of our own."""
        self._send_data({"jsonrpc": self.VERSION, "method": method, "params": params})

    def refuse(self, wrong: Malformed) -> None:
        """Answers with an error; the id is null when the message had none that could be read."""
        error = types.ResponseError(code=wrong.code, message=str(wrong))
        self._send_data(types.ResponseErrorMessage(id=wrong.request_id, error=error))

    def structure_message(self, data: dict[str, Any]) -> Any:
        """Raises Malformed naming what is wrong; pygls would log it and leave the request unanswered."""
        method = data.get("method")
        if isinstance(method, str) and method.startswith(FOREWORD_METHODS) and data.get("id") is None:
            return ForewordNotification(method, data.get("params"))
        try:
            return super().structure_message(data)
        except JsonRpcException as wrong:
            method = data.get("method", "an answer")
            said = _complaints(wrong.__cause__) or str(wrong)
            raise Malformed(INVALID_PARAMS, f"{method}: {said}", data.get("id")) from wrong

    def _refusal(self, method: str | None) -> tuple[int, str] | None:
        if method is None or method == types.EXIT:
            return None
        if self._shutdown:
            return INVALID_REQUEST, "the server has been shut down; only exit is left to send"
        if self._workspace is None and method != types.INITIALIZE:
            return NOT_INITIALIZED, f"{method} came before initialize"
        if self._workspace is not None and method == types.INITIALIZE:
            return INVALID_REQUEST, "the server has been initialized already"
        return None

    def _document_of(self, message: Any) -> Snapshot | None:
        document = getattr(getattr(message, "params", None), "text_document", None)
        uri = getattr(document, "uri", None)
        return self.session.documents.get(uri) if isinstance(uri, str) else None

    # ------------------------------------------------ documents are kept by lsp.workspace, not by pygls

    @lsp_method(types.TEXT_DOCUMENT_DID_OPEN)
    def lsp_text_document__did_open(self, params: types.DidOpenTextDocumentParams) -> Handled:
        self.session.did_open(params)
        yield from ()

    @lsp_method(types.TEXT_DOCUMENT_DID_CHANGE)
    def lsp_text_document__did_change(self, params: types.DidChangeTextDocumentParams) -> Handled:
        self.session.did_change(params)
        yield from ()

    @lsp_method(types.TEXT_DOCUMENT_DID_CLOSE)
    def lsp_text_document__did_close(self, params: types.DidCloseTextDocumentParams) -> Handled:
        self.session.did_close(params)
        yield from ()

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_OPEN)
    def lsp_notebook_document__did_open(self, params: types.DidOpenNotebookDocumentParams) -> Handled:
        self.session.notebook_did_open(params)
        yield from ()

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CHANGE)
    def lsp_notebook_document__did_change(self, params: types.DidChangeNotebookDocumentParams) -> Handled:
        self.session.notebook_did_change(params)
        yield from ()

    @lsp_method(types.NOTEBOOK_DOCUMENT_DID_CLOSE)
    def lsp_notebook_document__did_close(self, params: types.DidCloseNotebookDocumentParams) -> Handled:
        self.session.notebook_did_close(params)
        yield from ()

    @lsp_method(types.EXIT)
    def lsp_exit(self, *args: Any) -> Handled:
        """Ends the loop; the process' status says whether `shutdown` came first, as the protocol asks."""
        self.session.stop(0 if self._shutdown else 1)
        yield from ()


def partial_result_token(message: dict[str, Any]) -> str | int | None:
    """Of an inline completion, whose parameters have none in lsprotocol (LSP 3.18: `PartialResultParams`). Raises
    Malformed where it is none."""
    if message.get("method") != types.TEXT_DOCUMENT_INLINE_COMPLETION:
        return None
    token: object = message["params"].get("partialResultToken")  # it has been found to be an object
    if token is None or (isinstance(token, str | int) and not isinstance(token, bool)):
        return token
    said = f"{message['method']}: partialResultToken has to be a string or an integer"
    raise Malformed(INVALID_PARAMS, said, message.get("id"))


def _complaints(error: BaseException | None) -> str:
    if not isinstance(error, ClassValidationError):
        return str(error or "")
    return "; ".join(transform_error(error)[:MAX_COMPLAINTS])
