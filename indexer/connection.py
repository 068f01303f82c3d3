"""One client's connection: reads calls, answers them side by side, and lets go of everything at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from indexer.messages import (
    PROTOCOL_VERSION,
    Answer,
    Call,
    Cancel,
    Done,
    Failure,
    Hello,
    Outbound,
    Overlay,
    ProgressNote,
    ProtocolError,
    Reply,
    Request,
    Shutdown,
    decode_inbound,
    frame,
    read_frame,
)
from indexer.packing.pack_memory import PackMemory
from indexer.packing.texts import LineMemory
from indexer.roots.indexing import Stage
from indexer.roots.overlays import OverlayDocument
from indexer.roots.pace import Pace

if TYPE_CHECKING:
    from indexer.answers import Answers

_log = logging.getLogger(__name__)

_NO_CALL = 0
"""The id of a failure that belongs to no call: what came in could not be read."""

_MOST_UNREADABLE = 8
"""A client that sends this many unreadable messages is not one of ours."""


class Connection:
    """State and tasks of one client."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        answers: Answers,
        lines: LineMemory,
    ) -> None:
        """`lines`: what all connections remember of texts, once for them all."""
        self._reader = reader
        self._writer = writer
        self._answers = answers
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._greeted = False
        self.overlays: dict[str, OverlayDocument] = {}
        """By absolute path, links resolved."""
        self._resolved: dict[str, str] = {}
        """Paths of overlays as they were named → without links."""
        self._unlaid: dict[str, tuple[Overlay, asyncio.Task[None]]] = {}
        """Overlays by path as it was named, and who asks the disk where it leads."""
        self.pack_memory = PackMemory(lines=lines)

    async def serve(self) -> None:
        """Until the client hangs up or sends what is no message."""
        unreadable = 0
        try:
            while (body := await read_frame(self._reader)) is not None:
                try:
                    message = decode_inbound(body)
                except msgspec.DecodeError as failed:
                    unreadable += 1
                    await self._send(Failure(_NO_CALL, f"this message cannot be read: {failed}"))
                    if unreadable >= _MOST_UNREADABLE:
                        break
                    continue
                self._take(message)
        except ProtocolError as failed:
            await self._send(Failure(_NO_CALL, f"the connection is closed: {failed}"))
        except OSError as failed:
            _log.info("a client is gone: %s", failed)
        finally:
            await self._close()

    def hang_up(self) -> None:
        self._writer.close()

    def _take(self, message: Call | Cancel) -> None:
        if isinstance(message, Cancel):
            task = self._tasks.get(message.id)
            if task is not None:
                task.cancel()
            return
        if isinstance(message.request, Overlay):
            self._take_overlay(message.request)  # at once: what is asked next must see it
        task = asyncio.create_task(self._answer(message), name=type(message.request).__name__)
        self._tasks[message.id] = task
        task.add_done_callback(lambda ended: self._ended(message.id, ended))

    def _ended(self, call_id: int, task: asyncio.Task[None]) -> None:
        if self._tasks.get(call_id) is task:
            del self._tasks[call_id]
        if not task.cancelled() and task.exception() is not None:
            _log.error("an answer could not be sent", exc_info=task.exception())

    def _take_overlay(self, overlay: Overlay) -> None:
        if overlay.path in self._resolved:
            self._lay(overlay, self._resolved[overlay.path])
        elif overlay.path in self._unlaid:
            self._unlaid[overlay.path] = (overlay, self._unlaid[overlay.path][1])
        elif Path(overlay.path).is_absolute():
            asking = asyncio.create_task(self._resolve(overlay.path), name="lay an overlay")
            self._unlaid[overlay.path] = (overlay, asking)

    async def _resolve(self, path: str) -> None:
        try:
            resolved = await asyncio.to_thread(os.path.realpath, path)
        except ValueError as failed:  # it has a NUL: nothing of any root lies there
            _log.info("no overlay is laid over %r: %s", path, failed)
            return
        finally:
            overlay, _ = self._unlaid.pop(path)
        self._resolved[path] = resolved
        self._lay(overlay, resolved)

    def _lay(self, overlay: Overlay, path: str) -> None:
        if overlay.text is None:
            self.overlays.pop(path, None)
            self._resolved.pop(overlay.path, None)
            return
        # the last one stands, whatever its version: the socket keeps the order, and an editor that opens a
        # document anew counts from 1 again
        self.overlays[path] = OverlayDocument(path, overlay.text)

    async def _answer(self, call: Call) -> None:
        try:
            answer = await self._result(call.id, call.request)
        except Exception as failed:  # noqa: BLE001 - whatever it is, the caller waits for an answer
            await self._send(Failure(call.id, self._answers.explain(failed)))
            return
        await self._send(Reply(call.id, answer))
        if isinstance(call.request, Shutdown):
            self._answers.shutdown()

    async def _result(self, call_id: int, request: Request) -> Answer:
        if isinstance(request, Hello):
            self._greeted = True
            if request.protocol != PROTOCOL_VERSION:
                _log.info("a client speaks protocol %d, not %d", request.protocol, PROTOCOL_VERSION)
            return self._answers.welcome()
        if isinstance(request, Shutdown):
            return Done()
        if not self._greeted:
            raise ProtocolError("the first call must be Hello")
        if isinstance(request, Overlay):
            if not Path(request.path).is_absolute():
                raise ProtocolError(f"the path of an overlay must be absolute, not {request.path!r}")
            return Done()
        if self._unlaid:
            await asyncio.wait([asking for _, asking in self._unlaid.values()])

        pace = Pace()

        def report(stage: Stage, done: int, total: int) -> None:
            pace.note(stage, done, total)
            note = ProgressNote(call_id, stage, done, total, round(pace.rate, 1), round(pace.seconds_left, 1))
            if not self._writer.is_closing():
                self._writer.write(frame(note))

        return await self._answers.answer(request, self, report)

    async def _send(self, message: Outbound) -> None:
        if self._writer.is_closing():
            return
        with contextlib.suppress(ConnectionError):  # gone: then nobody waits for this
            self._writer.write(frame(message))
            await self._writer.drain()

    async def _close(self) -> None:
        tasks = [*self._tasks.values(), *(asking for _, asking in self._unlaid.values())]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._answers.let_go(self)
        self._writer.close()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()
