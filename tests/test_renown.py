"""Which names are referred to most, counted behind the first pass: the first pack waits for it, no pack for long."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter

from index_service import client, isolate, repository, stop_service

from indexer.messages import PackRequest, TokenizerRef
from indexer.roots.liveroot import LiveRoot
from indexer.roots.renown import Renown


class Counting:
    """A store that says how often names are used when it is told to."""

    def __init__(self) -> None:
        self.may = threading.Event()

    def names_by_use(self, keys: set[str]) -> Counter[str]:
        self.may.wait(10)
        return Counter()


def renown() -> Renown:
    return Renown(lambda: LiveRoot({}, {}))


async def test_who_wants_them_waits_until_they_were_counted() -> None:
    counted, store = renown(), Counting()
    counted.start(store)
    before = counted.counted
    waiting = asyncio.create_task(counted.settled(timeout_s=10))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    store.may.set()
    await waiting
    assert counted.counted is not before


async def test_nobody_waits_for_long_nor_twice() -> None:
    counted, store = renown(), Counting()
    await counted.settled(timeout_s=10)  # nothing is counted, and nothing will be
    counted.start(store)
    for _ in range(100):  # packs, one after another: all of them together wait so long
        await asyncio.wait_for(counted.settled(timeout_s=0.01), 5)
    store.may.set()
    await counted.settled(timeout_s=10)
    store.may.clear()
    counted.start(store)
    await asyncio.wait_for(counted.settled(timeout_s=10), 5)  # those of before serve meanwhile
    store.may.set()


async def test_the_first_pack_of_a_folder_is_like_all_others(tmp_path, monkeypatch) -> None:
    """Whichever files were read first, and however soon it is asked for."""
    isolate(monkeypatch, tmp_path)
    files = {"app/origin.py": "def used_all_over():\n    return 1\n", "tools/new.py": "x = \n"}
    files |= {
        f"app/{name}.py": f"from app.origin import used_all_over\n\n\ndef {name}():\n    return used_all_over()\n"
        for name in ("alpha", "beta", "gamma")
    }
    try:
        packs = []
        for number in range(2):
            root = repository(tmp_path / f"work{number}", files)
            async with client() as connected:
                await connected.open_root(str(root), wait=True)
                path = str(root / "tools/new.py")
                first = await connected.pack(PackRequest(path, "x = \n", 0, 4, 200, TokenizerRef()))
                packs.append([(each.path, each.text, each.reason) for each in first.segments])
                assert any("used all over" in each.reason for each in first.segments)
        assert packs[0] == packs[1]
    finally:
        await stop_service()
