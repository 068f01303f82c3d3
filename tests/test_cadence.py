"""When the engine is asked: at once where people wait, when they pause elsewhere; and who goes along with whom."""

from __future__ import annotations

import asyncio

import pytest
from index_service import until
from scripted import ScriptedEndpoint
from test_never_ask_twice import LINE, Typist

from lsp.inline import Outcome, SelectedItem
from lsp.requests import cadence, flights
from lsp.requests.cadence import PAUSED, TYPICAL_ANSWER_S, TYPICAL_INTERVAL_S, Cadence, waited_for
from lsp.requests.inflight import InFlight

TYPED = "x = foo"


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def typed(intervals: list[float]) -> tuple[Cadence, Clock]:
    """Somebody who has typed at these intervals, the last key just now."""
    clock = Clock()
    made = Cadence(clock)
    made.edited("d")
    for interval in intervals:
        clock.now_s += interval
        made.edited("d")
    return made, clock


@pytest.mark.parametrize(
    ("line", "at_once"),
    [
        ("", True),
        ("    ", True),
        ("foo(", True),
        ("foo( ", True),
        ("x =", True),
        ("x = ", True),
        ("self.", True),
        ("def f():", True),
        ("x = {", True),
        ("x = [", True),
        ("foo", False),
        ("foo(a", False),
        ("foo(a,", False),
        ("return ", False),
        ("foo()", False),
    ],
)
def test_where_people_wait(line: str, at_once: bool) -> None:
    made, _ = typed([])
    assert waited_for(line) == at_once
    assert (made.wait_s("d", line, "e") == 0) == at_once


def test_a_pause_is_seen_by_how_somebody_types() -> None:
    slow, _ = typed([0.3] * 200)
    quick, _ = typed([0.1] * 200)
    for made, interval in ((slow, 0.3), (quick, 0.1)):
        assert made.wait_s("d", TYPED, "e") == pytest.approx(PAUSED * interval, rel=0.01)


def test_thinking_is_no_typing() -> None:
    made, _ = typed([60.0] * 50)
    assert made.wait_s("d", TYPED, "e") == pytest.approx(PAUSED * TYPICAL_INTERVAL_S)


def test_nobody_waits_longer_than_the_engine_would_take() -> None:
    made, _ = typed([0.2] * 200)
    for _ in range(200):
        made.answered("quick", 0.02)
        made.answered("slow", 5.0)
    assert made.wait_s("d", TYPED, "quick") == pytest.approx(0.02, rel=0.01)
    assert made.wait_s("d", TYPED, "slow") == pytest.approx(PAUSED * 0.2, rel=0.01)
    assert made.wait_s("d", TYPED, "unknown") <= TYPICAL_ANSWER_S


def test_one_long_answer_is_no_reason_to_wait_for_ever() -> None:
    made, _ = typed([0.2])
    for _ in range(200):
        made.answered("e", 0.05)
    made.answered("e", 60.0)
    assert made.wait_s("d", TYPED, "e") < 0.15


def test_what_a_client_has_waited_already_counts() -> None:
    made, clock = typed([0.2] * 200)
    clock.now_s += 0.2
    assert made.wait_s("d", TYPED, "e") == pytest.approx(PAUSED * 0.2 - 0.2, rel=0.1)
    clock.now_s += 5
    assert made.wait_s("d", TYPED, "e") == 0
    assert made.wait_s("a document that nobody has edited", TYPED, "e") == 0


def test_of_many_documents_the_last_are_known() -> None:
    made, _ = typed([])
    for number in range(2 * cadence.REMEMBERED):
        made.edited(f"{number}")
        made.answered(f"{number}", 1.0)
    assert len(made._edited) == len(made._answers) == cadence.REMEMBERED


# ---------------------------------------------------------------- one request in flight


