"""Where a cursor rests is read ahead: once, in nobody's way, and so that a completion there finds it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from index_service import isolate, repository, stop_service, until
from test_base import FILES, USES_CORE
from test_base_keeper import PrefixCache
from test_completion import CURSOR, NoBar, Session
from test_tokens import small_tokenizer

from engine.endpoints.endpoint import Priority
from engine.profiles import QWEN_SMALL
from engine.tokens import ModelTokenizer
from lsp.documents import Snapshot, key_of
from lsp.inline import InlineCompletions
from lsp.links.engine_link import EngineLink
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.requests import resting
from lsp.requests.resting import WANTED
from lsp.settings import Settings
from lsp.workspace import Workspace

MAIN = f"{USES_CORE}{CURSOR}\n\ndef after():\n    pass\n"


class Reader(Session):
    """Somebody who looks at files of a real index, with an engine that keeps what it has read."""

    def __init__(self, root: Path, tokenizer: ModelTokenizer) -> None:
        self.root = root
        self.documents = Workspace()
        self.documents.add_root(root.as_uri())
        self.settings = Settings()
        self.link = EngineLink(NoBar, print)
        self.index = IndexLink(NoBar, print)
        self.endpoint = PrefixCache()
        self.engine = Engine(self.endpoint, tokenizer, QWEN_SMALL, "cpu", 1536, "a test")
        self.link.engine, self.link.state = self.engine, "ready"
        self.completions = InlineCompletions(self.documents, self.index, self.link, lambda: self.settings)

    def rests(self, marked: str = MAIN, name: str = "app/main.py", version: int = 1) -> tuple[Snapshot, int]:
        snapshot, offset = self.open(marked, (self.root / name).as_uri(), version)
        self.completions.rests(snapshot, offset)
        return snapshot, offset

    @property
    def told(self) -> dict:
        return self.completions.read_ahead()

    @property
    def last(self):
        made = self.completions.last
        assert made is not None
        return made


@pytest.fixture
async def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reader]:
    isolate(monkeypatch, tmp_path)
    monkeypatch.setattr(resting, "LOOK_S", 0.02)
    monkeypatch.setattr(resting, "_why_wait", lambda: "")
    root = repository(tmp_path / "r", {**FILES, ".env": "KEY=1\n"})
    tokenizer = ModelTokenizer.from_file(small_tokenizer(tmp_path / "tokenizer.json", special=True))
    made = Reader(root, tokenizer)
    made.index.add_root(str(root))
    made.index.start()
    await asyncio.wait_for(made.index.opened(str(root)), 15)
    yield made
    await made.index.close()
    await stop_service()


async def test_the_first_completion_there_finds_all_but_what_follows_the_cursor(reader: Reader) -> None:
    snapshot, offset = reader.rests()
    await until(lambda: reader.told["tokens"])
    assert set(reader.endpoint.priorities) == {Priority.WARM_UP}
    assert reader.told == {"uri": snapshot.uri, "tokens": reader.told["tokens"], "reason": ""}
    await reader.completions.answer(snapshot, offset)
    assert reader.last.segments, "it was read with what the repository has for it"
    assert reader.last.cached_tokens == reader.told["tokens"]
    assert reader.endpoint.priorities[-1] == Priority.COMPLETION


async def test_typing_on_finds_it_too(reader: Reader) -> None:
    _, offset = reader.rests()
    await until(lambda: reader.told["tokens"])
    snapshot, _ = reader.open(MAIN.replace(CURSOR, "co" + CURSOR), (reader.root / "app/main.py").as_uri(), 2)
    await reader.completions.answer(snapshot, offset + 2)
    assert reader.last.cached_tokens is not None
    assert reader.told["tokens"] - 2 <= reader.last.cached_tokens, "the last tokens may join what is typed"


async def test_it_gives_way_to_whoever_waits(reader: Reader) -> None:
    reader.endpoint.goes_on.clear()
    snapshot, offset = reader.rests()
    await until(lambda: reader.endpoint.priorities)
    outcome = await reader.completions.answer(snapshot, offset)
    assert outcome.text and reader.told == {"uri": snapshot.uri, "tokens": 0, "reason": WANTED}
    reader.completions.rests(snapshot, offset)
    await asyncio.sleep(0.1)
    assert reader.endpoint.priorities == [Priority.WARM_UP, Priority.COMPLETION], "that has read it"


async def test_who_comes_meanwhile_begins_with_what_was_read(reader: Reader) -> None:
    """Their prompt may hold that, and what is read while a person waits; not only as much as a first one."""
    speed = reader.completions._asking.speed(reader.engine)
    speed.tokens_s = 3_000.0
    uri = (reader.root / "app/main.py").as_uri()

    class HoldsTheSecond(PrefixCache):
        async def generate(self, prompt, params, *, priority=0):
            if self.read:
                self.goes_on.clear()
            async for chunk in super().generate(prompt, params, priority=priority):
                yield chunk

    reader.endpoint = HoldsTheSecond()
    reader.link.engine = msgspec.structs.replace(reader.engine, endpoint=reader.endpoint)
    reader.rests("".join(f"value_{n} = {n}\n" for n in range(4_000)) + MAIN)
    await until(lambda: len(reader.endpoint.priorities) == 2)
    (read,) = reader.endpoint.read
    now = reader.completions.prompt_tokens(reader.link.engine, key_of(uri))
    assert now == len(read) + speed.fresh_tokens() > speed.fresh_tokens()


async def test_one_line_is_read_once(reader: Reader) -> None:
    snapshot, offset = reader.rests(MAIN.replace(CURSOR, "core" + CURSOR))
    await until(lambda: reader.told["tokens"])
    so_far = len(reader.endpoint.priorities)
    reader.completions.rests(snapshot, offset - 2)
    await asyncio.sleep(0.1)
    assert len(reader.endpoint.priorities) == so_far
    reader.completions.rests(snapshot, 0)
    await until(lambda: len(reader.endpoint.priorities) > so_far)


async def test_another_place_takes_its_turn(reader: Reader) -> None:
    reader.endpoint.goes_on.clear()
    reader.rests()
    await until(lambda: reader.endpoint.priorities)
    reader.rests("import app\n" + CURSOR, "app/other.py")
    await until(lambda: len(reader.endpoint.priorities) == 2)
    reader.endpoint.goes_on.set()
    await until(lambda: reader.told["tokens"])
    assert reader.told["uri"].endswith("other.py")
    assert len(reader.endpoint.read) == 1, "nothing more of the place that was left"


@pytest.mark.parametrize("why", ["on battery", "memory is short"])
async def test_nothing_is_read_where_work_ahead_is_unwelcome(
    reader: Reader, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    monkeypatch.setattr(reader.completions._suggesting.resting, "_why_wait", lambda: why)
    reader.rests()
    await until(lambda: reader.told["reason"] == why)
    assert reader.endpoint.priorities == []


async def test_nothing_is_read_where_it_is_switched_off(reader: Reader) -> None:
    reader.settings = msgspec.structs.replace(reader.settings, read_ahead=False)
    reader.rests()
    await asyncio.sleep(0.1)
    assert reader.endpoint.priorities == [] and reader.told["uri"] is None


async def test_nothing_of_an_excluded_file_is_read(reader: Reader) -> None:
    reader.rests(f"KEY=1{CURSOR}\n", ".env")
    await until(lambda: "excluded" in reader.told["reason"])
    assert reader.endpoint.priorities == []


async def test_an_engine_that_starts_is_waited_for(reader: Reader) -> None:
    reader.link.engine, reader.link.state = None, "starting"
    reader.rests()
    await asyncio.sleep(0.1)
    assert reader.told["reason"] == "" and reader.endpoint.priorities == []
    reader.link.engine, reader.link.state = reader.engine, "ready"
    await until(lambda: reader.told["tokens"])


async def test_an_index_that_is_about_to_be_there_is_waited_for(reader: Reader) -> None:
    late = Reader(reader.root, reader.engine.tokenizer)
    late.index.add_root(str(reader.root))
    snapshot, offset = late.rests()
    await asyncio.sleep(0.1)
    assert late.told["reason"] == "" and late.endpoint.priorities == []
    late.index.start()
    await until(lambda: late.told["tokens"])
    await late.completions.answer(snapshot, offset)
    assert late.last.segments and late.last.cached_tokens == late.told["tokens"]
    await late.index.close()


async def test_what_is_never_ready_is_given_up(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resting, "PATIENCE_S", 0.05)
    reader.link.engine, reader.link.state = None, "starting"
    reader.rests()
    await until(lambda: reader.told["reason"] == resting.NOT_READY)


async def test_an_engine_that_has_left_is_not_fetched(reader: Reader) -> None:
    reader.link.engine, reader.link.state = None, "off"
    reader.rests()
    await until(lambda: reader.told["reason"] == "no engine is running")
    assert reader.link.state == "off"


async def test_a_closed_document_is_read_no_further(reader: Reader) -> None:
    reader.endpoint.goes_on.clear()
    snapshot, _ = reader.rests()
    await until(lambda: reader.endpoint.priorities)
    reader.completions.forget(snapshot.uri)
    reader.endpoint.goes_on.set()
    await asyncio.sleep(0.1)
    assert reader.endpoint.read == [] and reader.told["tokens"] == 0
