"""What was offered is not asked for again, and what follows it is there when it is accepted."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from index_service import isolate, repository, stop_service, until
from scripted import ScriptedEndpoint
from test_completion import CURSOR, NoBar, Session

from engine.endpoints.endpoint import Priority
from engine.profiles import QWEN_SMALL
from engine.prompts import Prompt
from engine.tokens import EstimateTokenizer
from lsp.inline import InlineCompletions, Outcome
from lsp.links.engine_link import EngineLink
from lsp.links.engines import Engine
from lsp.links.index_link import IndexLink
from lsp.requests import ahead, cadence
from lsp.settings import Settings
from lsp.workspace import Workspace

LINE = "foo(a, b)"
BODY = "b = a\n    return b"


def writes(after: dict[str, str]) -> Callable[[Prompt], str]:
    """A model that writes this where the window ends so, and nothing elsewhere."""
    return lambda prompt: next((text for end, text in after.items() if prompt.window.endswith(end)), "\n")


class Typist(Session):
    """Somebody who edits one document and is offered something after each keystroke."""

    version = 0

    def type(self, marked: str, uri: str = "untitled:1") -> tuple[str, int]:
        """The document has this text, as its editor tells it."""
        self.version += 1
        snapshot, offset = self.open(marked, uri, self.version)
        self.completions.changed(snapshot)
        return uri, offset

    async def offered(self, marked: str, uri: str = "untitled:1") -> Outcome:
        uri, offset = self.type(marked, uri)
        return await self.completions.answer(self.documents.get(uri), offset)


@pytest.fixture(autouse=True)
def nothing_ahead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a test is not about that."""
    monkeypatch.setattr(ahead, "AFTER_S", 600.0)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch, nothing_ahead: None) -> None:
    monkeypatch.setattr(ahead, "AFTER_S", 0.0)
    monkeypatch.setattr(cadence.Cadence, "paused_in_s", lambda *_: 0.0)


# ---------------------------------------------------------------- without the engine


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param([("x = f▮\n", "oo(a, b)"), ("x = fo▮\n", "o(a, b)")], id="typing along"),
        pytest.param([("x = fo▮\n", "o(a, b)"), ("x = f▮\n", "oo(a, b)"), ("x = ▮\n", LINE)], id="back"),
        pytest.param([("x = foo▮\n", "(a, b)"), ("x = foo(a,▮\n", " b)")], id="word by word"),
        pytest.param([("x = foo(▮)\n", "a, b)"), ("x = foo(a▮)\n", ", b)")], id="brackets closed"),
        pytest.param([("x = foo(a,▮\n", " b)"), ("x = ▮\n", LINE)], id="undo of a word"),
    ],
)
async def test_on_the_way_through_a_line(ways: list[tuple[str, str]]) -> None:
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    assert (await typist.offered("x = ▮\n")).text == LINE
    for marked, expected in ways:
        assert (await typist.offered(marked)).text == expected
    assert len(endpoint.prompts) == 1


async def test_line_by_line_through_a_block_and_undo() -> None:
    endpoint = ScriptedEndpoint(f"    {BODY}\n\n\ndef g():\n")
    typist = Typist(endpoint)
    assert (await typist.offered("def f(a):\n    ▮\n")).text == BODY
    assert (await typist.offered("def f(a):\n    b = a▮\n")).text == "\n    return b"
    assert (await typist.offered("def f(a):\n    b = a\n    ▮\n")).text == "return b"
    assert (await typist.offered("def f(a):\n    ▮\n")).text == BODY
    assert len(endpoint.prompts) == 1


async def test_what_the_editor_closed_is_written_anew() -> None:
    typist = Typist(ScriptedEndpoint(LINE + "\n"))
    await typist.offered("x = ▮\n")
    outcome = await typist.offered("x = foo(▮)\n")
    assert (outcome.text, outcome.start, outcome.end) == ("a, b)", 8, 9)


