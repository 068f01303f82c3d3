"""What is out of date by the time that it would be asked, joined or remembered."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest
from index_service import until
from scripted import ScriptedEndpoint
from test_cadence import Writes
from test_cadence import never_paused as never_paused
from test_choices import Drawing
from test_completion import NoBar
from test_never_ask_twice import LINE, MAIN, Indexed, Typist
from test_never_ask_twice import indexed as indexed

from engine.endpoints.endpoint import Chunk, Priority, Sampling
from engine.profiles import QWEN_SMALL
from engine.prompts import Prompt
from engine.tokens import EstimateTokenizer
from indexer.client import IndexClient, IndexServiceError
from indexer.messages import Pack
from lsp import writing
from lsp.inline import CLOSED, InlineCompletions
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.offers.suggestions import Suggestion, remembered
from lsp.requests import ahead, cadence, choices, flights
from lsp.requests.asking import Question, Written
from lsp.requests.choices import MOST
from lsp.settings import DEFAULT_MAX_LINES, Settings


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


async def test_what_was_written_without_a_pack_that_failed_is_asked_for_anew(
    indexed: tuple[Indexed, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    typist, root = indexed
    uri = (root / "app/main.py").as_uri()
    pack = IndexClient.pack

    async def too_late(*_: object, **__: object) -> Pack:
        raise IndexServiceError("the index service did not answer in time")

    monkeypatch.setattr(IndexClient, "pack", too_late)
    assert (await typist.offered(MAIN, uri)).text
    assert typist.completions.last is not None and not typist.completions.last.segments
    monkeypatch.setattr(IndexClient, "pack", pack)
    assert (await typist.offered(MAIN, uri)).text
    assert typist.completions.last.segments
    prompts = typist.link.engine.endpoint.prompts
    assert len(prompts) == 2
    assert (await typist.offered(MAIN, uri)).text
    assert len(prompts) == 2


async def test_what_fails_ahead_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AFTER_S", 0.0)
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    generate = endpoint.generate

    async def fails_ahead(*arguments, priority: int = 0, **named):
        if priority == Priority.PREFETCH:
            endpoint.priorities.append(priority)
            raise ValueError("a fault of our own")
        async for chunk in generate(*arguments, priority=priority, **named):
            yield chunk

    endpoint.generate = fails_ahead
    assert (await typist.offered("x = ▮\n")).text == LINE
    await until(lambda: Priority.PREFETCH in endpoint.priorities)
    await until(lambda: not typist.completions._suggesting.flights.ahead.under_way("untitled:1"))


@pytest.mark.parametrize("first", ["nothing", "late"])
async def test_choices_end_when_one_completion_would(monkeypatch: pytest.MonkeyPatch, first: str) -> None:
    """Those that were drawn have no time of their own."""
    monkeypatch.setattr(choices, "GIVE_UP_S", 0.2)
    if first == "nothing":
        monkeypatch.setattr(writing, "GIVE_UP_S", 0.2)

    class Slow(ScriptedEndpoint):
        async def generate(self, prompt: Prompt, params: Sampling, *, priority: int = 0):
            self.prompts.append(prompt)
            if len(self.prompts) == 1 and first == "late":
                yield Chunk("foo()\n", "foo()\n", 1, 10, 5, "stop")
                return
            await asyncio.sleep(600)
            yield Chunk("bar()\n", "bar()\n", 1, 10, 5, "stop")

    typist = Typist(Slow(""))
    uri, offset = typist.type("x = ▮\n")
    async with asyncio.timeout(10):
        outcome = await typist.completions.answer(typist.documents.get(uri), offset, invoked=True)
    if first == "late":
        assert outcome.text == "foo()"
    else:
        assert outcome.reason == writing.TOO_LATE
        assert len(typist.link.engine.endpoint.prompts) == 1


async def test_what_was_offered_under_other_settings_is_asked_for_anew() -> None:
    typist = Typist(ScriptedEndpoint("    b = a\n    return b\n\n\ndef g():\n"))
    settings = [Settings(max_lines=1)]
    index = IndexLink(NoBar, print)
    typist.completions = InlineCompletions(typist.documents, index, typist.link, lambda: settings[-1])
    assert (await typist.offered("def f(a):\n    ▮\n")).text == "b = a"
    settings.append(Settings(max_lines=10))
    assert (await typist.offered("def f(a):\n    ▮\n")).text == "b = a\n    return b"


@pytest.mark.parametrize(
    ("typed", "limit"), [("bar()", DEFAULT_MAX_LINES), ("foo(1)", DEFAULT_MAX_LINES), ("qux", 1)]
)
async def test_whoever_takes_the_second_choice_has_not_passed_over_the_first(typed: str, limit: int) -> None:
    typist = Typist(ScriptedEndpoint("\n"))
    completions = typist.completions
    snapshot, offset = typist.open("x = ▮\n")
    texts = ("foo(1)\ny = 2", "bar()\n", "baz()")
    completions._suggestions["untitled:1"] = [remembered(snapshot, offset, each, 0) for each in texts]
    now, cursor = typist.open(f"x = {typed}▮\n")
    assert completions._most_lines("untitled:1", now, cursor, selected=False) == limit


@pytest.mark.usefixtures("never_paused")
async def test_whoever_takes_the_second_choice_has_accepted_too() -> None:
    model = Drawing(("foo()\n", -0.1), ("bar()\n", -0.2), ("baz()\n", -0.3))
    typist = Typist(model)
    typist.type("▮\n")
    uri, offset = typist.type("x = ▮\n")
    outcome = await typist.completions.answer(typist.documents.get(uri), offset, invoked=True)
    assert [each.text for each in outcome.others] == ["bar()", "baz()"]
    async with asyncio.timeout(5):
        assert await typist.offered("x = bar()▮\n")
    assert len(model.asked) > MOST, "what follows is waited for"


async def test_whoever_joins_gets_no_more_lines_than_were_asked_for() -> None:
    model = Writes("    b = a\n    return b\n\n\ndef g():\n")
    suggesting = model.typist.completions._suggesting
    snapshot, offset = model.typist.open("def f(a):\n    ▮\n")
    older = suggesting.flights.begin(Question(snapshot=snapshot, offset=offset))
    await until(lambda: len(model.endpoint.prompts) == 1)
    one_line = Question(snapshot=snapshot, offset=offset, max_lines=1)
    asked = asyncio.create_task(suggesting.suggest(one_line, lambda *_: None, lambda: ""))
    await asyncio.sleep(0.01)
    model.step(99)
    (found,) = await asked
    assert isinstance(found, Suggestion) and found.text == "b = a"
    written = await older.task
    assert isinstance(written, Written) and written.completion.text == "b = a\n    return b"
