"""The language server: handlers that only translate between the protocol and what does the work, and its
process."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from typing import Any, NoReturn

import msgspec
from lsprotocol import types

from lsp.documents import Snapshot, line_around
from lsp.edits.offering import OPTIONS
from lsp.edits.reading import CannotEdit
from lsp.executing import on_acceptance, register_commands
from lsp.inline import Outcome
from lsp.measured import begin
from lsp.protocol import AT_DISPATCH, PARTIAL_RESULT
from lsp.session import ForewordServer
from lsp.status import status
from lsp.stdio import PARSE_ERROR, FramingError, Malformed, Streams, Writer, parsed, read_body, start_reader
from lsp.streaming import AtCursor, growing_items, streamed_completion
from lsp.symbols import NotNow

COMPLETION = "foreword/completion"
CONTEXT = "foreword/context"
STATUS = "foreword/status"
DIAGNOSTICS = "foreword/diagnostics"
SHOWN = "foreword/shown"
CURSOR = "foreword/cursor"
LOADED_MODULES = "foreword/loadedModules"
MEASURED = "foreword/measured"
DEBUG_VARIABLE = "FOREWORD_DEBUG"
"""When it is 1, `foreword/loadedModules` tells what this process has imported, which a test watches over, and
`foreword/measured` what it waited for and what blocked its loop, which `foreword bench lsp` reads."""

CLOSE_TIMEOUT_S = 3.0
"""For hanging up on the index service and the engine; an editor that quits does not wait longer."""

MAX_LABEL_CHARS = 60
"""Of a completion item; the whole text is in its documentation."""

SWITCH_INTERVAL_S = 0.0005
"""After so long a thread that computes gives the interpreter away where another one wants it. Python's own 5 ms are a
third of what an answer may take, and the event loop pays them each time that it wakes up beside a parse."""

INTERRUPTED = 130
"""The customary status of a process that was ended by Ctrl-C."""


def create() -> ForewordServer:
    """A server with all handlers; needs a running event loop."""
    server = ForewordServer()
    server.feature(types.INITIALIZE)(initialize)
    server.feature(types.INITIALIZED)(initialized)
    server.feature(types.TEXT_DOCUMENT_DID_SAVE)(did_save)
    server.feature(types.WORKSPACE_DID_CHANGE_CONFIGURATION)(did_change_configuration)
    server.feature(types.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)(did_change_folders)
    server.feature(types.TEXT_DOCUMENT_INLINE_COMPLETION, types.InlineCompletionOptions())(inline_completion)
    server.feature(COMPLETION)(foreword_completion)
    server.feature(CONTEXT)(foreword_context)
    server.feature(STATUS)(foreword_status)
    server.feature(SHOWN)(foreword_shown)
    server.feature(CURSOR)(foreword_cursor)
    server.feature(types.TEXT_DOCUMENT_CODE_ACTION, OPTIONS)(code_action)
    server.feature(types.CODE_ACTION_RESOLVE)(code_action_resolve)
    server.feature(types.WINDOW_WORK_DONE_PROGRESS_CANCEL)(progress_cancel)
    server.feature(DIAGNOSTICS)(foreword_diagnostics)
    register_commands(server)
    if os.environ.get(DEBUG_VARIABLE) == "1":
        server.feature(LOADED_MODULES)(loaded_modules)
        measured = begin()

        async def tell_measured(ls: ForewordServer, params: Any) -> dict[str, Any]:
            return measured.take()

        server.feature(MEASURED)(tell_measured)
    return server


# ---------------------------------------------------------------- handlers


def initialize(ls: ForewordServer, params: types.InitializeParams) -> None:
    ls.initialize(params)
    if ls.settings.completion_items:
        ls.feature(types.TEXT_DOCUMENT_COMPLETION, types.CompletionOptions())(completion)


def initialized(ls: ForewordServer, params: types.InitializedParams) -> None:
    ls.initialized()


async def did_save(ls: ForewordServer, params: types.DidSaveTextDocumentParams) -> None:
    ls.did_save(params.text_document.uri)


async def did_change_configuration(ls: ForewordServer, params: types.DidChangeConfigurationParams) -> None:
    await ls.configuration_changed(params.settings)


async def did_change_folders(ls: ForewordServer, params: types.DidChangeWorkspaceFoldersParams) -> None:
    ls.folders_changed(params.event)


async def inline_completion(
    ls: ForewordServer, params: types.InlineCompletionParams
) -> types.InlineCompletionList:
    snapshot = AT_DISPATCH.get()
    growing = None if snapshot is None else growing_items(ls, snapshot, PARTIAL_RESULT.get())
    selected = params.context.selected_completion_info
    invoked = params.context.trigger_kind == types.InlineCompletionTriggerKind.Invoked
    outcome = await ls.complete(snapshot, params.position, selected, growing, invoked=invoked)
    if snapshot is None or not outcome.text:
        return types.InlineCompletionList(items=[])
    shown = (outcome, *outcome.others)
    return types.InlineCompletionList(items=[inline_item(ls, snapshot, each) for each in shown])


def inline_item(ls: ForewordServer, snapshot: Snapshot, outcome: Outcome) -> types.InlineCompletionItem:
    where = ls.range_of(snapshot, outcome.start, outcome.end)
    return types.InlineCompletionItem(
        insert_text=outcome.text, range=where, command=acceptance_command(ls, snapshot)
    )


def acceptance_command(ls: ForewordServer, snapshot: Snapshot) -> types.Command | None:
    """What the client runs once what this document's user was offered last is accepted."""
    id_ = ls.completions.outcomes.current(snapshot.uri)
    return types.Command(**on_acceptance(id_)) if id_ else None


