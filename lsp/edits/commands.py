"""Commands about edits, as clients run them through `workspace/executeCommand`. Each takes one object."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from pygls.exceptions import JsonRpcInvalidParams

from engine.endpoints.faults import EngineRequestError
from lsp.edits.offering import ASK, RUN, chosen_of
from lsp.edits.plain import plain
from lsp.edits.reading import CannotEdit
from lsp.edits.serving import Instructed
from lsp.links.engines import NoEngine
from lsp.session import ForewordServer  # at run time too: pygls looks the annotations up

if TYPE_CHECKING:
    from lsp.documents import Snapshot

EXPLAIN = "foreword.explain"
PLAN = "foreword.plan"
REPAIR = "foreword.repair"

REFUSED = (CannotEdit, EngineRequestError, NoEngine)

T = TypeVar("T")


class Pointed(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`foreword.explain`: which lines, from 1 and both included."""

    uri: str
    lines: tuple[int, int]


class Named(msgspec.Struct, frozen=True, kw_only=True):
    """`foreword.repair`: which edit."""

    edit: str


async def edit(ls: ForewordServer, *arguments: Any) -> Any:
    """An edit by an instruction. Raises JsonRpcInvalidParams."""
    asked = _one(ASK, arguments, Instructed)
    if not asked.instruction.strip():
        raise JsonRpcInvalidParams(f"{ASK} needs an instruction")

    async def run() -> Any:
        return await ls.edits.instructed(asked)

    return await _cancellable(ls, run())


async def plan(ls: ForewordServer, *arguments: Any) -> Any:
    """Which files an edit would change. Raises JsonRpcInvalidParams."""
    asked = _one(PLAN, arguments, Instructed)
    if not asked.instruction.strip():
        raise JsonRpcInvalidParams(f"{PLAN} needs an instruction")

    async def run() -> Any:
        return await ls.edits.planned(asked)

    return await _cancellable(ls, run())


async def run(ls: ForewordServer, *arguments: Any) -> Any:
    """What a code action offered."""

    async def chosen() -> Any:
        try:
            offer = chosen_of(arguments[0] if arguments else None)
            if offer.offer.what == "explain":
                about = f"`{offer.offer.name}`" if offer.offer.name else "these lines"
                snapshot = ls.offering.current(offer)
                return await _explained(ls, snapshot, offer.offer.first, offer.offer.last, about)
            snapshot, task = await ls.offering.task(offer)
            root, _ = ls.edits.place_of(snapshot)
        except CannotEdit as refused:
            return ls.edits.refused("", str(refused))
        return await ls.edits.run(task, root, f"Foreword: {offer.offer.title}")

    return await _cancellable(ls, chosen())


async def explain(ls: ForewordServer, *arguments: Any) -> Any:
    """Lines explained in words. Raises JsonRpcInvalidParams."""
    asked = _one(EXPLAIN, arguments, Pointed)

    async def run() -> Any:
        snapshot = ls.documents.get(asked.uri)
        if snapshot is None:
            return ls.edits.refused("", "the document is not open")
        return await _explained(ls, snapshot, *asked.lines, "these lines")

    return await _cancellable(ls, run())


async def repair(ls: ForewordServer, *arguments: Any) -> Any:
    """One more turn about an edit that was applied and is not right. Raises JsonRpcInvalidParams."""
    asked = _one(REPAIR, arguments, Named)

    async def run() -> Any:
        return await ls.edits.repaired(asked.edit)

    return await _cancellable(ls, run())


COMMANDS: dict[str, Callable[..., Awaitable[Any]]] = {
    ASK: edit,
    PLAN: plan,
    RUN: run,
    EXPLAIN: explain,
    REPAIR: repair,
}


async def _explained(ls: ForewordServer, snapshot: Snapshot, first: int, last: int, about: str) -> Any:
    try:
        text = await ls.edits.explained(snapshot, first, last, about)
    except REFUSED as refused:
        return ls.edits.refused("", str(refused))
    if not ls.edits.watches:
        ls.edits.tell(text, failed=False)
    return {"text": text}


async def _cancellable(ls: ForewordServer, work: Coroutine[Any, Any, Any]) -> Any:
    """The work's answer; None where the client has cancelled it, by the request or by its progress."""
    task = asyncio.create_task(work)
    ls.rpc.when_cancelled(task.cancel)
    try:
        return msgspec.to_builtins(await task)
    except asyncio.CancelledError:
        if not task.cancelled():
            task.cancel()
            raise
        return None


def _one(name: str, arguments: tuple[Any, ...], kind: type[T]) -> T:
    try:
        (given,) = arguments
        return msgspec.convert(plain(given), kind)
    except (ValueError, msgspec.ValidationError) as wrong:
        raise JsonRpcInvalidParams(f"{name} takes one object: {wrong}") from wrong