@pytest.mark.parametrize("marked", ["x = ▮\n# changed\n", "y = ▮\n", "x = g▮\n"])
async def test_another_document_is_asked_about_anew(marked: str) -> None:
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    await typist.offered(marked)
    assert len(endpoint.prompts) == 2


async def test_nothing_is_remembered_of_a_document_that_was_closed() -> None:
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    typist.completions.forget("untitled:1")
    assert len(typist.completions._suggesting.memory) == 0
    assert (await typist.offered("x = f▮\n")).text == LINE
    assert len(endpoint.prompts) == 2


async def test_nothing_remembered_is_told_where_completions_are_switched_off() -> None:
    typist = Typist(ScriptedEndpoint(LINE + "\n"))
    await typist.offered("x = ▮\n")
    typist.link.engine, typist.link.state, typist.link.reason = None, "off", "switched off"
    assert (await typist.offered("x = f▮\n")).reason == "switched off"


async def test_what_another_model_wrote_is_not_told() -> None:
    endpoint = ScriptedEndpoint("bar()\n")
    typist = Typist(ScriptedEndpoint(LINE + "\n"))
    await typist.offered("x = ▮\n")
    typist.link.engine = Engine(endpoint, EstimateTokenizer(), QWEN_SMALL, "cpu", 1536, "", "http://another")
    assert (await typist.offered("x = ▮\n")).text == "bar()"


# ---------------------------------------------------------------- ahead


async def until_read_ahead(typist: Typist) -> None:
    await until(lambda: not typist.completions._suggesting.flights.ahead.under_way("untitled:1"))


async def test_what_follows_is_there_when_a_suggestion_is_accepted(at_once: None) -> None:
    endpoint = ScriptedEndpoint(writes({"f():": "\n    a = 1\n", "a = 1": "\n    b = 2\n"}))
    typist = Typist(endpoint)
    assert (await typist.offered("def f():▮\n")).text == "\n    a = 1"
    await until_read_ahead(typist)
    assert endpoint.priorities == [Priority.COMPLETION, Priority.PREFETCH, Priority.PREFETCH]
    assert (await typist.offered("def f():\n    ▮\n")).text == "a = 1"
    assert (await typist.offered("def f():\n    a = 1▮\n")).reason == "the line is complete"
    assert (await typist.offered("def f():\n    a = 1\n    ▮\n")).text == "b = 2"
    assert len(endpoint.prompts) == 3


async def test_an_acceptance_goes_along_with_what_is_under_way(at_once: None) -> None:
    endpoint = ScriptedEndpoint(writes({"x =": LINE + "\n", LINE: ".c\n"}), piece=1, delay_s=0.01)
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    await until(lambda: len(endpoint.prompts) == 2)
    assert (await typist.offered("x = foo(▮\n")).text == "a, b)"
    assert (await typist.offered(f"x = {LINE}▮\n")).text == ".c"
    assert len([each for each in endpoint.prompts if each.window.endswith(LINE)]) == 1


async def test_where_there_was_nothing_to_say_nobody_is_asked_again() -> None:
    endpoint = ScriptedEndpoint("\n")
    typist = Typist(endpoint)
    first = await typist.offered("x = 1▮\n")
    assert first.reason and await typist.offered("x = 1▮\n") == first
    await typist.offered("x = 12▮\n")
    assert len(endpoint.prompts) == 2


@pytest.mark.parametrize("what", ["typed", "asked elsewhere", "closed"])
async def test_whoever_does_something_else_ends_it(at_once: None, what: str) -> None:
    endpoint = ScriptedEndpoint(LINE + "\n", piece=1, delay_s=0.02)
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    ended, endpoint.written = endpoint.closed_early, 0
    await until(lambda: len(endpoint.prompts) == 2)
    if what == "typed":
        typist.type("x = g▮\n")
    elif what == "closed":
        typist.completions.forget("untitled:1")
    else:
        elsewhere = asyncio.create_task(typist.offered("y = ▮\n", "untitled:2"))
        await until(lambda: len(endpoint.prompts) == 3)
    assert not typist.completions._suggesting.flights.ahead.under_way("untitled:1")
    await until(lambda: endpoint.closed_early > ended)
    assert endpoint.written < len(LINE)
    if what == "asked elsewhere":
        assert (await elsewhere).text == LINE