async def completion(ls: ForewordServer, params: types.CompletionParams) -> types.CompletionList:
    """The same completion as one item, for clients without inline completion."""
    snapshot = AT_DISPATCH.get()
    outcome = await ls.complete(snapshot, params.position)
    if snapshot is None or not outcome.text:
        return types.CompletionList(is_incomplete=True, items=[])
    before, _ = line_around(snapshot.text, outcome.start)
    item = item_of(outcome, word_at_end(before))
    where = ls.range_of(snapshot, outcome.start - len(word_at_end(before)), outcome.end)
    item.text_edit = types.TextEdit(range=where, new_text=item.insert_text or "")
    if not takes_as_is(ls.client_capabilities):
        item.insert_text_mode = None
    item.command = acceptance_command(ls, snapshot)
    return types.CompletionList(is_incomplete=True, items=[item])


def item_of(outcome: Outcome, word: str) -> types.CompletionItem:
    """`word` is what stands before the cursor: clients filter items by it, so the item begins with it."""
    whole = word + outcome.text
    first = whole.strip().partition("\n")[0]
    return types.CompletionItem(
        label=first if len(first) <= MAX_LABEL_CHARS else first[: MAX_LABEL_CHARS - 1] + "…",
        kind=types.CompletionItemKind.Text,
        detail="Foreword",
        documentation=whole,
        insert_text=whole,
        insert_text_mode=types.InsertTextMode.AsIs,
        filter_text=whole.strip() or word,
        sort_text="\uffff",
    )


def takes_as_is(capabilities: types.ClientCapabilities) -> bool:
    """Unless the client names the modes that it knows, and this is none of them."""
    document = capabilities.text_document
    item = document.completion.completion_item if document and document.completion else None
    modes = item.insert_text_mode_support if item else None
    return modes is None or types.InsertTextMode.AsIs in modes.value_set


def word_at_end(line: str) -> str:
    """The identifier that `line` ends in."""
    start = len(line)
    while start and (line[start - 1].isalnum() or line[start - 1] == "_"):
        start -= 1
    return line[start:]


async def code_action(ls: ForewordServer, params: types.CodeActionParams) -> list[types.CodeAction]:
    return await ls.offering.offered(AT_DISPATCH.get(), params)


