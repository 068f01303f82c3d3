"""An identifier that was begun before the cursor: off the prompt, and the answer begins with it."""

from __future__ import annotations

import re
from contextlib import aclosing
from types import SimpleNamespace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from misbehaving import EVENTS, Exchange, served
from test_engine_client import PROMPT, STOP, chunk, endpoint
from test_prompts import QWEN, SMOLLM, prompt, tokenizer_of

from engine.endpoints import token_body
from engine.endpoints.client import NO_HEALING, EngineRequestError, SGLangEndpoint, collect
from engine.endpoints.endpoint import Chunk, Sampling
from engine.endpoints.openai import OpenAIEndpoint
from engine.healing import Healed, NotBegun, begun_in
from engine.prompts import Prompt, completion_prompt, relaid
from engine.tokens import EstimateTokenizer
from lsp.completion import place_at
from lsp.documents import Snapshot

# ---------------------------------------------------------------- what was begun


@pytest.mark.parametrize(
    ("window", "begun"),
    [
        ("self.st", "st"),
        ("return fo", " fo"),
        ("def f():\n    x", "    x"),
        ("def f():\n\t\tte", "\t\tte"),
        ("a", "a"),
        ("x = _", " _"),
        ("x1", "x1"),
        ("", ""),
        ("self.", ""),
        ("x = ", ""),
        ("x = 12", ""),
        ("x = 12ab", ""),
        ("naïve", ""),
        ("éa", ""),
        ("x = " + "a" * 64, " " + "a" * 64),
        ("x = " + "a" * 65, ""),
        ("line\n", ""),
    ],
)
def test_what_was_begun(window: str, begun: str) -> None:
    assert begun_in(window) == begun


def pieces(text: str, ends: list[int]) -> list[Chunk]:
    """An answer as it may arrive."""
    cuts = sorted({min(end, len(text)) for end in ends} | {len(text)})
    starts = [0, *cuts[:-1]]
    return [
        Chunk(text[:end], text[start:end], number, 9, 0, "stop" if end == len(text) else None)
        for number, (start, end) in enumerate(zip(starts, cuts, strict=True), start=1)
    ]


words = st.text("ab_ \n(", max_size=8)


@settings(max_examples=300, deadline=None)
@given(
    st.from_regex(r"\A[ \t]{0,3}[ab_]{1,4}\Z"), words, st.lists(st.integers(1, 14), max_size=5), st.booleans()
)
def test_what_is_shown_continues_what_was_typed(begun: str, rest: str, ends: list[int], keeps: bool) -> None:
    """However it is cut into chunks; and what begins otherwise is never shown."""
    healed = Healed([], begun)
    text = begun + rest if keeps else rest
    shown: list[Chunk] = []
    try:
        for each in pieces(text, ends):
            left = healed.rest_of(each)
            if left is not None:
                shown.append(left)
    except NotBegun:
        assert not text.startswith(begun) and shown == []
        return
    assert text.startswith(begun)
    assert begun + shown[-1].text == text and shown[-1].finished == "stop"
    assert "".join(each.delta for each in shown) == shown[-1].text
    assert all(text.startswith(begun + each.text) for each in shown)


xgrammar = pytest.importorskip("xgrammar", reason="comes with foreword[engine]")
END = 256


@settings(max_examples=60, deadline=None)
@given(st.from_regex(r"\A[ \t]{0,3}[a-cA-C_][a-c0-9_]{0,4}\Z"), st.text(max_size=6))
def test_the_grammar_says_just_that(begun: str, rest: str) -> None:
    vocabulary = [bytes([each]) for each in range(END)] + [b"<stop>"]
    compiler = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[END]))
    rest = rest.replace("\0", "").encode("utf-8", "ignore").decode()
    compiled = compiler.compile_regex(Healed([], begun).regex)
    matcher = xgrammar.GrammarMatcher(compiled)
    assert matcher.accept_string(begun + rest) and matcher.accept_token(END)
    assert not xgrammar.GrammarMatcher(compiled).accept_string("!" + begun)
    assert re.fullmatch(Healed([], begun).regex, begun + rest)


# ---------------------------------------------------------------- the prompt


def healed_prompt(before: str, after: str = "\n", profile=QWEN) -> Prompt:
    return completion_prompt(
        profile=profile,
        tokenizer=tokenizer_of(profile.short),
        repo_name="shop",
        segments=(),
        path="app/main.py",
        before=before,
        after=after,
        max_window_tokens=1024,
        max_suffix_tokens=256,
        heal=True,
    )


