"""Several completions of one place: different ones, the most probable first, over one prompt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.util import find_spec
from pathlib import Path

import msgspec
import pytest
from misbehaving import EVENTS, Exchange, served
from raw_client import RawClient, at, server
from test_completion import Session
from test_engine_client import PROMPT, STOP, chunk, endpoint
from test_server_protocol import engine_ready

from engine.endpoints import token_body
from engine.endpoints.client import SGLangEndpoint
from engine.endpoints.endpoint import Chunk, Sampling
from engine.endpoints.sse import EngineRequestError
from engine.hosting.launch import COMPARABLE_LOGPROBS
from engine.prompts import Prompt
from lsp.documents import Snapshot
from lsp.inline import Outcome, SelectedItem
from lsp.requests.choices import MOST, ranked
from lsp.trimming.site import Decision
from lsp.writing import Answer


def answer(text: str, mean_logprob: float | None) -> Answer:
    return Answer(Decision(text, True), Chunk(text, text, 1, 1, None, "stop", mean_logprob))


@pytest.mark.parametrize(
    ("answers", "kept"),
    [
        ([("a", -0.5), ("b", -0.1), ("c", -0.3)], ["b", "c", "a"]),
        ([("a", -0.5), ("b", 0.0)], ["b", "a"]),
        ([("a", -0.5), ("a ", -0.1), ("b", -0.3)], ["b", "a"]),
        ([("a", -0.5), ("", -0.1), (" \n", -0.1)], ["a"]),
        ([("a", None), ("b", -0.1), ("c", -0.3)], ["a", "b", "c"]),
        ([("", -0.1)], []),
    ],
)
def test_different_ones_by_probability(answers: list[tuple[str, float | None]], kept: list[str]) -> None:
    assert [each.decision.text for each in ranked([answer(*each) for each in answers])] == kept


class Drawing:
    """A model that writes one of its texts for each request, the first where it is to write the most probable."""

    name, kind, context_tokens = "a drawing model", "sglang", 32_768

    def __init__(self, *texts: tuple[str, float], fails: tuple[int, ...] = ()) -> None:
        self.limits: list[str] = []
        self.asked: list[Sampling] = []
        self.ended = 0
        self.is_read, self.goes_on = asyncio.Event(), asyncio.Event()
        self.is_read.set()
        self.goes_on.set()
        self._texts, self._fails = texts, fails

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        number = len(self.asked)
        self.asked.append(params)
        if number in self._fails:
            raise EngineRequestError("busy", "the server is busy")
        text, logprob = self._texts[number % len(self._texts)]
        try:
            await self.is_read.wait()
            yield Chunk(text[:1], text[:1], 1, 10, 5, None, logprob)
            await self.goes_on.wait()
            yield Chunk(text, text[1:], 2, 10, 5, "stop", logprob)
        finally:
            self.ended += 1


async def invoked(session: Session, marked: str, version: int = 1) -> Outcome:
    return await session.completions.answer(*session.open(marked, version=version), invoked=True)


def texts(outcome: Outcome) -> list[str]:
    return [each.text for each in (outcome, *outcome.others)]


async def test_three_to_choose_from_and_never_asked_twice() -> None:
    model = Drawing(("foo()\n", -0.4), ("bar()\n", -0.2), ("baz(1)\n", -0.3))
    session = Session(model)
    assert texts(await invoked(session, "x = ▮\n")) == ["bar()", "baz(1)", "foo()"]
    assert len(model.asked) == MOST
    assert [each.temperature == 0 for each in model.asked] == [True, False, False]
    assert all(each.logprobs for each in model.asked)
    assert texts(await invoked(session, "x = ▮\n", 2)) == ["bar()", "baz(1)", "foo()"]
    assert (await session.ask("x = f▮\n", version=3)).text == "oo()"
    assert texts(await session.ask("x = b▮\n", version=4)) == ["ar()"]
    assert len(model.asked) == MOST


async def test_one_that_nobody_chooses_from() -> None:
    model = Drawing(("foo()\n", -0.4), ("bar()\n", -0.2))
    session = Session(model)
    assert texts(await session.ask("x = ▮\n")) == ["foo()"]
    assert len(model.asked) == 1 and model.asked[0].temperature == 0
    assert len(texts(await invoked(session, "x = ▮\n", 2))) > 1, "one offer is no choice yet"


async def test_the_same_text_is_one_choice() -> None:
    session = Session(Drawing(("foo()\n", -0.4), ("foo()  \n", -0.2), ("foo()\n", -0.1)))
    assert texts(await invoked(session, "x = ▮\n")) == ["foo()"]


async def test_where_one_of_them_fails_there_is_less_to_choose_from() -> None:
    session = Session(Drawing(("foo()\n", -0.4), ("bar()\n", -0.2), ("baz()\n", -0.1), fails=(1,)))
    assert texts(await invoked(session, "x = ▮\n")) == ["baz()", "foo()"]


async def test_where_the_first_fails_the_reason_is_told() -> None:
    model = Drawing(("foo()\n", -0.4), fails=(0, 1, 2))
    session = Session(model)
    assert (await invoked(session, "x = ▮\n")).reason == "the server is busy"
    assert len(model.asked) == 1


async def test_the_others_wait_until_the_prompt_is_read() -> None:
    model = Drawing(("foo()\n", -0.4), ("bar()\n", -0.2), ("baz()\n", -0.1))
    model.is_read.clear()
    asked = asyncio.create_task(invoked(Session(model), "x = ▮\n"))
    while not model.asked:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert len(model.asked) == 1
    model.is_read.set()
    assert len(texts(await asked)) == len(model.asked) == MOST


async def test_whoever_gives_up_ends_them_all() -> None:
    model = Drawing(("foo()\n", -0.4), ("bar()\n", -0.2), ("baz()\n", -0.1))
    model.goes_on.clear()
    session = Session(model)
    asked = asyncio.create_task(invoked(session, "x = ▮\n"))
    while len(model.asked) < MOST:
        await asyncio.sleep(0.01)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert model.ended == MOST


async def test_whoever_types_towards_another_choice_is_given_that_one() -> None:
    model = Drawing(("foo()\n", -0.4), ("bar()\n", -0.2), ("baz()\n", -0.3))
    model.goes_on.clear()
    session = Session(model)
    older = asyncio.create_task(invoked(session, "x = ▮\n"))
    while len(model.asked) < MOST:
        await asyncio.sleep(0.01)
    newer = asyncio.create_task(session.ask("x = f▮\n", version=2))
    await asyncio.sleep(0.01)
    model.goes_on.set()
    assert (await newer).text == "oo()", "the best of the three is another"
    assert len(model.asked) == MOST
    await older


async def test_they_replace_what_is_behind_a_selected_item() -> None:
    session = Session(Drawing(("(a)\n", -0.4), ("(b)\n", -0.2), ("(c)\n", -0.3)))
    document: tuple[Snapshot, int] = session.open("x = comp▮\n")
    outcome = await session.completions.answer(*document, SelectedItem(4, 8, "compute"), invoked=True)
    assert texts(outcome) == ["compute(b)", "compute(c)", "compute(a)"]
    assert {(each.start, each.end) for each in (outcome, *outcome.others)} == {(4, 8)}


# ---------------------------------------------------------------- at the engine


def told(
    text: str, ids: list[int], completion: int, logprobs: list[float], finish: dict | None = None
) -> dict:
    document = chunk(text, ids, completion, finish)
    document["meta_info"]["output_token_logprobs"] = [
        [logprob, number, None] for number, logprob in enumerate(logprobs)
    ]
    return document


@pytest.mark.parametrize(
    "chunks",
    [
        pytest.param(
            [told("a", [5], 1, [-1.0]), told("ab", [5, 6], 2, [-1.0, -0.5], STOP)], id="all in each chunk"
        ),
        pytest.param(
            [told("a", [5], 1, [-1.0]), told("b", [6], 2, [-0.5], STOP)], id="what is new in each chunk"
        ),
    ],
)
@pytest.mark.parametrize("wanted", [True, False])
async def test_how_probable_the_tokens_are(chunks: list[dict], wanted: bool) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.send(EVENTS)
        for document in chunks:
            if "return_logprob" not in exchange.json:
                document["meta_info"].pop("output_token_logprobs", None)
            await exchange.event(document)
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = endpoint(url)
        got = [one.mean_logprob async for one in engine.generate(PROMPT, Sampling(8, logprobs=wanted))]
        await engine.close()
    assert ("return_logprob" in exchanges[0].json) == wanted
    assert got == ([-1.0, -0.75] if wanted else [None, None])


@pytest.mark.parametrize("wanted", [True, False])
async def test_a_host_of_ours_is_asked_for_them(wanted: bool) -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.send(EVENTS)
        await exchange.event(told("a", [5], 1, [-1.0] if wanted else [], STOP))
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = SGLangEndpoint(url, "", model="m", context_tokens=8192, packs_ids=True)
        got = [one async for one in engine.generate(PROMPT, Sampling(8, logprobs=wanted))]
        await engine.close()
    assert token_body.decode(exchanges[0].body)[0].return_logprob == (wanted or msgspec.UNSET)
    assert got[-1].mean_logprob == (-1.0 if wanted else None)


def test_what_our_hosts_tell_sglang_is_what_it_reads() -> None:
    found = find_spec("sglang")
    assert found is not None and found.origin is not None
    sampler = (Path(found.origin).parent / "srt/layers/sampler.py").read_text()
    assert all(f'get_bool_env_var("{name}")' in sampler for name in COMPARABLE_LOGPROBS)


# ---------------------------------------------------------------- as an editor sees it

INVOKED, AUTOMATIC = 1, 2


@pytest.mark.parametrize(("trigger", "items"), [(INVOKED, 3), (AUTOMATIC, 1)])
async def test_an_editor_is_given_what_it_asks_for(tmp_path: Path, trigger: int, items: int) -> None:
    written = ["foo()\n", "bar()\n", "baz()\n"]

    async def behave(exchange: Exchange) -> None:
        if exchange.path == "/v1/completions":
            await exchange.completion(written.pop(0))

    async with served(behave) as (url, _), server(tmp_path) as client:
        await client.initialize({"index": False, "engine": {"kind": "openai", "url": url, "model": "m"}})
        await engine_ready(client)
        client.open("untitled:1", "x = \n")
        found = await shown(client, trigger)
    assert found[0]["insertText"] == "foo()" and len(found) == items
    assert {each["insertText"] for each in found} <= {"foo()", "bar()", "baz()"}


async def shown(client: RawClient, trigger: int) -> list[dict]:
    request = {**at("untitled:1", 0, 4), "context": {"triggerKind": trigger}}
    return (await client.result("textDocument/inlineCompletion", request))["items"]


# ---------------------------------------------------------------- with the real engine


@pytest.mark.engine
async def test_real_choices_are_different_and_ranked(engine_host) -> None:
    """One prompt, read once; their order is that of the engine's own figures."""
    from engine.profiles import find
    from engine.tokens import ModelTokenizer
    from engine.weights.weights import ensure_tokenizer
    from lsp.completion import complete
    from lsp.settings import Settings

    profile = find("smollm2-135m")
    tokenizer = ModelTokenizer.from_file(ensure_tokenizer(profile))
    engine = SGLangEndpoint(
        engine_host.url,
        engine_host.key,
        model=profile.name,
        context_tokens=8192,
        packs_ids=True,
        stop_ids=profile.stop_ids,
    )
    last: dict[float, Chunk] = {}
    generate = engine.generate

    async def watched(prompt: Prompt, params: Sampling, *, priority: int = 0) -> AsyncGenerator[Chunk, None]:
        key = len(last) + params.temperature
        async with aclosing(generate(prompt, params, priority=priority)) as chunks:
            async for each in chunks:
                last[key] = each
                yield each

    engine.generate = watched  # type: ignore[method-assign]
    text = "def area_of_circle(radius):\n    return "
    snapshot = Snapshot("untitled:1", None, "python", 1, text)
    made = await complete(
        snapshot, None, engine, tokenizer, profile, Settings(), offset=len(text), candidates=MOST
    )
    await engine.close()
    found = [made.text, *(each.text for each in made.others)]
    assert all(found) and len(set(found)) == len(found)
    assert all(each.mean_logprob is not None and each.mean_logprob < 0 for each in last.values())
    others = [each for key, each in last.items() if key > 0]
    assert others and all(
        each.cached_tokens is not None and each.cached_tokens >= each.prompt_tokens - 1 for each in others
    )
