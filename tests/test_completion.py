"""The life of one completion, and what the server makes of several at a time."""

from __future__ import annotations

import asyncio
import itertools
import threading
from pathlib import Path
from typing import Any

import msgspec
import pytest
from scripted import ScriptedEndpoint

from engine.endpoints.sse import EngineRequestError, Fault
from engine.profiles import QWEN_SMALL
from engine.tokens import EstimateTokenizer
from indexer.client import IndexClient, IndexServiceError
from indexer.messages import Pack, PackRequest
from lsp.completion import Completion, complete
from lsp.documents import Snapshot
from lsp.inline import InlineCompletions, Outcome, SelectedItem
from lsp.links.engine_link import EngineLink
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.settings import EngineSettings, Settings
from lsp.trim import Trimmer
from lsp.trimming.site import Decision
from lsp.workspace import Workspace

CURSOR = "▮"
BODY = "    b = a\n    return b\n\n\ndef g():\n"


def document(marked: str, uri: str = "untitled:1", language: str | None = "python") -> tuple[Snapshot, int]:
    offset = marked.index(CURSOR)
    return Snapshot(uri, None, language, 1, marked.replace(CURSOR, "")), offset


async def run(marked: str, endpoint: ScriptedEndpoint, **more: object) -> Completion:
    snapshot, offset = document(marked)
    settings = Settings(budget_tokens=1536)
    return await complete(
        snapshot, None, endpoint, EstimateTokenizer(), QWEN_SMALL, settings, offset=offset, **more
    )  # type: ignore[arg-type]


async def test_a_line_ends_the_stream() -> None:
    endpoint = ScriptedEndpoint("a + b\nand so on\n" * 20)
    completion = await run("return ▮\n", endpoint)
    assert (completion.text, completion.block) == ("a + b", False)
    assert endpoint.closed_early == 1
    assert endpoint.written < 12


async def test_a_block_is_whole() -> None:
    endpoint = ScriptedEndpoint(BODY * 9)
    completion = await run("def f(a):\n    ▮\n", endpoint)
    assert (completion.text, completion.block) == ("b = a\n    return b", True)
    assert endpoint.closed_early == 1
    assert (completion.prompt_tokens, completion.cached_tokens) == (10, 5)
    assert endpoint.prompts[0].window == "def f(a):"  # the model writes the line break itself


async def test_a_block_that_takes_too_long_is_what_is_whole_by_then() -> None:
    now = itertools.count()
    endpoint = ScriptedEndpoint("    one = 1\n    two = 2\n    three = 3\n    four = 4\n")
    completion = await run("def f(a):\n    ▮\n", endpoint, clock=lambda: float(next(now)))
    assert completion.text.startswith("one = 1")
    assert "four" not in completion.text
    assert "    one = 1\n    two = 2\n    three = 3\n    four = 4\n".find(completion.text) == 4
    assert endpoint.closed_early == 1


async def test_text_grows_as_it_is_told() -> None:
    told: list[str] = []
    await run("def f(a):\n    ▮\n", ScriptedEndpoint(BODY), on_text=told.append)
    assert len(told) > 2
    assert all(later.startswith(earlier) for earlier, later in itertools.pairwise(told))
    assert told[-1] == "b = a\n    return b"


