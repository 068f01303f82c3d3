"""One connection to the index service, which is started if nobody runs it yet."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Self, TypeVar

import msgspec

from indexer import launch
from indexer.messages import (
    MAX_FRAME_BYTES,
    PROTOCOL_VERSION,
    Answer,
    BaseAnswer,
    BaseRequest,
    Call,
    Cancel,
    CloseRoot,
    Done,
    Failure,
    Forget,
    Hello,
    Hits,
    OpenRoot,
    Overlay,
    Pack,
    PackRequest,
    ProgressNote,
    ProtocolError,
    ReferenceList,
    References,
    Request,
    RootStatus,
    Search,
    ServiceStatus,
    Shutdown,
    StatusRequest,
    SymbolList,
    Symbols,
    Welcome,
    decode_outbound,
    frame,
    read_frame,
)
from indexer.paths import UnsafeFolderError

OnProgress = Callable[[ProgressNote], None]

ANSWER_TIMEOUT_S = 10.0
"""Queries take milliseconds; whoever waits longer than this for one is better served by an error."""

PASS_TIMEOUT_S = 3600.0
"""A whole index of a large repository on a small, busy machine."""

FORGET_TIMEOUT_S = 300.0
"""Rows of a large root are deleted and what is left is compacted."""

BASE_TIMEOUT_S = 60.0
"""A second for a repository of 600 files; some more where nothing is counted yet and all has to be encoded."""

KEPT_BASES = 4
"""Of the roots and models that one client has in use, and of the last one while a new one is read."""

_RETRY_S = 0.05
_MAKE_ROOM_TIMEOUT_S = 10.0
"""What an older service may take to finish what it is writing."""

_A = TypeVar("_A")


class IndexServiceError(Exception):
    """The index service answered with a failure; the message is fit to be shown to a person."""


class IndexUnavailable(IndexServiceError):
    """The index service cannot be started or reached, or went away before it answered."""


class IndexClient:
    """Calls to the service over one socket. All methods belong to the event loop that connected."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._ids = itertools.count(1)
        self._pending: dict[int, asyncio.Future[Answer]] = {}
        self._progress: dict[int, OnProgress] = {}
        self._bases: OrderedDict[str, BaseAnswer] = OrderedDict()
        """By id, the last used at the end."""
        self._lost = ""
        """Why the connection is lost, else empty."""
        self._gone = asyncio.Event()
        self._receiver = asyncio.create_task(self._receive(), name="index answers")

    @classmethod
    async def connect(cls, *, start: bool = True, timeout_s: float = 20.0) -> Self:
        """Reaches the service of this user; with `start`, starts it when nobody has.

        Raises IndexUnavailable when there is none within `timeout_s`, or there cannot be one."""
        try:
            async with asyncio.timeout(timeout_s):
                return await cls._connect(start)
        except TimeoutError as late:
            raise IndexUnavailable(
                f"the index service did not answer within {timeout_s:.0f} s; its log is {launch.log_path()}"
            ) from late
        except (launch.CannotStart, UnsafeFolderError) as failed:
            raise IndexUnavailable(str(failed)) from failed
        except OSError as failed:
            raise IndexUnavailable(f"the index service cannot be started: {failed}") from failed

    @classmethod
    async def _connect(cls, start: bool) -> Self:
        starter = launch.Starter()
        try:
            while True:
                path = await asyncio.to_thread(launch.socket_path)
                client = await cls._reach(path)
                if client is not None and await client._is_ours():
                    return client
                if client is None and not start:
                    raise IndexUnavailable("the index service is not running")
                await asyncio.to_thread(starter.ensure)
                await asyncio.sleep(_RETRY_S)
        finally:
            starter.release()

    @classmethod
    async def _reach(cls, path: Path) -> Self | None:
        try:
            reader, writer = await asyncio.open_unix_connection(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        except OSError as failed:
            raise IndexUnavailable(f"cannot reach the index service at {path}: {failed}") from failed
        return cls(reader, writer)

    async def _is_ours(self) -> bool:
        """Greets; an older service is asked to go (False), a newer one is an error."""
        try:
            welcome = await self._typed(Hello(PROTOCOL_VERSION), Welcome, ANSWER_TIMEOUT_S)
        except IndexUnavailable:
            await self.close()
            return False  # it was just going; the next try starts another
        theirs = (welcome.protocol, launch.version_key(welcome.version))
        ours = (PROTOCOL_VERSION, launch.version_key(launch.own_version()))
        if theirs == ours:
            return True
        if theirs > ours:
            await self.close()
            raise IndexUnavailable(
                f"the running index service is of a newer Foreword ({welcome.version}; this is "
                f"{launch.own_version()}): "
                "restart this program with the newer one, or close the editors that use the newer one"
            )
        with contextlib.suppress(IndexServiceError):
            await self.call(Shutdown(), timeout_s=_MAKE_ROOM_TIMEOUT_S)
        await self.close()
        return False

    @property
    def connected(self) -> bool:
        return not self._lost

    async def lost(self) -> None:
        """Until the connection is lost or closed."""
        await self._gone.wait()

    async def close(self) -> None:
        """Hangs up; roots and overlays of this connection are let go by the service."""
        self._lose("this connection to the index service was closed")
        self._receiver.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._receiver
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()

    async def call(
        self,
        request: Request,
        *,
        timeout_s: float = ANSWER_TIMEOUT_S,
        on_progress: OnProgress | None = None,
    ) -> Answer:
        """The answer to one request. Raises IndexServiceError for a failure of the service, IndexUnavailable
        when the connection is lost or nothing came in time, and what `on_progress` raises. Cancelling this cancels
        the work there."""
        if self._lost:
            raise IndexUnavailable(self._lost)
        call_id = next(self._ids)
        message = frame(Call(call_id, request))
        if len(message) > MAX_FRAME_BYTES:
            raise IndexServiceError(
                f"{type(request).__name__} of {len(message)} bytes is over the limit of {MAX_FRAME_BYTES}"
            )
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._pending[call_id] = answer
        if on_progress is not None:
            self._progress[call_id] = on_progress
        try:
            async with asyncio.timeout(timeout_s):
                await self._send(message)
                return await answer
        except TimeoutError as late:
            self._cancel(call_id)
            raise IndexUnavailable(
                f"the index service did not answer {type(request).__name__} within {timeout_s:.0f} s"
            ) from late
        except asyncio.CancelledError:
            self._cancel(call_id)
            raise
        finally:
            self._pending.pop(call_id, None)
            self._progress.pop(call_id, None)

    async def _send(self, message: bytes) -> None:
        try:
            self._writer.write(message)
            await self._writer.drain()
        except OSError as failed:
            self._lose(f"the index service is gone: {failed}")
            raise IndexUnavailable(self._lost) from failed

    def _cancel(self, call_id: int) -> None:
        if not self._lost and not self._writer.is_closing():
            self._writer.write(frame(Cancel(call_id)))

    async def _receive(self) -> None:
        try:
            while (body := await read_frame(self._reader)) is not None:
                self._dispatch(body)
            self._lose("the index service closed the connection")
        except (OSError, ProtocolError, msgspec.DecodeError) as failed:
            self._lose(f"the connection to the index service broke: {failed}")
        finally:  # whatever ends this, nobody may wait for an answer without end
            self._lose("answers of the index service are no longer read")

    def _dispatch(self, body: bytes) -> None:
        message = decode_outbound(body)
        if isinstance(message, ProgressNote):
            self._tell(message)
            return
        waiting = self._pending.get(message.id)
        if waiting is None or waiting.done():
            return  # nobody waits any longer
        if isinstance(message, Failure):
            waiting.set_exception(IndexServiceError(message.message))
        else:
            waiting.set_result(message.answer)

    def _tell(self, note: ProgressNote) -> None:
        listener = self._progress.get(note.id)
        if listener is None:
            return
        try:
            listener(note)
        except Exception as failed:  # noqa: BLE001 - whoever listens gets it; other calls have no part in it
            del self._progress[note.id]
            self._cancel(note.id)
            if not (waiting := self._pending[note.id]).done():
                waiting.set_exception(failed)

    def _lose(self, why: str) -> None:
        if self._lost:
            return
        self._lost = why
        self._gone.set()
        for waiting in self._pending.values():
            if not waiting.done():
                waiting.set_exception(IndexUnavailable(why))

    # ------------------------------------------------------------ typed conveniences

    async def _typed(
        self, request: Request, kind: type[_A], timeout_s: float, on_progress: OnProgress | None = None
    ) -> _A:
        answer = await self.call(request, timeout_s=timeout_s, on_progress=on_progress)
        if not isinstance(answer, kind):
            raise IndexServiceError(
                f"the index service answered {type(request).__name__} with {type(answer).__name__}"
            )
        return answer

    async def open_root(
        self,
        root: str,
        *,
        wait: bool = False,
        wait_vectors: bool = False,
        embedder: str = "",
        timeout_s: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> RootStatus:
        """Has `root` indexed and kept in step; waits for a whole index where asked to. `embedder`: see `OpenRoot`."""
        limit_s = timeout_s or (PASS_TIMEOUT_S if wait or wait_vectors else ANSWER_TIMEOUT_S)
        return await self._typed(
            OpenRoot(root, wait, wait_vectors, embedder), RootStatus, limit_s, on_progress
        )

    async def close_root(self, root: str) -> None:
        await self._typed(CloseRoot(root), Done, ANSWER_TIMEOUT_S)

    async def overlay(self, path: str, text: str | None, version: int = 0) -> None:
        """Lays unsaved text over the file at this absolute path; None takes it away."""
        await self._typed(Overlay(path, text, version), Done, ANSWER_TIMEOUT_S)

    async def search(self, root: str, query: str, limit: int = 10) -> Hits:
        return await self._typed(Search(root, query, limit), Hits, ANSWER_TIMEOUT_S)

    async def symbols(
        self,
        root: str,
        *,
        name: str | None = None,
        path: str | None = None,
        query: str | None = None,
        limit: int = 200,
    ) -> SymbolList:
        return await self._typed(Symbols(root, name, path, limit, query), SymbolList, ANSWER_TIMEOUT_S)

    async def references(
        self, root: str, name: str, limit: int = 200, *, path: str = "", line: int = -1
    ) -> ReferenceList:
        """By name, or, with a path below the root and a line, to the one definition that is meant there."""
        request = References(root, name, limit, path, line)
        return await self._typed(request, ReferenceList, ANSWER_TIMEOUT_S)

    async def pack(self, request: PackRequest, timeout_s: float = ANSWER_TIMEOUT_S) -> Pack:
        """With the segments of the base in front that are true for this cursor, where one was asked for."""
        answer = await self._typed(request, Pack, timeout_s)
        if not answer.base_segments:
            return answer
        base = self._bases.get(answer.base)
        if base is None:
            asked = BaseRequest(
                answer.root, request.tokenizer, request.base_budget, request.header_tokens, id=answer.base
            )
            base = await self.base(asked)
        if base.id != answer.base:  # made anew in between: what follows was chosen for another one
            return msgspec.structs.replace(answer, base="", base_segments=0)
        front = base.segments[: answer.base_segments]
        return msgspec.structs.replace(
            answer,
            segments=[*front, *answer.segments],
            tokens=answer.tokens + sum(segment.tokens for segment in front),
            budget=answer.budget + request.base_budget,
        )

    async def base(self, request: BaseRequest, timeout_s: float = BASE_TIMEOUT_S) -> BaseAnswer:
        """Kept here, since it goes before every pack and is large: of one that is made anew only the new segments are
        sent."""
        known = next(reversed(self._bases.values()), None)
        asked = msgspec.structs.replace(request, known=known.id if known is not None else "")
        answer = await self._typed(asked, BaseAnswer, timeout_s)
        if known is not None and answer.known:
            fresh = iter(answer.segments)
            segments = [known.segments[place] if place >= 0 else next(fresh) for place in answer.places]
            answer = msgspec.structs.replace(answer, segments=segments, known="", places=[])
        if answer.id:
            self._bases[answer.id] = answer
            self._bases.move_to_end(answer.id)
            while len(self._bases) > KEPT_BASES:
                self._bases.popitem(last=False)
        return answer

    async def status(self, root: str | None = None) -> ServiceStatus:
        return await self._typed(StatusRequest(root), ServiceStatus, ANSWER_TIMEOUT_S)

    async def forget(self, root: str | None = None) -> None:
        """Removes what is stored of `root`, or everything."""
        await self._typed(Forget(root), Done, FORGET_TIMEOUT_S)

    async def shutdown(self) -> None:
        """Asks the service to finish what it writes and go."""
        await self._typed(Shutdown(), Done, ANSWER_TIMEOUT_S)
