"""A change of the store that was cut short leaves a note: whoever comes next repairs by it, and loses nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.parsing.facts import facts_of
from indexer.store import columns
from indexer.store.announcement import Announcement, TornNoteError
from indexer.store.contents import STORE_ERRORS, ManifestEntry, StoreError
from indexer.store.dump import strays
from indexer.store.rows import ContentRows, pack
from indexer.store.store import Store

WHOLE = {"files": 0, "references": 0, "chunks": 0}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "store", "test")
    yield opened
    opened.close()


def _rows(number: int) -> ContentRows:
    return pack(facts_of(f"def function_{number}():\n    return other_{number}()\n".encode(), "python"))


def _put(store: Store, path: str, rows: ContentRows) -> None:
    store.put("/r", {path: ManifestEntry(rows.key, rows.content.size, 1)}, (), [rows])


def _cut_short(store: Store, monkeypatch: pytest.MonkeyPatch, rows: ContentRows) -> None:
    """A batch that finds the disk full before its last table; it waits to be tried again."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(columns, "files", full)
        _put(store, "new.py", rows)
        with pytest.raises(STORE_ERRORS):
            store.flush()


MEANWHILE: dict[str, Callable[[Store, ContentRows], None]] = {
    "nothing": lambda store, old: None,
    "another content is removed": lambda store, old: store.remove_contents([old.key]),
    "nothing is removed": lambda store, old: store.remove_contents([]),
    "more is put": lambda store, old: _put(store, "more.py", _rows(3)),
}


@pytest.mark.parametrize("meanwhile", MEANWHILE)
def test_a_batch_that_was_cut_short_is_written_once(store, monkeypatch, meanwhile):
    old, new = _rows(1), _rows(2)
    _put(store, "old.py", old)
    store.flush()
    store.put("/r", {}, ["old.py"])
    store.flush()
    _cut_short(store, monkeypatch, new)
    MEANWHILE[meanwhile](store, old)
    store.flush()
    assert strays(store) == WHOLE and new.key in store.known
    assert (old.key in store.known) == (meanwhile != "another content is removed")


def test_the_note_of_another_change_is_not_written_over(tmp_path):
    announcement = Announcement(tmp_path)
    announcement.leave(["first"])
    with pytest.raises(StoreError, match="cut short"):
        announcement.leave(["second"])
    assert announcement.left() == ["first"]
    announcement.withdraw()
    assert announcement.left() is None
    announcement.leave([])
    assert announcement.left() == []


def test_a_note_is_on_the_disk_before_its_change_begins(tmp_path, monkeypatch):
    synced: list[str] = []

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", fsync)
    with Announcement(tmp_path).of(["key"]):
        assert synced == ["batch.new", tmp_path.name]


TORN = {
    "empty": b"",
    "cut short": b'["0123',
    "zeros": bytes(40),
    "of another kind": b"[1]",
    "no text": b'["\xff"]',
}


@pytest.mark.parametrize("kind", TORN)
def test_a_note_that_nobody_can_read_costs_only_what_was_half_way(store, monkeypatch, kind):
    kept, lost = _rows(1), _rows(2)
    vector = [1.0] + [0.0] * 383
    _put(store, "kept.py", kept)
    store.flush()
    store.write_vectors({key: vector for key in kept.content.hex_text_keys()})
    _cut_short(store, monkeypatch, lost)
    store.abandon()
    (store.folder / "batch").write_bytes(TORN[kind])
    with pytest.raises(TornNoteError):
        Announcement(store.folder).left()
    again = Store(store.folder, "test")
    assert again.known == {kept.key} and strays(again) == WHOLE and len(again.embedded) == 1
    _put(again, "lost.py", lost)
    again.flush()
    assert strays(again) == WHOLE and again.manifest("/r").keys() == {"kept.py", "lost.py"}
    again.close()