async def test_what_is_written_is_judged_beside_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing takes up to 20 ms, and other requests must not wait for it."""
    threads: set[int] = set()

    class Watched(Trimmer):
        def feed(self, written: str) -> Decision:
            threads.add(threading.get_ident())
            return super().feed(written)

    monkeypatch.setattr("lsp.writing.Trimmer", Watched)
    await run("return ▮\n", ScriptedEndpoint("a + b\nand so on\n"))
    assert threads and threading.get_ident() not in threads


async def test_what_surrounds_the_cursor_is_judged_while_the_index_is_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepared = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Watched(Trimmer):
        def prepare(self) -> None:
            super().prepare()
            loop.call_soon_threadsafe(prepared.set)

    class SlowIndex(IndexClient):
        def __init__(self) -> None:
            """Connected to nothing."""

        async def pack(self, request: PackRequest, timeout_s: float = 0.0) -> Pack:
            await asyncio.wait_for(prepared.wait(), 20)
            raise IndexServiceError("there is nothing to read")

    monkeypatch.setattr("lsp.writing.Trimmer", Watched)
    path = str(tmp_path / "a.py")
    snapshot = Snapshot("file:///a.py", path, "python", 1, "return \n")
    completion = await complete(
        snapshot,
        SlowIndex(),
        ScriptedEndpoint("a + b\n"),
        EstimateTokenizer(),
        QWEN_SMALL,
        Settings(budget_tokens=1536),
        offset=7,
        root=str(tmp_path),
    )
    assert (completion.text, completion.notes) == ("a + b", ["there is nothing to read"])


async def test_a_cut_stream_without_a_line_says_why() -> None:
    completion = await run("x = ▮\n", ScriptedEndpoint("a" * 50, ends="length"))
    assert (completion.text, completion.reason) == ("", "the model wrote no whole line within its limit")


async def test_line_endings_are_the_documents() -> None:
    snapshot, offset = document("def f(a):\r\n    ▮\r\n")
    completion = await complete(
        snapshot, None, ScriptedEndpoint(BODY), EstimateTokenizer(), QWEN_SMALL, Settings(), offset=offset
    )
    assert completion.text == "b = a\r\n    return b"


async def test_the_earlier_cells_are_read() -> None:
    endpoint = ScriptedEndpoint("getcwd()\n")
    snapshot, offset = document("os.▮")
    snapshot = msgspec.structs.replace(snapshot, preamble="import os\n\n")
    completion = await complete(
        snapshot, None, endpoint, EstimateTokenizer(), QWEN_SMALL, Settings(), offset=offset
    )
    assert completion.text == "getcwd()"
    assert "import os\n\nos." in endpoint.prompts[0].text


# ---------------------------------------------------------------- as the server sees it


class Session:
    """A server's completions without its protocol."""

    def __init__(self, endpoint: Any) -> None:
        """`endpoint`: as much of one as a test needs."""
        self.documents = Workspace()
        self.warned: list[str] = []
        self.link = EngineLink(NoBar, self.warned.append)
        index = IndexLink(NoBar, self.warned.append)
        settings = Settings()
        self.link.engine = Engine(endpoint, EstimateTokenizer(), QWEN_SMALL, "cpu", 1536, "a test")
        self.completions = InlineCompletions(self.documents, index, self.link, lambda: settings)

    def open(self, marked: str, uri: str = "untitled:1", version: int = 1) -> tuple[Snapshot, int]:
        offset = marked.index(CURSOR)
        return self.documents.open(uri, "python", version, marked.replace(CURSOR, "")), offset

    async def ask(self, marked: str, uri: str = "untitled:1", version: int = 1) -> Outcome:
        return await self.completions.answer(*self.open(marked, uri, version))


class NoBar:
    def __init__(self, title: str) -> None: ...
    def report(self, message: str, done: int = 0, total: int = 0) -> None: ...
    def end(self, message: str) -> None: ...


async def test_a_newer_request_ends_the_older_one_in_the_engine() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.05, piece=1)
    session = Session(endpoint)
    older = asyncio.create_task(session.ask("x = ▮\n"))
    await asyncio.sleep(0.08)
    newer = await session.ask("y = ▮\n", version=2)
    assert (await older).reason == "a newer request took its place"
    assert newer.text == "a + b"
    assert endpoint.closed_early == 2  # the older one, and the newer one at the end of its line


async def test_of_two_requests_at_once_one_ends_the_other(tmp_path: Path) -> None:
    """A file on disk is first looked at in a thread: the older request must be known by then."""
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.02, piece=1)
    session = Session(endpoint)
    session.documents.add_root(tmp_path.as_uri())
    uri = (tmp_path / "a.py").as_uri()
    document = session.open("x = ▮\n", uri)
    outcomes = await asyncio.gather(*(session.completions.answer(*document) for _ in range(3)))
    assert [each.reason for each in outcomes] == ["a newer request took its place"] * 2 + [""]
    assert outcomes[-1].text == "a + b"
    assert len(endpoint.prompts) == 1
    assert len(session.completions._turns) == 0