@pytest.fixture
def never_paused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has paused before the end of the test."""
    monkeypatch.setattr(cadence, "TYPICAL_INTERVAL_S", 600.0)
    monkeypatch.setattr(cadence, "TYPICAL_ANSWER_S", 600.0)


@pytest.mark.usefixtures("never_paused")
async def test_of_keystrokes_in_a_run_none_asks_the_engine() -> None:
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    typist.type("▮")
    asked: list[asyncio.Task[object]] = []
    for marked in ("foo▮", "fooo▮", "foooo▮"):
        asked.append(asyncio.create_task(typist.offered(marked)))
        await asyncio.sleep(0.02)
    assert endpoint.prompts == []
    assert (await typist.offered("foooo(▮")).text == LINE
    assert [getattr(await each, "reason", "") for each in asked] == ["a newer request took its place"] * 3
    assert len(endpoint.prompts) == 1


class Writes:
    """A model under way that writes a character when it is told to."""

    def __init__(self, text: str) -> None:
        self.endpoint = ScriptedEndpoint(text, piece=1)
        self.typist = Typist(self.endpoint)
        self.steps = asyncio.Semaphore(0)
        generate = self.endpoint.generate

        async def stepwise(*arguments, **named):
            async for chunk in generate(*arguments, **named):
                await self.steps.acquire()
                yield chunk

        self.endpoint.generate = stepwise

    @property
    def written(self) -> str:
        """What its request in flight has written so far."""
        return self.typist.completions._suggesting.flights._flights["untitled:1"].written

    def step(self, count: int) -> None:
        for _ in range(count):
            self.steps.release()


@pytest.mark.parametrize(
    ("written", "now", "rest"),
    [
        pytest.param(0, "x = f▮\n", "oo(a, b)", id="nothing is written yet"),
        pytest.param(4, "x = f▮\n", "oo(a, b)", id="more than was typed"),
        pytest.param(2, "x = foo(▮\n", "a, b)", id="less than was typed"),
        pytest.param(2, "x = foo(▮)\n", "a, b)", id="brackets closed"),
    ],
)
async def test_what_goes_through_what_was_typed_is_joined(written: int, now: str, rest: str) -> None:
    model = Writes(LINE + "\n")
    older = asyncio.create_task(model.typist.offered("x = ▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    model.step(written)
    await until(lambda: len(model.written) == written)
    newer = asyncio.create_task(model.typist.offered(now))
    await asyncio.sleep(0)
    model.step(99)
    assert (await newer).text == rest
    assert (await older).reason == "a newer request took its place"
    assert len(model.endpoint.prompts) == 1


@pytest.mark.parametrize(
    ("written", "now"),
    [
        pytest.param(4, "x = g▮\n", id="something else was typed"),
        pytest.param(2, "x = fog▮\n", id="something else is written"),
        pytest.param(2, "x = foo(a, b) + ▮\n", id="more was typed than is written"),
    ],
)
async def test_what_does_not_is_ended_and_asked_for_anew(written: int, now: str) -> None:
    model = Writes(LINE + "\n")
    older = asyncio.create_task(model.typist.offered("x = ▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    model.step(written)
    await until(lambda: len(model.written) == written)
    newer = asyncio.create_task(model.typist.offered(now))
    await asyncio.sleep(0.01)
    model.step(99)
    assert (await newer).text
    assert (await older).reason == "a newer request took its place"
    assert len(model.endpoint.prompts) == 2


@pytest.mark.parametrize("back", [True, False])
async def test_what_a_client_cancels_at_each_keystroke_is_joined_all_the_same(
    monkeypatch: pytest.MonkeyPatch, back: bool
) -> None:
    """VS Code cancels, tells the change, and asks again a moment later."""
    monkeypatch.setattr(flights, "LINGER_S", 5.0)
    model = Writes(LINE + "\n")
    older = asyncio.create_task(model.typist.offered("x = ▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    model.step(1)
    await until(lambda: model.written == "f")
    older.cancel()
    await asyncio.sleep(0.01)
    model.step(99 if back else 0)
    newer = await model.typist.offered("x = f▮\n") if back else model.typist.type("x = g▮\n")
    with pytest.raises(asyncio.CancelledError):
        await older
    if back:
        assert newer.text == "oo(a, b)"
    assert len(model.endpoint.prompts) == 1
    assert model.endpoint.closed_early == 1, "at the end of its line, or since it leads nowhere"


async def test_a_change_elsewhere_ends_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flights, "ASKED_AGAIN_S", 0.0)
    model = Writes(LINE + "\n")
    asked = asyncio.create_task(model.typist.offered("x = ▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    model.typist.type("y = 1\nx = ▮\n")
    assert (await asked).reason == flights.CHANGED
    assert model.endpoint.closed_early == 1


async def test_a_selected_item_stays_what_it_is_while_its_word_is_typed() -> None:
    model = Writes("(a, b)\n")
    typist = model.typist

    async def selected(marked: str) -> Outcome:
        uri, offset = typist.type(marked)
        return await typist.completions.answer(
            typist.documents.get(uri), offset, SelectedItem(4, offset, "compute")
        )

    older = asyncio.create_task(selected("x = comp▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    newer = asyncio.create_task(selected("x = compu▮\n"))
    await asyncio.sleep(0.01)
    model.step(99)
    assert (await newer).text == "compute(a, b)"
    assert (await older).reason == "a newer request took its place"
    assert len(model.endpoint.prompts) == 1


@pytest.mark.usefixtures("never_paused")
async def test_what_follows_an_acceptance_is_waited_for() -> None:
    typist = Typist(ScriptedEndpoint(LINE + "\n"))
    typist.type("▮\n")
    await typist.offered("x = ▮\n")
    async with asyncio.timeout(5):
        assert (await typist.offered(f"x = {LINE}▮\n")).reason


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("a = \n", True),
        ("a = f\n", True),
        ("a = foo(x\n", True),
        ("a = foo(x)\n", True),
        ("a = g\n", False),
        ("b = \n", False),
        ("a = f\n\n", False),
        ("a =\n", False),
    ],
)
def test_texts_on_the_way(text: str, fits: bool) -> None:
    flight = InFlight("a test", "a = ", "\n")
    flight.grown("foo(")
    assert flight.fits(text) == fits
