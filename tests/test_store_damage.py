"""Who looks after the store: only one that is damaged is found to be damaged, for the verdict costs everything that is
in it; and no turn of tidying is lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from index_service import isolate
from memory_view import MemoryView

from indexer import keeper as keeping
from indexer.keeper import StoreKeeper
from indexer.messages import Symbols
from indexer.names.symbols import find_symbols
from indexer.parsing.facts import facts_of
from indexer.store import damage, upkeep
from indexer.store.store import Store


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store", "test")
    opened.write([facts_of(f"def f{number}(): return g()\n".encode(), "python") for number in range(3)])
    yield opened
    opened.close()


def _data(store: Store) -> list[Path]:
    return list((store.folder / "references.lance/data").iterdir())


class _Watched:
    """A table that has something done before it is read."""

    def __init__(self, table: Any, before: Callable[[], None]) -> None:
        self._table, self._before = table, before

    def search(self) -> Any:
        self._before()
        return self._table.search()


def test_upkeep_waits_until_a_table_is_looked_through(store, monkeypatch):
    got: list[bool] = []

    def tidy() -> None:
        got.append(store.lock.acquire(blocking=False))
        if got[-1]:
            try:
                upkeep.compact(store, timedelta(milliseconds=1))
            finally:
                store.lock.release()

    def meanwhile() -> None:
        other = threading.Thread(target=tidy)
        other.start()
        other.join()

    with monkeypatch.context() as patch:
        patch.setattr(store, "references", _Watched(store.references, meanwhile))
        assert damage.found_in(store) == "" and got == [False]
    meanwhile()
    assert got == [False, True], "it does not wait for ever"


@pytest.mark.parametrize(("times", "damaged"), [(1, False), (2, True)])
def test_what_is_there_at_the_second_look_is_no_damage(store, monkeypatch, times, damaged):
    looks: list[int] = []
    away = store.folder / "away"

    def vanish() -> None:
        looks.append(1)
        if len(looks) == 1:
            (store.folder / "references.lance/data").rename(away)
        elif len(looks) > times:
            away.rename(store.folder / "references.lance/data")

    monkeypatch.setattr(store, "references", _Watched(store.references, vanish))
    assert ("references" in damage.found_in(store)) == damaged
    assert len(looks) == 2


def _unasked(store: Store) -> None:
    find_symbols(MemoryView({}), Symbols("/r"))


def _late(store: Store) -> None:
    async def late() -> None:
        async with asyncio.timeout(0):
            await asyncio.to_thread(store.references_to, "g")

    asyncio.run(late())


def _missing(store: Store) -> None:
    for file in _data(store):
        file.unlink()
    store.references_to("g")


def _cut_short(store: Store) -> None:
    for file in _data(store):
        file.write_bytes(file.read_bytes()[:40])
    store.references_to("g")


def _index_fault(store: Store) -> None:
    store.put("/r", {"a.py": None}, (), [])  # type: ignore[arg-type]


FAULTS: dict[str, tuple[Callable[[Store], None], bool]] = {
    "a question that asks nothing": (_unasked, False),
    "an answer that was late": (_late, False),
    "files that are gone": (_missing, True),
    "files that are cut short": (_cut_short, True),
    "a fault of ours": (_index_fault, False),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_only_what_the_store_raises_is_a_reason_for_doubt(store, kind):
    fault, doubted = FAULTS[kind]

    async def doubts(failed: Exception) -> bool:
        keeper = StoreKeeper()
        keeper.doubt(failed)
        return keeper._doubting is not None

    with pytest.raises(Exception) as raised:
        fault(store)
    assert asyncio.run(doubts(raised.value)) == doubted


async def test_a_turn_that_comes_while_somebody_tidies_is_taken_afterwards(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    tidied: list[str] = []
    begun, go_on = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def put_in_order(*_: object) -> None:
        tidied.append("put in order")
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(5)

    monkeypatch.setattr(keeping, "_put_in_order", put_in_order)
    monkeypatch.setattr(keeping, "_tidy", lambda *_: tidied.append("tidied"))
    keeper = StoreKeeper()
    await keeper.store()
    await begun.wait()
    for _ in range(3):
        keeper._tidy()
    go_on.set()
    assert keeper._tidying is not None
    await keeper._tidying
    assert tidied == ["put in order", "tidied"], "once, for all turns"
    keeper._tidy()
    await keeper._tidying
    assert tidied == ["put in order", "tidied", "tidied"]
    await keeper.close()
