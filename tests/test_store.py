"""The store: whole contents or none, and the same answers after a crash as from a fresh index."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
import time
from datetime import timedelta
from pathlib import Path

import pytest

from indexer import paths
from indexer.children.workers import Workers
from indexer.files.listing import ListedFile
from indexer.parsing.facts import FileFacts, content_key, facts_of
from indexer.roots.indexing import Pass
from indexer.roots.live import LiveRoot
from indexer.store import forgetting, schema, upkeep
from indexer.store.contents import STORE_ERRORS, ManifestEntry, StoreError, explain
from indexer.store.rows import ContentRows, pack
from indexer.store.store import Store

_opened: dict[Path, Store] = {}


def _open(tmp_path) -> Store:
    """As the next process would; the one before it is gone then."""
    if tmp_path in _opened:
        _opened.pop(tmp_path).close()
    _opened[tmp_path] = Store(tmp_path / "store", "test")
    return _opened[tmp_path]


def _facts(number: int) -> FileFacts:
    return facts_of(f"def function_{number}():\n    return other_{number}()\n".encode(), "python")


def test_what_is_written_is_read_back_by_the_next_process(tmp_path):
    facts = [_facts(number) for number in range(5)]
    written = _open(tmp_path).write(facts)
    store = _open(tmp_path)
    read = store.contents(store.known)
    assert {content.key: content for content in written} == read
    assert [tag.name for tag in read[facts[3].key].definitions] == ["function_3"]
    assert [(key, [site.line for site in sites]) for key, sites in store.references_to("other_3", 10)] == [
        (facts[3].key, [1])
    ]


def test_a_content_is_stored_once(tmp_path):
    store = _open(tmp_path)
    store.write([_facts(1), _facts(1)])
    store.write([_facts(1), _facts(2)])
    assert store.files.count_rows() == 2
    assert store.references.count_rows() == 2


def test_equal_bytes_in_two_languages_are_two_contents():
    assert content_key(b"", "python") != content_key(b"", "javascript")
    assert content_key(b"x", None) == content_key(b"x", "")


def test_leftovers_of_a_write_that_was_cut_short_are_removed(tmp_path):
    store = _open(tmp_path)
    store.write([_facts(1), _facts(2)])
    lost = _facts(1).key
    store._announcement.leave([lost])
    store.files.delete(f"key = '{lost}'")  # the state in which a kill between two tables leaves it
    _opened.pop(tmp_path).abandon()
    again = _open(tmp_path)
    assert lost not in again.known
    assert again.files.count_rows() == again.chunks.count_rows() == again.references.count_rows() == 1
    again.write([_facts(1)])
    assert again.files.count_rows() == again.chunks.count_rows() == again.references.count_rows() == 2


def test_a_failed_write_is_cleaned_up_before_the_next(tmp_path, monkeypatch):
    store = _open(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(store, "files", None)  # the last of the four tables cannot be written
        with pytest.raises(AttributeError):
            store.write([_facts(1)])
    assert store.references.count_rows() == 1
    store.write([_facts(1)])
    assert store.references.count_rows() == store.files.count_rows() == 1


def test_a_manifest_says_what_was_last_written(tmp_path):
    store = _open(tmp_path)
    facts = _facts(1)
    store.write([facts])
    paths = ["a.py", "it's.py", "ü/b.py"]
    store.write_manifest("/r", {path: ManifestEntry(facts.key, 1, 2) for path in paths}, [])
    store.write_manifest("/other", {"a.py": ManifestEntry(facts.key, 1, 2)}, [])
    store.write_manifest("/r", {"a.py": ManifestEntry(facts.key, 3, 4)}, ["it's.py", "unknown.py"])
    assert _open(tmp_path).manifest("/r") == {
        "a.py": ManifestEntry(facts.key, 3, 4),
        "ü/b.py": ManifestEntry(facts.key, 1, 2),
    }


def test_a_manifest_never_names_a_content_that_is_not_whole(tmp_path):
    store = _open(tmp_path)
    store.write_manifest("/r", {"a.py": ManifestEntry("0" * 32, 1, 2)}, [])
    assert store.manifest("/r") == {}


def test_references_of_a_content_that_comes_back_are_there_again(tmp_path):
    store, live = _open(tmp_path), LiveRoot({}, {})
    saved, other, empty = (pack(facts) for facts in (_facts(1), _facts(2), facts_of(b"x = 1\n", "python")))

    def save(rows: ContentRows) -> None:
        store.put("/r", {"a.py": ManifestEntry(rows.key, 1, 1)}, (), [rows])

    save(saved)
    save(other)
    store.flush()  # `saved` was superseded before it was written
    assert not live.sites.of(saved.key, store), "a view of the moment before asks"
    save(saved)  # undone
    assert live.sites.of(saved.key, store).keys() == {"other_1"}
    save(empty)
    assert not live.sites.of(empty.key, store)
    asked: list[object] = []

    class Source:
        holds = keys_referring = sites_of = asked.append

    assert not live.sites.of(empty.key, Source) and not asked, "that it has none is kept"


def test_a_folder_that_cannot_be_made_raises_what_callers_expect(tmp_path):
    (tmp_path / "store").write_text("in the way")
    with pytest.raises(STORE_ERRORS):
        _open(tmp_path)


def test_one_store_has_one_writer(tmp_path):
    store = _open(tmp_path)
    with pytest.raises(StoreError, match="another index service"):
        Store(tmp_path / "store", "test")
    store.close()
    _open(tmp_path)


def test_a_store_that_could_not_be_opened_is_not_held(tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "store/files.lance").write_text("in the way")
    with pytest.raises(STORE_ERRORS):
        Store(tmp_path / "store", "test")
    (tmp_path / "store/files.lance").unlink()
    _open(tmp_path)


def test_a_generation_in_use_is_not_forgotten_however_old(tmp_path):
    old = [Store(tmp_path / name, "test") for name in ("in-use", "left")]
    for generation in old:
        os.utime(generation.folder, (1, 1))
    old[1].close()
    forgetting.forget_generations(_open(tmp_path).folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in-use", "store"]


def test_tidying_keeps_the_answers_and_takes_back_the_disk(tmp_path):
    store = _open(tmp_path)
    for number in range(60):
        store.write([_facts(number)])
        upkeep.index_text(store)
    assert upkeep.due(store)
    size = _size(store)
    upkeep.tidy(store, timedelta(milliseconds=1))
    assert _size(store) < size / 2
    assert not upkeep.due(store)
    assert len(_open(tmp_path).contents(store.known)) == 60


def test_what_nobody_needs_is_forgotten_and_the_rest_is_not(tmp_path, monkeypatch):
    store = _open(tmp_path)
    old, kept = _facts(1), _facts(2)
    with monkeypatch.context() as patch:
        patch.setattr(time, "time", lambda: 1_000_000_000.0)
        store.write([old, kept])
    store.write([_facts(3)])
    store.write_manifest(str(tmp_path), {"kept.py": ManifestEntry(kept.key, 1, 1)}, [])
    store.write_manifest("/gone/away", {"old.py": ManifestEntry(old.key, 1, 1)}, [])
    forgetting.forget(store)
    assert _open(tmp_path).known == {kept.key, _facts(3).key}
    assert store.manifest("/gone/away") == {}
    assert store.chunks.count_rows() == 2


@pytest.mark.parametrize(
    ("failed", "said"),
    [
        (
            RuntimeError("lance error: LanceError(IO): No space left on device (os error 28), /x/io.rs:9:1"),
            "full",
        ),
        (OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), "full"),
        (
            RuntimeError("lance error: File too large, /x/lance-io-7.0/src/local.rs:133:27\nstack"),
            "too large",
        ),
        (ValueError(), "ValueError"),
        (KeyError("of ours"), "KeyError: 'of ours'"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_the_disk_is_named_and_the_stores_own_source_is_not(failed, said):
    sentence = explain(failed)
    assert said in sentence and ".rs" not in sentence
    assert (str(paths.store_folder()) in sentence and "XDG_CACHE_HOME" in sentence) == (said == "full")


async def test_a_pass_that_is_abandoned_leaves_no_content_without_a_name(tmp_path, monkeypatch):
    store, workers = _open(tmp_path), Workers()
    (tmp_path / "a.py").write_text("def a():\n    pass\n")
    begun, go_on = asyncio.Event(), threading.Event()
    loop, write = asyncio.get_running_loop(), store._write_batch

    def slowly(batch):
        loop.call_soon_threadsafe(begun.set)
        go_on.wait(5)
        return write(batch)

    monkeypatch.setattr(store, "_write_batch", slowly)
    work = Pass(tmp_path, LiveRoot({}, {}), store, workers, lambda *_: None)

    async def read_and_write():
        await work.run([ListedFile("a.py", 18, 1, False)], [])
        await asyncio.to_thread(store.flush)

    running = asyncio.create_task(read_and_write())
    await begun.wait()
    running.cancel()
    go_on.set()
    await asyncio.wait([running])
    async with asyncio.timeout(5):
        while not store.known:
            await asyncio.sleep(0.01)
        while set(store.known) != {entry.key for entry in store.manifest(str(tmp_path)).values()}:
            await asyncio.sleep(0.01)
    workers.stop()


def test_a_vector_is_written_once_for_equal_texts(tmp_path):
    store = _open(tmp_path)
    vector = [0.0] * (schema.VECTOR_DIMENSIONS - 1) + [1.0]
    store.write_vectors({"a": vector, "b": vector})
    store.write_vectors({"a": vector, "c": vector})
    embedded = _open(tmp_path).embedded
    assert [key for key in "abcdef" if key in embedded] == ["a", "b", "c"] and len(embedded) == 3
    assert store.vectors.count_rows() == 3


def _size(store: Store) -> int:
    return sum(path.stat().st_size for path in store.folder.rglob("*"))