async def test_never_in_the_middle_of_typing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AFTER_S", 0.0)
    monkeypatch.setattr(cadence, "PAUSED", 1e9)
    endpoint = ScriptedEndpoint(LINE + "\n")
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    await asyncio.sleep(0.05)
    assert len(endpoint.prompts) == 1
    typist.completions.forget("untitled:1")


@pytest.mark.parametrize("likely", [True, False])
async def test_only_what_is_rather_right_than_wrong_is_followed(at_once: None, likely: bool) -> None:
    chance = ahead.LIKELY + (0.05 if likely else -0.05)
    endpoint = ScriptedEndpoint(LINE + "\n", piece=1, mean_logprob=math.log(chance) / len(LINE))
    typist = Typist(endpoint)
    assert (await typist.offered("x = ▮\n")).text == LINE
    await until_read_ahead(typist)
    assert (Priority.PREFETCH in endpoint.priorities) == likely


async def test_never_at_a_server_that_takes_no_priorities(at_once: None) -> None:
    endpoint = ScriptedEndpoint(LINE + "\n")
    endpoint.kind = "openai"
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    await asyncio.sleep(0.05)
    assert len(endpoint.prompts) == 1


async def test_never_while_somebody_waits_for_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "AFTER_S", 0.05)
    endpoint = ScriptedEndpoint(LINE + "\n", delay_s=0.02)
    typist = Typist(endpoint)
    await typist.offered("x = ▮\n")
    waiting = asyncio.ensure_future(typist.offered("y = ▮\n", "untitled:2"))
    await asyncio.sleep(0.07)
    assert Priority.PREFETCH not in endpoint.priorities
    await waiting


# ---------------------------------------------------------------- with a real index


class Indexed(Typist):
    """The same over the real index of a repository."""

    def __init__(self, endpoint: ScriptedEndpoint, root: Path) -> None:
        self.documents = Workspace()
        self.documents.add_root(root.as_uri())
        self.link = EngineLink(NoBar, print)
        self.index = IndexLink(NoBar, print)
        self.index.add_root(str(root))
        self.index.start()
        self.link.engine = Engine(endpoint, EstimateTokenizer(), QWEN_SMALL, "cpu", 1536, "a test")
        self.completions = InlineCompletions(self.documents, self.index, self.link, Settings)


MAIN = f"from app.core import core\n\n\ndef main():\n    x = {CURSOR}\n"


@pytest.fixture
async def indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Indexed, Path]]:
    isolate(monkeypatch, tmp_path)
    files = {"app/core.py": "def core(a, b):\n    return a + b\n", "app/far.py": "y = 1\n", "app/main.py": ""}
    root = repository(tmp_path / "r", files)
    typist = Indexed(ScriptedEndpoint(LINE + "\n"), root)
    await asyncio.wait_for(typist.index.opened(str(root)), 15)
    yield typist, root
    await typist.index.close()
    await stop_service()


async def test_what_was_made_from_a_file_that_has_changed_is_asked_for_anew(
    indexed: tuple[Indexed, Path],
) -> None:
    typist, root = indexed
    uri = (root / "app/main.py").as_uri()

    async def offered(marked: str) -> int:
        """Requests at the engine so far."""
        assert (await typist.offered(marked, uri)).text
        assert typist.link.engine is not None and isinstance(typist.link.engine.endpoint, ScriptedEndpoint)
        return len(typist.link.engine.endpoint.prompts)

    assert await offered(MAIN) == 1
    assert typist.completions.last is not None
    assert "app/core.py" in [each.path for each in typist.completions.last.segments]
    (root / "app/far.py").write_text("y = 2\n")
    assert await offered(MAIN.replace(CURSOR, "f" + CURSOR)) == 1
    (root / "app/core.py").write_text("def core(a, b, c):\n    return a + b + c\n")
    assert await offered(MAIN) == 2
