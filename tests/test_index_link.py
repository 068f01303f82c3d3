"""The server's connection to the real index service: progress, unsaved text, and a service that is lost."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from raw_client import INDEX_ONLY, server

from indexer.messages import ProgressNote
from lsp.documents import opened
from lsp.links.index_link import IndexLink, _unsaved, told

LIMIT_S = 30.0


class Bars:
    """What a client would show."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []

    def __call__(self, title: str) -> Bars:
        self.shown.append(("begin", title))
        return self

    def report(self, message: str, done: int = 0, total: int = 0) -> None:
        self.shown.append(("report", message))

    def end(self, message: str) -> None:
        self.shown.append(("end", message))


async def eventually(wanted: Callable[[], Awaitable[Any]]) -> Any:
    async with asyncio.timeout(LIMIT_S):
        while not (found := await wanted()):
            await asyncio.sleep(0.1)
    return found


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "lib.py").write_text("def helper(a):\n    return a\n")
    return folder


@pytest.fixture
async def link(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[IndexLink, Bars]]:
    (tmp_path / "run").mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    bars = Bars()
    link = IndexLink(bars, lambda _: None)
    link.start()
    link.add_root(str(root))
    yield link, bars
    if link.client is not None and link.client.connected:
        await link.client.shutdown()
    await link.close()


async def defined(link: IndexLink, root: Path, name: str) -> bool:
    if link.client is None or not link.client.connected:
        return False
    return bool((await link.client.symbols(str(root), name=name)).definitions)


async def test_unsaved_text_and_a_service_that_is_killed(link: tuple[IndexLink, Bars], root: Path) -> None:
    index, bars = link
    await eventually(lambda: defined(index, root, "helper"))
    unsaved = "def fresh(a):\n    return a\n"
    index.document(opened((root / "lib.py").as_uri(), "python", 2, unsaved))
    await eventually(lambda: defined(index, root, "fresh"))

    assert index.client is not None
    os.kill((await index.client.status()).pid, signal.SIGKILL)
    old = index.client

    async def another() -> bool:
        return index.client is not None and index.client is not old

    await eventually(another)
    await eventually(lambda: defined(index, root, "fresh"))
    assert index.why_not(str(root)) == ""

    (root / "lib.py").write_text(unsaved.replace("fresh", "saved"))
    index.document(opened((root / "lib.py").as_uri(), "python", 3, unsaved.replace("fresh", "saved")))
    await eventually(lambda: defined(index, root, "saved"))
    assert not await defined(index, root, "fresh")
    assert [kind for kind, _ in bars.shown if kind != "report"] == ["begin", "end", "begin", "end"]
    assert "1 files" in next(text for kind, text in bars.shown if kind == "end")


@pytest.mark.parametrize(
    ("stored", "text", "unsaved"),
    [
        (b"\xef\xbb\xbfa\n", "a\n", False),
        (b"\xef\xbb\xbfa\n", "\ufeffa\n", False),
        (b"a\n", "\ufeffa\n", False),
        (b"\xef\xbb\xbfa\n", "b\n", True),
        (b"a\r\n", "a\n", True),
        (None, "a\n", True),
    ],
)
def test_what_counts_as_unsaved(tmp_path: Path, stored: bytes | None, text: str, unsaved: bool) -> None:
    file = tmp_path / "a.py"
    if stored is not None:
        file.write_bytes(stored)
    assert _unsaved(text, file, tmp_path) == (text if unsaved else None)


async def test_why_there_is_no_context(tmp_path: Path) -> None:
    index = IndexLink(Bars(), lambda _: None)
    assert "no folder" in index.why_not(None)
    assert "starting" in index.why_not(str(tmp_path))


async def test_progress_at_the_client(tmp_path: Path, root: Path) -> None:
    async with server(tmp_path, FOREWORD_EMBEDDER="none") as client:
        await client.initialize(INDEX_ONLY, root, window={"workDoneProgress": True})

        def ended() -> Any:
            values = [
                each["params"]["value"] for each in client.notifications if each["method"] == "$/progress"
            ]
            return values if values and values[-1]["kind"] == "end" else None

        values = await client.until(ended)
        assert client.requests[0]["method"] == "window/workDoneProgress/create"
        assert values[0]["title"] == "Foreword: indexing repository"
        assert values[-1]["message"].startswith("1 files")
        service = (await client.status())["index"]
        assert service["state"] == "connected"
        assert await client.leave() == 0
        os.kill(service["pid"], signal.SIGTERM)


async def test_a_client_without_progress_is_told_in_the_log(tmp_path: Path, root: Path) -> None:
    async with server(tmp_path, FOREWORD_EMBEDDER="none") as client:
        await client.initialize(INDEX_ONLY, root)
        await client.until(lambda: "Foreword: indexing repository" in client.logged())
        assert client.requests == []
        while "pid" not in (service := (await client.status())["index"]):  # told once it is connected
            await asyncio.sleep(0.1)
        assert await client.leave() == 0
        os.kill(service["pid"], signal.SIGTERM)


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (ProgressNote(1, "listing", 0, 0), "listing files"),
        (ProgressNote(1, "parsing", 0, 1), "reading files"),
        (
            ProgressNote(1, "parsing", 2_500, 100_000, rate=900.0, seconds_left=108.3),
            "reading files, 2,500 of 100,000, 108 s left",
        ),
        (ProgressNote(1, "parsing", 60, 69, rate=900.0, seconds_left=0.1), "reading files, 60 of 69"),
        (ProgressNote(1, "writing", 0, 1), "writing the index"),
        (ProgressNote(1, "embedding", 10, 400), "vectors, 10 of 400"),
    ],
)
def test_progress_is_told_in_words(note: ProgressNote, said: str) -> None:
    assert told(note) == said