async def test_a_streamed_completion_is_cancelled_and_replaced_like_any_other() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.05, piece=1)
    session = Session(endpoint)
    document = session.open("x = ▮\n")
    for _ in range(2):
        asked = asyncio.create_task(session.completions.stream(*document, lambda _: None, with_context=True))
        await asyncio.sleep(0.08)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
    assert endpoint.closed_early == 2
    asked = asyncio.create_task(session.completions.stream(*document, lambda _: None, with_context=True))
    await asyncio.sleep(0.08)
    assert (await session.completions.answer(*document)).text == "a + b"
    assert (await asked).reason == "a newer request took its place"


async def test_a_closed_document_ends_its_request_and_leaves_nothing() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.05, piece=1)
    session = Session(endpoint)
    asked = asyncio.create_task(session.ask("x = ▮\n"))
    await asyncio.sleep(0.08)
    session.completions.forget("untitled:1")
    assert (await asked).reason == "the document was closed"
    assert endpoint.closed_early == 1
    assert session.completions._suggestions == {}


async def test_documents_do_not_disturb_each_other() -> None:
    session = Session(ScriptedEndpoint("a + b\n", delay_s=0.01))
    both = await asyncio.gather(session.ask("x = ▮\n", "untitled:1"), session.ask("y = ▮\n", "untitled:2"))
    assert [outcome.text for outcome in both] == ["a + b", "a + b"]


async def test_cancelling_ends_it_in_the_engine() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.05, piece=1)
    asked = asyncio.create_task(Session(endpoint).ask("x = ▮\n"))
    await asyncio.sleep(0.08)
    asked.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asked
    assert endpoint.closed_early == 1


async def test_typing_along_asks_no_model() -> None:
    endpoint = ScriptedEndpoint("a + b\n")
    session = Session(endpoint)
    assert (await session.ask("x = ▮\n")).text == "a + b"
    assert (await session.ask("x = a +▮\n", version=2)).text == " b"
    assert (await session.ask("x = a + b▮\n", version=3)).text == "a + b"  # all of it typed: asked again
    assert len(endpoint.prompts) == 2


async def test_a_document_that_has_moved_on_gets_nothing_now_and_all_of_it_next() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.02)
    session = Session(endpoint)
    asked = asyncio.create_task(session.ask("x = ▮\n"))
    await asyncio.sleep(0.01)
    now = session.open("x = a▮\n", version=2)
    assert (await asked).reason == "the document has changed since"
    assert (await session.completions.answer(*now)).text == " + b"
    assert len(endpoint.prompts) == 1


async def test_a_selected_item_is_extended() -> None:
    endpoint = ScriptedEndpoint("(a, b)\n")
    session = Session(endpoint)
    snapshot, offset = session.open("x = comp▮\n")
    outcome = await session.completions.answer(snapshot, offset, SelectedItem(4, 8, "compute"))
    assert outcome == Outcome("compute(a, b)", 4, 8)
    assert "x = compute" in endpoint.prompts[0].text


@pytest.mark.parametrize("selected", [SelectedItem(0, 2, "x"), SelectedItem(4, 12, "compute\ny")])
async def test_a_selected_item_that_cannot_be_extended(selected: SelectedItem) -> None:
    session = Session(ScriptedEndpoint("1\n"))
    snapshot, offset = session.open("x = comp▮\n\n\n\n\n")
    outcome = await session.completions.answer(snapshot, offset, selected)
    assert outcome.text == ""
    assert "selected item" in outcome.reason


async def test_a_file_that_cannot_be_judged_gets_a_reason(tmp_path: Path) -> None:
    (tmp_path / ".forewordignore").mkdir()  # cannot be read, not even by root
    session = Session(ScriptedEndpoint("1\n"))
    session.documents.add_root(tmp_path.as_uri())
    outcome = await session.ask("x = ▮\n", (tmp_path / "a.py").as_uri())
    assert outcome.text == ""
    assert ".forewordignore" in outcome.reason


@pytest.mark.parametrize("name", [".env", "server.pem", "id_rsa"])
async def test_secrets_get_nothing(tmp_path: Path, name: str) -> None:
    endpoint = ScriptedEndpoint("secret\n")
    session = Session(endpoint)
    session.documents.add_root(tmp_path.as_uri())
    outcome = await session.ask("KEY=▮\n", (tmp_path / name).as_uri())
    assert outcome.text == ""
    assert outcome.reason.startswith("excluded file")
    assert endpoint.prompts == []


