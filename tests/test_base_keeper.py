"""Reading the base ahead: while nobody waits, only as far as it is true, and never in a completion's way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from index_service import isolate, repository, stop_service, until, write
from test_base import FILES, USES_CORE
from test_index_link import Bars
from test_tokens import small_tokenizer

from engine import prompts
from engine.endpoints.endpoint import Chunk, Priority
from engine.endpoints.sse import EngineRequestError
from engine.profiles import QWEN_SMALL
from engine.tokens import EstimateTokenizer, ModelTokenizer
from lsp.completion import complete
from lsp.documents import Snapshot
from lsp.links import base_keeper
from lsp.links.base_keeper import WANTED, BaseKeeper, why_none
from lsp.links.budget import LEAST_BASE_SPEED, Speed
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.settings import Settings


class PrefixCache:
    """An engine that keeps every prompt that it has read, and tells of each how much of it was there."""

    kind = "sglang"
    name = "the engine"
    context_tokens = 32_768
    limits: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.read: list[list[int]] = []
        self.priorities: list[int] = []
        self.goes_on = asyncio.Event()
        self.goes_on.set()
        self.error = ""
        self.share_tokens = 16_000

    async def generate(self, prompt, params, *, priority=0):
        self.priorities.append(priority)
        if priority == Priority.WARM_UP:
            await self.goes_on.wait()
        found = max((common(prompt.ids, known) for known in self.read), default=0)
        self.read.append(prompt.ids)
        yield Chunk("one\n", "one\n", 1, len(prompt.ids), min(found, len(prompt.ids) - 1), "stop")

    async def status(self):
        if self.error:
            raise EngineRequestError("unreachable", self.error)
        return {"kv_share_tokens": self.share_tokens}


def common(one, other) -> int:
    return next(
        (at for at, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), 0
    ) or min(len(one), len(other))


class Keeping:
    """A keeper at work over the real index."""

    def __init__(self, root: Path, link: IndexLink, tokenizer: ModelTokenizer) -> None:
        self.root = str(root)
        self.endpoint = PrefixCache()
        self.engine = Engine(self.endpoint, tokenizer, QWEN_SMALL, "cuda", 4_096, "")
        self.speed = Speed(2 * LEAST_BASE_SPEED)
        self.keeper = BaseKeeper(
            link, lambda: self.engine, lambda: [self.root], lambda engine: self.speed, self.using
        )
        self.used = 0
        self.link = link

    @contextlib.contextmanager
    def using(self, engine: Engine):
        assert engine is self.engine
        self.used += 1
        yield
        self.used -= 1

    @property
    def told(self) -> dict:
        return next(iter(self.keeper.describe()), {})

    @property
    def whole(self) -> bool:
        return 0 < self.told.get("tokens", 0) == self.told["warmedTokens"]

    async def complete(self, root: Path, text: str, name: str = "app/main.py"):
        self.keeper.wanted()
        try:
            base = self.keeper.of(self.root, self.engine)
            made = await complete(
                Snapshot(str(root / name), str(root / name), "python", 1, text),
                self.link.client,
                self.endpoint,
                self.engine.tokenizer,
                QWEN_SMALL,
                Settings(budget_tokens=1536),
                offset=len(text),
                root=self.root,
                base=base,
            )
        finally:
            self.keeper.over()
        self.keeper.found(self.root, made.base_tokens, made.cached_tokens)
        return made


@pytest.fixture
async def keeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Keeping]:
    isolate(monkeypatch, tmp_path)
    for name in ("IDLE_S", "LOOK_S", "REST_S"):
        monkeypatch.setattr(base_keeper, name, 0.02)
    root = repository(tmp_path / "r", FILES)
    link = IndexLink(Bars(), lambda told: None)
    tokenizer = ModelTokenizer.from_file(small_tokenizer(tmp_path / "tokenizer.json", special=True))
    made = Keeping(root, link, tokenizer)
    link.add_root(str(root))
    link.start()
    running = asyncio.create_task(made.keeper.run())
    yield made
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await link.close()
    await stop_service()


async def test_a_completion_begins_with_what_was_read_ahead(keeping, tmp_path):
    await until(lambda: keeping.whole)
    assert set(keeping.endpoint.priorities) == {Priority.WARM_UP} and keeping.told["reason"] == ""
    made = await keeping.complete(tmp_path / "r", USES_CORE)
    assert made.base_tokens == keeping.told["tokens"] and made.cached_tokens > made.base_tokens
    assert [one.layer for one in made.segments[: len(FILES)]] == ["base"] * len(FILES)


async def test_it_gives_way_and_goes_on_later(keeping, tmp_path):
    keeping.endpoint.goes_on.clear()
    await until(lambda: keeping.endpoint.priorities)
    assert keeping.used, "the engine's connections are held open"
    made = await keeping.complete(tmp_path / "r", USES_CORE)
    assert made.base_tokens == 0 and keeping.told["reason"] == WANTED, "nothing is read yet"
    keeping.endpoint.goes_on.set()
    await until(lambda: keeping.whole)


async def test_nothing_is_read_ahead_while_a_completion_is_written(keeping):
    keeping.keeper.wanted()
    await until(lambda: keeping.link.is_open(keeping.root))
    await asyncio.sleep(0.2)
    assert keeping.endpoint.priorities == []
    keeping.keeper.over()
    await until(lambda: keeping.whole)


async def test_what_has_changed_leaves_it_when_there_is_time(keeping, tmp_path):
    await until(lambda: keeping.whole)
    before = keeping.keeper.of(keeping.root, keeping.engine)
    write(tmp_path / "r/app/core.py", FILES["app/core.py"] + "\n\ndef more():\n    return 2\n")
    await until(lambda: keeping.keeper.of(keeping.root, keeping.engine).id != before.id and keeping.whole)
    made = await keeping.complete(tmp_path / "r", USES_CORE)
    shown = [one for one in made.segments if one.path == "app/core.py"]
    assert shown and all(one.layer != "base" for one in shown)
    assert made.base_tokens == keeping.told["tokens"]
    assert "def more" in "".join(one.text for one in shown)


async def test_what_the_engine_has_let_go_of_is_not_counted_on(keeping):
    await until(lambda: keeping.whole)
    before = keeping.keeper.of(keeping.root, keeping.engine)
    keeping.keeper.found(keeping.root, before.limit, 10)
    await until(lambda: keeping.told["reason"])
    assert "evicted once" in keeping.told["reason"], "read again only after a while"
    assert keeping.keeper.of(keeping.root, keeping.engine).limit < 10


async def test_an_engine_that_was_started_again_has_read_nothing(keeping):
    """Whatever its name is."""
    await until(lambda: keeping.whole)
    keeping.endpoint = PrefixCache()
    keeping.endpoint.goes_on.clear()
    keeping.engine = msgspec.structs.replace(keeping.engine, endpoint=keeping.endpoint)
    await until(lambda: keeping.endpoint.priorities)
    assert keeping.keeper.of(keeping.root, keeping.engine) is None and keeping.told["warmedTokens"] == 0
    keeping.endpoint.goes_on.set()
    await until(lambda: keeping.whole)
    assert keeping.endpoint.read


async def test_one_that_comes_back_is_used_again_and_not_read_again(keeping):
    await until(lambda: keeping.whole)
    first, asked = keeping.keeper.of(keeping.root, keeping.engine), keeping.link.client.base
    other: list[bool] = []

    async def base(request):
        answer = await asked(request)
        if not other:
            return answer
        return msgspec.structs.replace(answer, id="other", segments=answer.segments[1:])

    keeping.link.client.base = base
    other.append(True)
    await until(
        lambda: keeping.keeper.of(keeping.root, keeping.engine).id == "other" and keeping.told["reason"] == ""
    )
    read = len(keeping.endpoint.read)
    other.clear()
    await until(lambda: keeping.keeper.of(keeping.root, keeping.engine) == first)
    assert keeping.whole and len(keeping.endpoint.read) == read


@pytest.mark.parametrize("cached", [True, False])
async def test_with_another_budget_the_same_base_is_laid_out_once(keeping, monkeypatch, cached):
    await until(lambda: keeping.whole)
    if not cached:
        keeping.keeper.found(keeping.root, keeping.told["tokens"], 10)
    laid_out: list[int] = []
    front = prompts.front_ids

    def counting(*arguments):
        laid_out.append(1)
        return front(*arguments)

    monkeypatch.setattr(prompts, "front_ids", counting)
    before = keeping.keeper.of(keeping.root, keeping.engine)
    keeping.endpoint.share_tokens *= 2
    await until(lambda: keeping.keeper.of(keeping.root, keeping.engine).budget != before.budget)
    settled = len(laid_out)
    await asyncio.sleep(0.3)
    assert len(laid_out) == settled and keeping.keeper.of(keeping.root, keeping.engine).limit == before.limit


async def test_an_engine_that_does_not_answer_is_told_of(keeping):
    keeping.endpoint.error = "the engine is gone"
    await until(lambda: keeping.told.get("reason") == "the engine is gone")
    keeping.endpoint.error = ""
    await until(lambda: keeping.whole)


@pytest.mark.parametrize(
    ("change", "speed", "reason"),
    [
        ({}, 2 * LEAST_BASE_SPEED, ""),
        ({}, LEAST_BASE_SPEED / 2, "costs more than it is worth"),
        ({"tokenizer": EstimateTokenizer()}, 2 * LEAST_BASE_SPEED, "tokenizer is not known"),
        ({"kind": "openai"}, 2 * LEAST_BASE_SPEED, "cannot be made to read ahead"),
    ],
)
async def test_why_there_is_none(tmp_path, change, speed, reason):
    endpoint = PrefixCache()
    endpoint.kind = change.pop("kind", "sglang") if "kind" in change else "sglang"
    tokenizer = ModelTokenizer.from_file(small_tokenizer(tmp_path / "tokenizer.json", special=True))
    engine = msgspec.structs.replace(Engine(endpoint, tokenizer, QWEN_SMALL, "cuda", 4_096, ""), **change)
    assert reason in why_none(engine, Speed(speed)) and bool(reason) == bool(why_none(engine, Speed(speed)))
