"""What the model is unsure of is shown when whoever types has stopped or rests, not between two keys."""

from __future__ import annotations

import asyncio
import math

import pytest
from scripted import ScriptedEndpoint
from test_never_ask_twice import LINE, Typist, nothing_ahead

from lsp.inline import Outcome
from lsp.offers.suggestions import Suggestion
from lsp.offers.sureness import LEAST_CHANCE, LEAST_CHANCE_AT_A_STOP, Mark, sureness_of
from lsp.requests import cadence
from lsp.requests.turns import REPLACED

__all__ = ["nothing_ahead"]

UNSURE = math.log((LEAST_CHANCE + LEAST_CHANCE_AT_A_STOP) / 2) / len(LINE)
"""Of each character: the whole line is sure enough for who has stopped; its last third for who types on."""
HOPELESS = 1.5 * math.log(LEAST_CHANCE_AT_A_STOP) / len(LINE)
"""Of the whole line less than is shown at a stop; of its last fifth more than is shown between two keys."""

# ---------------------------------------------------------------- the chance of a line


@pytest.mark.parametrize(
    ("text", "typed", "logprob"),
    [
        ("foo(a, b)", 0, -3.0),
        ("foo(a, b)", 4, -2.0),
        ("foo(a, b)", 5, -2.0),  # within a token: what is left of it is as likely as it was
        ("foo(a, b)", 8, 0.0),
        ("foo(\n    a, b)", 0, -1.0),  # its line alone
        ("foo(\n    a, b)", 4, -2.0),  # of a break alone the line below
        ("foo", 0, -1.0),  # less is shown than was written
    ],
)
def test_what_was_typed_is_certain(text: str, typed: int, logprob: float) -> None:
    marks = [Mark(4, -1.0), Mark(8, -3.0), Mark(20, -3.0)]
    sureness = sureness_of(marks, text, text)
    assert sureness is not None
    assert math.log(sureness.of_line(text, typed)) == pytest.approx(logprob)


def test_a_blank_that_stood_there_already_is_certain() -> None:
    sureness = sureness_of([Mark(1, -9.0), Mark(4, -9.5)], " foo", "foo")
    assert sureness is not None
    assert math.log(sureness.of_line("foo", 0)) == pytest.approx(-0.5)


def test_where_nothing_is_told_nothing_is_known() -> None:
    assert sureness_of([], "foo", "foo") is None


def test_what_was_seen_goes_on_however_much_of_it_is_typed() -> None:
    seen = Suggestion("x = ", "\n", "foo(a)\nbar()", 0)
    assert Suggestion("x = foo", "\n", "(a)", 0).is_of(seen)
    assert Suggestion("x ", "\n", "= foo(a)\nbar()", 0).is_of(seen)
    assert not Suggestion("x = ", "\n", "fob()", 0).is_of(seen)
    assert not Suggestion("x = foo(a)\nbar()", "\n", "[0]", 0).is_of(seen), "nothing of it is left"


# ---------------------------------------------------------------- what is shown


def unsure(text: str = LINE + "\n", mean_logprob: float = UNSURE) -> Typist:
    return Typist(ScriptedEndpoint(text, piece=1, mean_logprob=mean_logprob))


def requests_of(typist: Typist) -> int:
    engine = typist.completions._engine.engine
    assert engine is not None and isinstance(engine.endpoint, ScriptedEndpoint)
    return len(engine.endpoint.prompts)


@pytest.fixture
def never_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever types in these tests."""
    monkeypatch.setattr(cadence, "STOPPED", 1e9)


@pytest.fixture
def never_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cadence, "RESTED", 1e9)


async def held(typist: Typist, marked: str, for_s: float = 0.1) -> asyncio.Task[Outcome]:
    """A request that was made, and is not answered although the engine has written all there is."""
    request = asyncio.create_task(typist.offered(marked))
    while not len(typist.completions._suggesting.memory.of("untitled:1")):
        await asyncio.sleep(0.01)
    await asyncio.wait({request}, timeout=for_s)
    assert not request.done()
    return request


async def test_it_waits_for_a_stop_and_is_shown_then() -> None:
    assert (await unsure().offered("x = ▮\n")).text == LINE


@pytest.mark.usefixtures("never_rests")
async def test_what_is_hardly_ever_right_is_not_shown_to_who_has_only_stopped() -> None:
    """And what is left of it is, once enough was typed, without the engine."""
    typist = unsure(mean_logprob=HOPELESS)
    first = await held(typist, "x = ▮\n", for_s=2 * cadence.STOPPED * cadence.TYPICAL_INTERVAL_S)
    typed = -(-4 * len(LINE) // 5)
    assert (await typist.offered(f"x = {LINE[:typed]}▮\n")).text == LINE[typed:]
    assert (await first).reason == REPLACED
    assert requests_of(typist) == 1


async def test_who_rests_gets_it_as_an_idea() -> None:
    assert (await unsure(mean_logprob=HOPELESS).offered("x = ▮\n")).text == LINE


@pytest.mark.usefixtures("never_stops")
async def test_the_next_key_is_there_before_it() -> None:
    """And once enough of it was typed, what is left is shown at once, without the engine."""
    typist = unsure()
    first = await held(typist, "x = ▮\n")
    outcome = await typist.offered(f"x = {LINE[:6]}▮\n")
    assert outcome.text == LINE[6:]
    assert (await first).reason == REPLACED
    assert requests_of(typist) == 1
    assert (await typist.offered("x = f▮\n")).text == LINE[1:], "what was seen once goes on"


@pytest.mark.usefixtures("never_stops")
async def test_who_asks_for_it_gets_it() -> None:
    typist = unsure()
    first = await held(typist, "x = ▮\n")
    snapshot, offset = typist.documents.get("untitled:1"), len("x = ")
    assert (await typist.completions.answer(snapshot, offset, invoked=True)).text == LINE
    assert (await first).reason == REPLACED


@pytest.mark.usefixtures("never_stops")
async def test_what_is_sure_is_shown_between_two_keys() -> None:
    typist = Typist(ScriptedEndpoint(LINE + "\n", piece=1, mean_logprob=-0.01))
    assert (await typist.offered("x = ▮\n")).text == LINE


@pytest.mark.usefixtures("never_stops")
async def test_it_does_not_grow_on_screen_either() -> None:
    typist, grown = unsure(), list[str]()
    uri, offset = typist.type("x = ▮\n")
    request = asyncio.create_task(
        typist.completions.answer(
            typist.documents.get(uri), offset, on_growing=lambda part: grown.append(part.text)
        )
    )
    while not len(typist.completions._suggesting.memory.of(uri)):
        await asyncio.sleep(0.01)
    request.cancel()
    await asyncio.wait({request})
    assert grown == []


@pytest.mark.usefixtures("never_stops")
async def test_of_a_block_it_is_not_asked() -> None:
    """It is written slower where it is."""
    typist = unsure("\n    return a\n\n\ndef g():\n")
    assert (await typist.offered("def f(a):▮\n")).text == "\n    return a"