async def test_a_document_that_is_not_open() -> None:
    session = Session(ScriptedEndpoint("1\n"))
    outcome = await session.completions.answer(None, 0)
    assert outcome.reason == session.completions.last_empty_reason == "the document is not open"


async def test_an_engine_that_fails_gives_the_reason() -> None:
    error = EngineRequestError("request", "the server refused this prompt; look at its log")
    session = Session(ScriptedEndpoint("1\n", error=error))
    assert (await session.ask("x = ▮\n")).reason == str(error)
    assert session.link.engine is not None


@pytest.mark.parametrize("fault", ["unreachable", "draining"])
async def test_an_engine_that_has_gone_is_looked_for_anew(fault: Fault) -> None:
    error = EngineRequestError(fault, "the server is gone")
    session = Session(ScriptedEndpoint("1\n", error=error))
    session.link._settings = msgspec.convert(  # no model: only the attempt counts
        {"engine": {"kind": "none"}}, Settings
    )
    assert (await session.ask("x = ▮\n")).reason == "the server is gone"
    assert session.link.engine is None
    assert (await session.ask("x = ▮\n", version=2)).reason == session.link.reason
    assert session.warned == ["the server is gone"]


async def test_an_untitled_document_is_completed_without_context() -> None:
    session = Session(ScriptedEndpoint("1\n"))
    assert (await session.ask("x = ▮\n")).text == "1"
    assert session.completions.last is not None
    assert session.completions.last.notes == ["the file is in no folder of the workspace"]


# ---------------------------------------------------------------- engines that come and go

NO_ENGINE = msgspec.convert({"engine": {"kind": "none"}}, Settings)
NOBODY = msgspec.convert({"engine": {"kind": "openai", "url": "http://127.0.0.1:9", "model": "m"}}, Settings)


async def test_an_engine_that_is_set_up_anew_ends_what_runs_with_a_reason() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.05, piece=1)
    session = Session(endpoint)
    asked = asyncio.create_task(session.ask("x = ▮\n"))
    await asyncio.sleep(0.08)
    await session.link.restart(NO_ENGINE)
    assert (endpoint.closed, endpoint.closed_early) == (1, 1)
    assert (await asked).reason
    assert "engine.kind is none" in session.link.reason


async def test_a_lost_engine_is_closed_when_the_last_request_is_done_with_it() -> None:
    endpoint = ScriptedEndpoint("a + b\n", delay_s=0.02, piece=1)
    session = Session(endpoint)
    session.link._settings = NO_ENGINE
    asked = asyncio.create_task(session.ask("x = ▮\n"))
    await asyncio.sleep(0.03)
    assert session.link.engine is not None
    session.link.lost(session.link.engine, "it is draining")
    await asyncio.sleep(0)
    assert endpoint.closed == 0
    assert (await asked).text == "a + b"
    await session.link.close()
    assert endpoint.closed == 1
    assert session.link.reason == "the server is ending"


async def test_settings_that_change_twice_in_a_moment_leave_one_engine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[ScriptedEndpoint] = []

    def configured(settings: EngineSettings) -> Engine:
        made.append(ScriptedEndpoint("1\n"))
        return Engine(made[-1], EstimateTokenizer(), QWEN_SMALL, "cpu", 1536, "a test", settings.url)

    monkeypatch.setattr("lsp.links.engine_link.configured", configured)
    link = EngineLink(NoBar, lambda _: None)
    link.start(NOBODY)
    await asyncio.sleep(0.1)
    restarts = asyncio.gather(link.restart(NOBODY), link.restart(NOBODY), link.restart(NOBODY))
    await asyncio.sleep(0)
    assert link.reason
    await restarts
    for _ in range(50):
        if link.state == "ready":
            break
        await asyncio.sleep(0.02)
    told = await link.describe()
    assert (told["state"], told["url"], "pid" in told) == ("ready", "http://127.0.0.1:9", False)
    await link.close()
    assert made[0].closed == 1
    assert made[-1].closed == 1
    assert link.engine is None