@pytest.mark.parametrize("profile", [QWEN, SMOLLM])
def test_it_is_the_prompt_before_the_identifier(profile) -> None:
    made = healed_prompt("def f(styles):\n    return self.sty", "\n\nx = 1\n", profile)
    assert made.healed is not None and made.healed.begun == "sty"
    assert made.healed.ids == prompt("def f(styles):\n    return self.", "\n\nx = 1\n", profile=profile).ids
    plain = prompt("def f(styles):\n    return self.sty", "\n\nx = 1\n", profile=profile)
    assert msgspec.structs.replace(made, healed=None) == plain, "whoever cannot heal reads what it always did"


def test_all_keystrokes_of_an_identifier_share_it() -> None:
    made = [healed_prompt("x = 1\nreturn " + "console"[:end]).healed for end in range(1, 8)]
    assert [each.begun for each in made if each] == [" " + "console"[:end] for end in range(1, 8)]
    assert len({tuple(each.ids) for each in made if each}) == 1


@pytest.mark.parametrize("before", ["x = ", "x = foo ", "self.", ""])
def test_without_an_identifier_nothing_is_healed(before: str) -> None:
    assert healed_prompt(before).healed is None


def test_where_it_is_not_asked_for_or_ids_are_not_known() -> None:
    assert prompt("self.sty").healed is None
    assert prompt("self.sty", tokenizer=EstimateTokenizer()).healed is None


def test_another_model_gets_its_own() -> None:
    made = healed_prompt("return self.sty")
    other = relaid(made, SMOLLM, tokenizer_of(SMOLLM.short), 1000)
    assert other.healed == healed_prompt("return self.sty", profile=SMOLLM).healed
    assert relaid(prompt("return self.sty"), SMOLLM, tokenizer_of(SMOLLM.short), 1000).healed is None


@pytest.mark.parametrize(
    ("marked", "heals"),
    [
        ("x = fo▮\n", True),
        ("x = fo▮)\n", True),
        ("x = fo▮\nfoo = fo_o\n", True),
        ("fo = 1\nx = fo▮\n", False),  # finished, as far as anybody can tell
        ("x = fo▮\ny = (fo)\n", False),
        ("x = fo▮o\n", False),  # in its middle
        ("x = ▮\n", False),
        ("def f(a):\n    x = foo\n    ▮\n", False),  # the model reads up to the end of the line above
    ],
)
def test_where_it_may_go_on(marked: str, heals: bool) -> None:
    offset = marked.index("▮")
    snapshot = Snapshot("untitled:1", None, "python", 1, marked.replace("▮", ""))
    assert place_at(snapshot, offset, 40).heals is heals


# ---------------------------------------------------------------- at a server

HEALABLE = msgspec.structs.replace(PROMPT, ids=[1, 2, 3, 4], healed=Healed([1, 2, 3], " sty"))


def ours(url: str) -> SGLangEndpoint:
    return SGLangEndpoint(url, "", model="m", context_tokens=8192, packs_ids=True)


def asked(exchange: Exchange) -> tuple[list[int], str | None]:
    request, ids = token_body.decode(exchange.body)
    return list(ids), request.sampling_params.get("regex")


async def test_a_host_of_ours_is_held_to_what_was_typed() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.send(EVENTS)
        for number, text in enumerate((" ", " style", " style(x)"), start=1):
            await exchange.event(chunk(text, [*range(number)], number, STOP if number == 3 else None))
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = ours(url)
        async with aclosing(engine.generate(HEALABLE, Sampling(8))) as chunks:
            told = [(each.text, each.delta) async for each in chunks]
        await engine.close()
    assert told == [("le", "le"), ("le(x)", "(x)")]
    assert [asked(each) for each in exchanges] == [([1, 2, 3], r" sty[\s\S]*")]


@pytest.mark.parametrize("how", ["refuses", "aborts", "ignores", "ends"])
async def test_a_host_that_keeps_to_no_grammar_is_asked_as_ever(how: str) -> None:
    async def behave(exchange: Exchange) -> None:
        if asked(exchange)[1] is None:
            await exchange.send(EVENTS)
            await exchange.event(chunk("le", [5], 1, STOP))
            await exchange.send(b"data: [DONE]\n\n")
        elif how == "refuses":
            await exchange.answer(400, b'{"error": {"message": "no grammar backend"}}')
        else:
            text, reason = {
                "aborts": ("", {"type": "abort", "message": "it does not compile"}),
                "ignores": ("self.x", STOP),
                "ends": (" s", {"type": "length", "length": 1}),
            }[how]
            await exchange.send(EVENTS)
            await exchange.event(chunk(text, [5], 1, reason))
            await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = ours(url)
        for _ in range(2):
            assert (await collect(engine, HEALABLE, Sampling(8))).text == "le"
        assert engine.limits == [NO_HEALING]
        await engine.close()
    assert [asked(each) for each in exchanges] == [
        ([1, 2, 3], r" sty[\s\S]*"),
        ([1, 2, 3, 4], None),
        ([1, 2, 3, 4], None),
    ]


