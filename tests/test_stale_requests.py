"""What is out of date by the time that it would be asked, joined or remembered."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from index_service import until
from scripted import ScriptedEndpoint
from test_cadence import Writes
from test_never_ask_twice import LINE, Typist

from engine.profiles import QWEN_SMALL
from engine.tokens import EstimateTokenizer
from lsp import cadence, flights
from lsp.engines import Engine
from lsp.inline import CLOSED


@pytest.mark.parametrize("what", ["typed", "closed"])
async def test_whoever_paused_over_a_version_that_is_gone_does_not_ask(
    monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr(cadence, "TYPICAL_INTERVAL_S", 0.05)
    monkeypatch.setattr(flights, "ASKED_AGAIN_S", 0.0)
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    typist.type("▮")
    asked = asyncio.create_task(typist.offered("foo▮"))
    await asyncio.sleep(0.01)
    if what == "typed":
        typist.type("fooo▮")
    else:
        typist.type("fooo▮", "untitled:2")
        typist.documents.close("untitled:1")
    assert (await asked).reason == (flights.CHANGED if what == "typed" else CLOSED)
    assert endpoint.prompts == []


async def test_what_is_being_ended_is_not_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine may take a moment to let go."""
    monkeypatch.setattr(flights, "LINGER_S", 0.0)
    model = Writes(LINE + "\n")
    letting_go, let_go = asyncio.Event(), asyncio.Event()
    generate = model.endpoint.generate

    async def slow_to_end(*arguments, **named):
        try:
            async for chunk in generate(*arguments, **named):
                yield chunk
        finally:
            letting_go.set()
            await let_go.wait()

    model.endpoint.generate = slow_to_end
    older = asyncio.create_task(model.typist.offered("x = ▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    older.cancel()
    await letting_go.wait()
    newer = asyncio.create_task(model.typist.offered("x = f▮\n"))
    await asyncio.sleep(0.01)
    let_go.set()
    model.step(99)
    assert (await newer).reason != flights.NOT_WAITED_FOR
    assert len(model.endpoint.prompts) == 2
    with pytest.raises(asyncio.CancelledError):
        await older


async def test_a_bracket_that_was_put_behind_the_cursor_is_not_written_twice() -> None:
    """Some editors tell of the bracket that they close later than of the one that was typed."""
    model = Writes("a, b)\n")
    older = asyncio.create_task(model.typist.offered("x = foo(▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    newer = asyncio.create_task(model.typist.offered("x = foo(▮)\n"))
    await asyncio.sleep(0.01)
    model.step(99)
    outcome = await newer
    text = "x = foo()\n"
    assert text[: outcome.start] + outcome.text + text[outcome.end :] == "x = foo(a, b)\n"
    await older


@pytest.mark.parametrize("what", ["model", "preamble"])
async def test_what_another_model_writes_or_from_other_cells_is_not_joined(what: str) -> None:
    model = Writes(LINE + "\n")
    typist = model.typist
    older = asyncio.create_task(typist.offered("x = ▮\n"))
    await until(lambda: len(model.endpoint.prompts) == 1)
    if what == "model":
        another = ScriptedEndpoint("foobar()\n")
        typist.link.engine = Engine(
            another, EstimateTokenizer(), QWEN_SMALL, "cpu", 1536, "", "http://another"
        )
        newer = asyncio.create_task(typist.offered("x = f▮\n"))
    else:
        uri, offset = typist.type("x = f▮\n")
        snapshot = msgspec.structs.replace(typist.documents.get(uri), preamble="y = 1\n\n")
        newer = asyncio.create_task(typist.completions.answer(snapshot, offset))
    await asyncio.sleep(0.01)
    model.step(99)
    assert (await newer).text
    assert (await older).reason == "a newer request took its place"
    asked = len(model.endpoint.prompts) + (len(another.prompts) if what == "model" else 0)
    assert asked == 2
