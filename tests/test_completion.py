"""The life of one completion, and what the server makes of several at a time."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import msgspec
import pytest
from scripted import ScriptedEndpoint

from engine.profiles import QWEN_SMALL
from engine.sse import EngineRequestError
from engine.tokens import EstimateTokenizer
from lsp.completion import Completion, complete
from lsp.documents import Snapshot
from lsp.engine_link import EngineLink
from lsp.engines import Engine
from lsp.index_link import IndexLink
from lsp.inline import InlineCompletions, Outcome, SelectedItem
from lsp.settings import Settings
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
    assert told == ["b = a", "b = a\n    return b"]


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

    def __init__(self, endpoint: ScriptedEndpoint) -> None:
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


async def test_an_engine_that_has_gone_is_looked_for_anew() -> None:
    error = EngineRequestError("unreachable", "the server is gone")
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