async def test_what_has_nothing_to_do_with_grammars_ends_the_request() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.answer(503, b"{}")

    async with served(behave) as (url, exchanges):
        engine = ours(url)
        with pytest.raises(EngineRequestError):
            await collect(engine, HEALABLE, Sampling(8))
        assert engine.limits == [] and len(exchanges) == 1
        await engine.close()


async def test_where_a_grammar_is_asked_for_that_one_holds() -> None:
    async def behave(exchange: Exchange) -> None:
        await exchange.send(EVENTS)
        await exchange.event(chunk("a", [5], 1, STOP))
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        engine = ours(url)
        await collect(engine, HEALABLE, Sampling(8, regex="a"))
        await engine.close()
    assert [asked(each) for each in exchanges] == [([1, 2, 3, 4], "a")]


async def test_no_other_server_is_given_one() -> None:
    """SGLang keeps each for good; others take none."""

    async def behave(exchange: Exchange) -> None:
        if exchange.path != "/generate":
            await exchange.completion("le")
            return
        await exchange.send(EVENTS)
        await exchange.event(chunk("le", [5], 1, STOP))
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, exchanges):
        sglang = endpoint(url)
        other = OpenAIEndpoint(url, "", "m", context_tokens=8192)
        for each in (sglang, other):
            assert (await collect(each, HEALABLE, Sampling(8))).text == "le"
            await each.close()
    bodies = [each.json for each in exchanges]
    assert bodies[0]["input_ids"] == [1, 2, 3, 4] and "regex" not in bodies[0]["sampling_params"]
    assert bodies[1]["prompt"] == "abc"


# ---------------------------------------------------------------- with the engine


@pytest.mark.engine
async def test_with_the_engine(engine_host) -> None:
    """What it writes is the most probable text of those that begin so, and no memory is lost."""
    from host_client import connect, flush

    engine = SGLangEndpoint(
        engine_host.url,
        engine_host.key,
        model="m",
        context_tokens=8192,
        packs_ids=True,
        stop_ids=SMOLLM.stop_ids,
    )
    source = (
        "def total(values):\n    result = 0\n    for value in values:\n        result += value\n    return "
    )
    async with connect(engine_host) as client:
        await flush(client)
        for typed in ("r", "res", "v", "zz"):
            made = healed_prompt(source + typed, profile=SMOLLM)
            assert made.healed is not None
            text = (await collect(engine, made, Sampling(6))).text
            sampling = {"temperature": 0, "max_new_tokens": 6, "regex": made.healed.regex}
            sampling["stop_token_ids"] = list(SMOLLM.stop_ids)
            body = {"input_ids": made.healed.ids, "sampling_params": sampling}
            raw = (await client.post("/generate", json=body)).json()
            assert raw["text"] == made.healed.begun + text
    assert engine.limits == []
    await engine.close()


@pytest.mark.engine
def test_grammars_are_forgotten_in_time(engine_home) -> None:
    pytest.importorskip("sglang")
    from sglang.srt.constrained.base_grammar_backend import BaseGrammarBackend, BaseGrammarObject
    from sglang.srt.constrained.grammar_manager import GrammarManager

    from engine.scheduler.grammars import MOST_GRAMMARS, forget_grammars

    manager = object.__new__(GrammarManager)
    manager.grammar_backend, manager.grammar_queue = BaseGrammarBackend(), []
    scheduler = SimpleNamespace(grammar_manager=manager)
    for number in range(MOST_GRAMMARS + 1):
        forget_grammars(scheduler)
        manager.grammar_backend.set_cache(("regex", str(number)), BaseGrammarObject())
    assert len(manager.grammar_backend.cache) == MOST_GRAMMARS + 1
    manager.grammar_queue.append(object())
    forget_grammars(scheduler)
    assert len(manager.grammar_backend.cache) == MOST_GRAMMARS + 1, (
        "one that is compiled now may be among them"
    )
    manager.grammar_queue.clear()
    forget_grammars(scheduler)
    assert manager.grammar_backend.cache == {}
    manager.grammar_backend = None
    forget_grammars(scheduler)