async def code_action_resolve(ls: ForewordServer, params: types.CodeAction) -> types.CodeAction:
    try:
        return await ls.offering.resolved(params)
    except CannotEdit as refused:
        raise NotNow(str(refused), types.LSPErrorCodes.RequestFailed) from refused


def progress_cancel(ls: ForewordServer, params: types.WorkDoneProgressCancelParams) -> None:
    ls.progress_cancelled(params.token)


def foreword_diagnostics(ls: ForewordServer, params: Any) -> None:
    ls.diagnostics.told(params)


async def foreword_completion(ls: ForewordServer, params: Any) -> dict[str, Any]:
    return await streamed_completion(ls, params)


async def foreword_context(ls: ForewordServer, params: Any) -> dict[str, Any]:
    from lsp.context.answer import context_answer  # with all that it imports: only where somebody looks

    return await context_answer(ls, params)


async def foreword_status(ls: ForewordServer, params: Any) -> dict[str, Any]:
    return await status(ls)


def foreword_shown(ls: ForewordServer, params: Any) -> None:
    """Of a suggestion, by the id that came with it."""
    id_ = params.get("id") if isinstance(params, dict) else None
    if isinstance(id_, str):
        ls.completions.outcomes.seen(id_)
    else:
        ls.log_warning(f"Ignored {SHOWN}: it needs the id of a suggestion, a string")


def foreword_cursor(ls: ForewordServer, params: Any) -> None:
    """Where a cursor rests; a document that is not open is none of ours."""
    try:
        told = msgspec.convert(params, AtCursor)
    except msgspec.ValidationError as wrong:
        ls.log_warning(f"Ignored {CURSOR}: {wrong}")
        return
    snapshot = ls.documents.get(told.text_document.uri)
    offset = None if snapshot is None else ls.cursor(snapshot, told.position.line, told.position.character)
    if snapshot is not None and offset is not None:
        ls.completions.rests(snapshot, offset)


async def loaded_modules(ls: ForewordServer, params: Any) -> list[str]:
    return sorted(sys.modules)


# ---------------------------------------------------------------- the process


def run() -> NoReturn:
    """Serves one client on stdin and stdout, and ends the process when the client goes."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s"
    )
    logging.getLogger("pygls").setLevel(logging.CRITICAL)  # it logs whole messages, source text included
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    streams = Streams()
    loop = asyncio.new_event_loop()
    try:
        code = loop.run_until_complete(serve(streams))
    except KeyboardInterrupt:
        code = INTERRUPTED
    sys.stderr.flush()
    os._exit(
        code
    )  # threads may still wait for stdin or a download: nothing that they do is worth waiting for


async def serve(streams: Streams) -> int:
    """The status to end with, once the client has gone and everything is closed."""
    loop = asyncio.get_running_loop()
    server = create()

    def lost() -> None:
        loop.call_soon_threadsafe(server.stop, 1)

    writer = Writer(streams.output, lost)
    server.rpc.set_writer(writer)
    reading = asyncio.create_task(_receive(server, start_reader(streams.input, loop)), name="messages")
    code = await server.stopped
    reading.cancel()
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await server.close()
    except TimeoutError:
        logging.getLogger("foreword").warning("gave up closing connections after %s s", CLOSE_TIMEOUT_S)
    await asyncio.to_thread(writer.close)
    return code


async def _receive(server: ForewordServer, stream: asyncio.StreamReader) -> None:
    """Hands messages over in order. The end of input is the end of the client."""
    try:
        while (body := await read_body(stream)) is not None:
            try:
                with server.collecting.held_back():
                    server.rpc.receive(parsed(body))
            except Malformed as wrong:
                server.rpc.refuse(wrong)
            await asyncio.sleep(0)  # lets the handler of this message begin before the next one is read
    except FramingError as broken:
        server.rpc.refuse(Malformed(PARSE_ERROR, f"stopped reading after {broken}"))
    finally:
        server.stop(0 if server.rpc.is_shut_down else 1)


if __name__ == "__main__":
    run()
