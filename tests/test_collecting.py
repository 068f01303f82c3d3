"""The collector does not stop a service in which somebody waits, and comes to its turn in the pauses."""

import asyncio
import gc
import sys
import weakref
from collections.abc import Generator

import pytest

from indexer import collecting
from indexer.collecting import Collecting


@pytest.fixture(autouse=True)
def usual() -> Generator[None]:
    before = gc.get_threshold()
    gc.collect()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


class Circle:
    def __init__(self) -> None:
        self.itself = self


def aged() -> weakref.ref[Circle]:
    """What refers to itself, is not used any more and is old."""
    circle = Circle()
    gone = weakref.ref(circle)
    gc.collect(0)
    gc.collect(1)
    return gone


def much() -> None:
    """Enough objects for a collection of all."""
    for _ in range(2 * gc.get_threshold()[2] if gc.get_threshold()[2] < 100 else 20):
        gc.collect(1)
    _ = [[] for _ in range(10_000)]


async def test_nothing_old_is_gone_through_while_somebody_waits() -> None:
    work, collected = Collecting(pause_s=0.01, often_s=0.0), list[int]()

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            collected.append(info["generation"])

    with work.held_back():
        old = aged()
        gc.callbacks.append(note)
        try:
            with work.held_back():
                much()
            much()
        finally:
            gc.callbacks.remove(note)
        assert collected and max(collected) < 2 and old() is not None
    await asyncio.sleep(0.05)
    assert old() is None, "the pause was used"
    assert gc.get_threshold()[2] == 10


async def test_a_question_ends_the_pause() -> None:
    work = Collecting(pause_s=0.01, often_s=0.0)
    with work.held_back():
        old = aged()
        much()
    with work.held_back():
        await asyncio.sleep(0.05)
        assert old() is not None


async def test_not_every_pause_is_used() -> None:
    work = Collecting(pause_s=0.0, often_s=60.0)
    with work.held_back():
        old = aged()
        much()
    await asyncio.sleep(0.02)
    assert old() is not None and gc.get_threshold()[2] == 10


async def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MOST_WAITING", 15)
    work = Collecting(pause_s=60.0)
    with work.held_back():
        old = aged()
        much()
    assert old() is None


async def test_what_was_imported_is_set_aside_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Collecting(pause_s=0.01, often_s=0.0, sets_modules_aside=True)
    with work.held_back():
        assert gc.get_freeze_count() == 0, "nobody waits for it"
    await asyncio.sleep(0.05)
    frozen = gc.get_freeze_count()
    assert frozen > 0
    with work.held_back():
        old = aged()
        much()
    await asyncio.sleep(0.05)
    assert old() is None, "what has come since is collected"
    assert gc.get_freeze_count() <= frozen, "nothing was imported"
    monkeypatch.setitem(sys.modules, "a_module_of_this_test", sys)
    with work.held_back():
        kept = [[] for _ in range(1_000)]
    await asyncio.sleep(0.05)
    assert gc.get_freeze_count() >= len(kept)


async def test_nothing_comes_after_the_end() -> None:
    work = Collecting(pause_s=0.01, often_s=0.0)
    with work.held_back():
        old = aged()
        much()
    work.close()
    assert gc.get_threshold()[2] == 10
    await asyncio.sleep(0.05)
    assert old() is not None
