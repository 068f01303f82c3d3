"""What the store does on its own: writing in batches, forgetting, compacting, taking over from the version before."""

from __future__ import annotations

import itertools
import os
import time
from datetime import timedelta
from pathlib import Path

import pytest

from indexer.parsing.facts import facts_of
from indexer.store import columns, drafts, forgetting, inheritance, reader, schema, upkeep, writer
from indexer.store.contents import STORE_ERRORS, ManifestEntry, StoreError
from indexer.store.dump import dump, strays
from indexer.store.rows import ContentRows, pack
from indexer.store.store import Store
from indexer.store.vector_memory import packed_keys
from indexer.store.writer import Writer

WHOLE = {"files": 0, "references": 0, "chunks": 0}


@pytest.fixture
def store(tmp_path):
    opened = Store(tmp_path / "index/store", "test")
    yield opened
    opened.close()


def _again(store: Store) -> Store:
    """As the next process would."""
    store.close()
    return Store(store.folder, "test")


def _rows(number: int) -> ContentRows:
    return pack(facts_of(f"def function_{number}():\n    return other_{number}()\n".encode(), "python"))


def _entry(rows: ContentRows) -> ManifestEntry:
    return ManifestEntry(rows.key, rows.content.size, 1)


def _put(store: Store, root: str, numbers: range) -> list[ContentRows]:
    rows = [_rows(number) for number in numbers]
    store.put(
        root, {f"m{number}.py": _entry(one) for number, one in zip(numbers, rows, strict=True)}, (), rows
    )
    return rows


def test_what_was_put_counts_at_once_and_is_on_disk_later(store):
    one, two = _put(store, "/r", range(2))
    assert not store.known and store.holds(one.key)
    assert store.manifest("/r").keys() == {"m0.py", "m1.py"}
    assert store.contents([one.key])[one.key] == one.content
    assert [key for key, _ in store.references_to("other_1")] == [two.key]
    assert store.references_of(one.key)["other_0"][0].line == 1
    assert store.keys_referring("other_0") == [one.key]
    (text_key,) = one.content.hex_text_keys()
    assert store.chunk_texts([text_key]) == {text_key: one.texts[0]}
    assert store.keys_by_root() == {"/r": {one.key, two.key}}
    again = _again(store)
    assert again.known == {one.key, two.key} and again.manifest("/r").keys() == {"m0.py", "m1.py"}
    assert again.references_of(one.key)["other_0"][0].line == 1
    again.close()


def test_a_content_that_was_saved_over_is_never_written(store):
    for number in range(20):
        rows = _rows(number)
        store.put("/r", {"a.py": _entry(rows)}, (), [rows])
    assert len(store.pending) == 20
    store.flush()
    assert store.known == {rows.key} and store.files.count_rows() == 1
    assert store.text.search("function", 100)[0].key == rows.key
    assert len(store.text.search("function", 100)) == 1


def test_a_content_that_is_known_no_longer_is_refused(store):
    known, gone = _rows(1), _rows(2)
    store.put("/r", {"a.py": _entry(known)}, (), [known])
    lacking = store.put("/r", {"b.py": _entry(gone), "c.py": _entry(known)})
    assert lacking == {"b.py"}
    assert store.manifest("/r").keys() == {"a.py", "c.py"}


def test_a_content_that_has_just_got_a_name_is_not_forgotten(store):
    one, two = _rows(1), _rows(2)
    store.write([facts_of(rows.texts[0].encode(), "python") for rows in (one, two)])
    store.put("/r", {"a.py": _entry(one)})
    store.remove_contents([one.key, two.key])
    assert store.known == {one.key} and store.files.count_rows() == store.chunks.count_rows() == 1
    assert store.put("/r", {"b.py": _entry(two)}) == {"b.py"}


def test_the_last_word_on_a_path_counts(store):
    one, two = _put(store, "/r", range(2))
    store.flush()
    store.put("/r", {"m0.py": _entry(two)}, ["m1.py"])
    expected = {"m0.py": _entry(two)}
    assert store.manifest("/r") == expected
    store.flush()
    assert store.manifest("/r") == expected
    store.put("/r", {"m1.py": _entry(one)})
    again = _again(store)
    assert again.manifest("/r") == {"m0.py": _entry(two), "m1.py": _entry(one)}
    again.close()


def test_serials_grow_from_one_process_to_the_next_and_no_log_is_read_for_them(store, monkeypatch):
    monkeypatch.setattr(upkeep, "_LEAST_LOG_ROWS", 3)
    read: list[str] = []
    column = reader.column

    def reading(table, name):
        read.append(name)
        return column(table, name)

    last = _rows(0)
    for number in range(1, 5):
        for again in range(3):
            last = _rows(10 * number + again)
            store.put("/r", {"a.py": _entry(last)}, (), [last])
            store.flush()
        highest = max(column(store.manifest_table, "serial"))
        if number % 2:
            upkeep.tidy(store, timedelta(milliseconds=1))
        store.close()
        with monkeypatch.context() as patch:
            patch.setattr(reader, "column", reading)
            store = Store(store.folder, "test")
        assert store._serial >= highest and store.manifest("/r") == {"a.py": _entry(last)}
    assert "serial" not in read and "key" in read
    store.close()


def test_what_could_not_be_written_waits_and_is_said(store, monkeypatch):
    rows = _put(store, "/r", range(3))
    with monkeypatch.context() as patch:

        def full(*_):
            raise OSError(28, "No space left on device")

        patch.setattr(columns, "files", full)
        with pytest.raises(STORE_ERRORS):
            store.flush()
        assert store.writer.failure is not None and store.pending.waiting()
        assert store.manifest("/r").keys() == {"m0.py", "m1.py", "m2.py"}
    store.flush()
    assert store.writer.failure is None and store.known == {one.key for one in rows}
    assert strays(store) == WHOLE


def test_a_closed_store_writes_nothing(store):
    _put(store, "/r", range(1))
    store.abandon()
    with pytest.raises(StoreError, match="closed"):
        store.flush()
    again = Store(store.folder, "test")
    assert again.manifest("/r") == {}
    again.close()


def test_a_burst_is_one_write(monkeypatch):
    monkeypatch.setattr(writer, "WAIT_S", 0.2)
    waiting, written = [0], []

    def write() -> None:
        written.append(waiting[0])
        waiting[0] = 0

    one = Writer(write, lambda: waiting[0])
    for _ in range(30):
        waiting[0] += 1
        one.wake()
    time.sleep(0.6)
    waiting[0] = writer.FULL_BATCH
    one.wake()
    give_up = time.monotonic() + 5
    while len(written) < 2 and time.monotonic() < give_up:
        time.sleep(0.01)
    one.close()
    assert written == [30, writer.FULL_BATCH]


FAILURES = [KeyError("a bug"), MemoryError(), OSError(28, "No space left on device"), ValueError("Not found")]


@pytest.mark.parametrize("failed", FAILURES, ids=lambda failed: type(failed).__name__)
@pytest.mark.parametrize("where", ["write", "tidying", "telling"])
def test_the_writer_outlives_what_a_write_raises(monkeypatch, caplog, failed, where):
    monkeypatch.setattr(writer, "WAIT_S", 0.0)
    monkeypatch.setattr(writer, "_RETRY_S", 0.0)
    failures: list[Exception | None] = []
    told: list[Exception] = []

    def write() -> None:
        failures.append(one.failure)
        if len(failures) == 1 and where != "tidying":
            raise failed

    def tidied() -> None:
        if len(failures) == 1:
            one.wake()
            raise failed

    def tell(what: Exception) -> None:
        told.append(what)
        if where == "telling":
            raise failed

    one = Writer(write, lambda: 1)
    one.on_success, one.on_failure = tidied, tell
    one.wake()
    give_up = time.monotonic() + 5
    while (len(failures) < 2 or one.failure is not None) and time.monotonic() < give_up:
        time.sleep(0.01)
    one.close()
    assert failures == [None, None if where == "tidying" else failed] and one.failure is None
    assert told == [failed] and any(record.levelname == "WARNING" for record in caplog.records)


def test_what_a_flush_raises_is_recorded_and_tried_again(monkeypatch):
    monkeypatch.setattr(writer, "_RETRY_S", 0.0)
    written: list[int] = []

    def write() -> None:
        written.append(1)
        if len(written) == 1:
            raise KeyError("a bug")

    one = Writer(write, lambda: 0)
    with pytest.raises(KeyError):
        one.flush()
    give_up = time.monotonic() + 5
    while (len(written) < 2 or one.failure is not None) and time.monotonic() < give_up:
        time.sleep(0.01)
    one.close()
    assert len(written) == 2


def test_a_removal_that_was_cut_short_is_finished(store, monkeypatch):
    rows = [_rows(number) for number in range(6)]
    store.write([facts_of(one.texts[0].encode(), "python") for one in rows])
    keys = [one.key for one in rows[:3]]
    with monkeypatch.context() as patch:
        patch.setattr(store, "references", None)  # killed after the first of three tables
        with pytest.raises(AttributeError):
            store.remove_contents(keys)
    assert store.chunks.count_rows() == 6 and store.files.count_rows() == 3
    store.abandon()
    again = Store(store.folder, "test")
    assert again.chunks.count_rows() == again.references.count_rows() == again.files.count_rows() == 3
    assert strays(again) == WHOLE
    again.close()


def test_of_a_store_that_is_too_large_the_least_needed_goes_first(store, tmp_path, monkeypatch):
    roots = [tmp_path / name for name in ("long-closed", "closed", "open")]
    for number, root in enumerate(roots):
        root.mkdir()
        _put(store, str(root), range(10 * number, 10 * number + 10))
        monkeypatch.setattr(time, "time", lambda number=number: 2_000_000_000.0 + number)
        store.openings.opened(str(root))
    spare = facts_of(b"spare = 1\n", "python")
    store.write([spare])
    size = forgetting.size_of(store.folder)

    def left() -> list[str]:
        return [root.name for root in roots if store.manifest(str(root))]

    forgetting.forget(store, [str(roots[2])], most=10 * size)
    assert left() == ["long-closed", "closed", "open"] and spare.key in store.known
    forgetting.forget(store, [str(roots[2])], most=int(0.99 * size))
    assert left() == ["closed", "open"] and spare.key not in store.known
    assert len(store.known) == 20 and store.openings[str(roots[0])].opened_s == 0
    forgetting.forget(store, [str(roots[2])], most=1)
    assert left() == ["open"] and len(store.known) == 10
    assert strays(store) == WHOLE


def test_spare_contents_are_bounded(store, tmp_path, monkeypatch):
    monkeypatch.setattr(forgetting, "_SPARE_CONTENTS", 3)
    _put(store, str(tmp_path), range(2))
    store.flush()
    now = time.time()
    for number in range(10, 16):
        monkeypatch.setattr(time, "time", lambda number=number: now + number)
        store.write([facts_of(f"x = {number}\n".encode(), "python")])
    forgetting.forget(store)
    kept = {facts_of(f"x = {number}\n".encode(), "python").key for number in (13, 14, 15)}
    assert len(store.known) == 5 and kept <= store.known


def test_tidying_changes_no_row_and_shortens_the_log(store, monkeypatch):
    monkeypatch.setattr(upkeep, "_LEAST_LOG_ROWS", 10)
    monkeypatch.setattr(upkeep, "_FLAT_REFERENCES", 5)
    for _ in range(5):
        _put(store, "/r", range(20))
        store.flush()
    store.put("/r", {}, ["m3.py"])
    _put(store, "/other", range(2))
    expected = [dump(store, root) for root in ("/r", "/other")]
    assert store.manifest_table.count_rows() > 100
    upkeep.tidy(store, timedelta(milliseconds=1))
    assert store.manifest_table.count_rows() == 21
    assert [store.dump(root) for root in ("/r", "/other")] == expected
    assert store.references.index_stats("name_idx") is not None
    _put(store, "/r", range(20, 25))
    again = _again(store)
    assert len(again.manifest("/r")) == 24 and strays(again) == WHOLE
    again.close()


def test_sizes_are_told_by_kind(store):
    _put(store, "/r", range(5))
    store.flush()
    sizes = store.sizes()
    assert sizes.keys() == {"files", "references", "chunks", "manifest", "vectors-test", "other"}
    assert all(sizes[name] > 0 for name in ("files", "references", "chunks", "manifest"))


def test_what_decides_about_a_content_names_the_generation():
    names = set(schema.reading_modules())
    deciding = {"children.reading", "secrets.redaction", "store.rows"} | {
        f"parsing.{name}" for name in ("facts", "tags", "chunks", "words", "imports", "languages")
    }
    others = {
        "store.store",
        "service",
        "packing.pack",
        "search",
        "client",
        "roots.root",
        "paths",
        "embedding.embedding",
    }
    assert names >= {f"indexer.{name}" for name in deciding}
    assert not names & {f"indexer.{name}" for name in others}
    assert schema.generation() == schema.generation() and schema.generation().startswith(
        f"v{schema.SCHEMA_VERSION}-"
    )


def _generation(tmp_path: Path, name: str) -> Path:
    return tmp_path / "index" / f"v{schema.SCHEMA_VERSION}-{name}"


def test_a_new_generation_has_the_vectors_of_the_one_before(tmp_path):
    vector = [1.0] + [0.0] * (schema.VECTOR_DIMENSIONS - 1)
    before = Store(_generation(tmp_path, "before"), "test")
    _put(before, "/r", range(3))
    before.write_vectors({f"{number:016x}{0:016x}": vector for number in range(1_000)})
    inheritance.inherit(_generation(tmp_path, "early"))
    assert not _generation(tmp_path, "early").exists(), "somebody has it open"
    before.close()
    inheritance.inherit(_generation(tmp_path, "after"))
    after = Store(_generation(tmp_path, "after"), "test")
    assert len(after.embedded) == 1_000 and not after.known and after.manifest("/r") == {}
    after.write_vectors({"f" * 32: vector})
    upkeep.tidy(after, timedelta(milliseconds=1))
    assert len(after.embedded) == after.vectors.count_rows() == 1_001
    after.close()
    before = Store(_generation(tmp_path, "before"), "test")
    assert len(before.embedded) == before.vectors.count_rows() == 1_000 and len(before.known) == 3
    before.close()


DAY_S = 86_400

FORGETTING = {
    "soon after": (1, lambda store: forgetting.forget(store), {"inherited", "living"}),
    "when nobody has come for them": (15, lambda store: forgetting.forget(store), {"living"}),
    "when the store is too large": (1, lambda store: forgetting.forget(store, most=1), set()),
    "another root": (1, lambda store: forgetting.forget_roots(store, ["/none"]), {"inherited", "living"}),
    "everything": (1, lambda store: forgetting.forget_roots(store, None), set()),
}


@pytest.mark.parametrize("kind", FORGETTING)
def test_vectors_wait_for_roots_that_a_new_generation_has_not_read(tmp_path, monkeypatch, kind):
    days, forget, left = FORGETTING[kind]
    living, superseded = _rows(1), _rows(2)
    texts = {
        "inherited": "f" * 32,
        "living": living.content.hex_text_keys()[0],
        "superseded": superseded.content.hex_text_keys()[0],
    }
    before = Store(_generation(tmp_path, "before"), "test")
    before.write_vectors({key: [1.0] + [0.0] * (schema.VECTOR_DIMENSIONS - 1) for key in texts.values()})
    before.close()
    inheritance.inherit(_generation(tmp_path, "after"))
    store = Store(_generation(tmp_path, "after"), "test")
    for rows in (superseded, living):
        store.put(str(tmp_path), {"a.py": _entry(rows)}, (), [rows])
        store.flush()
    monkeypatch.setattr(forgetting, "_KEEP_UNUSED_S", 0)  # what was superseded goes at once
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + days * DAY_S)
    forget(store)
    assert {name for name, key in texts.items() if key in store.embedded} == left
    assert store.vectors.count_rows() == len(left)
    store.close()


def test_a_vector_is_kept_for_a_text_that_is_not_on_disk_yet(store):
    rows, spare = _rows(1), facts_of(b"spare = 1\n", "python")
    store.write([spare])
    store.put("/r", {"a.py": _entry(rows)}, (), [rows])
    (text_key,) = rows.content.hex_text_keys()
    store.write_vectors({text_key: [1.0] + [0.0] * (schema.VECTOR_DIMENSIONS - 1)})
    forgetting._drop_contents(store, [spare.key], sweep=True)
    assert text_key in store.embedded


def test_nothing_is_taken_over_from_another_schema(tmp_path):
    other = tmp_path / "index/v1-abc"
    Store(other, "test").close()
    inheritance.inherit(_generation(tmp_path, "after"))
    assert not _generation(tmp_path, "after").exists()


def test_of_unused_generations_the_damaged_one_goes_too(tmp_path):
    current = Store(_generation(tmp_path, "now"), "test")
    for name in ("damaged", "v1-abc"):
        (tmp_path / "index" / name).mkdir()
        os.utime(tmp_path / "index" / name, (1, 1))
    forgetting.forget_generations(current.folder)
    assert [path.name for path in (tmp_path / "index").iterdir()] == [current.folder.name]
    current.close()


def _with_vectors(rows: ContentRows) -> dict[str, list[float]]:
    return {key: [1.0] + [0.0] * (schema.VECTOR_DIMENSIONS - 1) for key in rows.content.hex_text_keys()}


def test_vectors_of_a_save_are_on_disk_with_the_next_write(store):
    table = store.vector_tables.wanted
    one, two = _rows(1), _rows(2)
    store.write_vectors(_with_vectors(one))
    store.write_vectors(_with_vectors(two), few_wait=True)
    assert (len(store.embedded), store.vectors.count_rows()) == (2, 1)
    _, rows = table.rows_of(packed_keys(one.content.text_keys + two.content.text_keys))
    assert sorted(rows) == [0, 1], "memory is filled from the disk and from what waits"
    store.write_vectors(_with_vectors(two), few_wait=True)
    store.flush()
    assert (len(store.embedded), store.vectors.count_rows()) == (2, 2)
    store.write_vectors(
        {f"{number:016x}{0:016x}": [1.0] * schema.VECTOR_DIMENSIONS for number in range(65)}, few_wait=True
    )
    assert store.vectors.count_rows() == 67, "many are not kept waiting"
    assert len(_again(store).embedded) == 67


def test_vectors_that_could_not_be_written_wait_or_are_made_again(store, monkeypatch):
    one, two = _with_vectors(_rows(1)), _with_vectors(_rows(2))
    store.write_vectors(one, few_wait=True)
    with monkeypatch.context() as full:
        full.setattr(schema, "vector_rows", _raises(OSError("no space left")))
        with pytest.raises(OSError):
            store.flush()
        with pytest.raises(OSError):
            store.write_vectors(two)
    assert [key in store.embedded for key in (*one, *two)] == [True, False]
    store.write_vectors(two)
    assert store.vectors.count_rows() == 2


def _raises(failed: Exception):
    def fail(*_given):
        raise failed

    return fail


def _save(store: Store, path: str, before: ContentRows, now: ContentRows, fresh: bool = True) -> None:
    store.put("/r", {path: _entry(now)}, (), [now] if fresh else [])
    store.drafts.saved([(before.key, now.key)], {now.key} if fresh else set())
    store.flush()


def test_what_was_saved_over_leaves_the_store_and_what_was_there_before_does_not(store, monkeypatch):
    monkeypatch.setattr(drafts, "MOST", 4)
    monkeypatch.setattr(drafts, "LEAST", 2)
    (committed,) = _put(store, "/r", range(1))
    store.flush()
    saves = [_rows(number) for number in range(10, 17)]
    for before, now in itertools.pairwise([committed, *saves]):
        _save(store, "m0.py", before, now)
        upkeep.keep_up(store)
    assert store.known == {committed.key, *(rows.key for rows in saves[3:])}
    assert strays(store) == WHOLE and store.manifest("/r")["m0.py"].key == saves[-1].key
    _save(store, "m0.py", saves[-1], saves[4], fresh=False)  # undone: it lives again
    forgetting.forget_drafts(store, 0)
    assert store.known == {committed.key, saves[4].key}


def test_a_draft_that_is_somewhere_else_stays(store):
    one, two, three = (_rows(number) for number in range(3))
    for root in ("/r", "/other"):
        store.put(root, {"a.py": _entry(one)}, (), [one])
    _save(store, "a.py", one, two)
    store.put("/other", {"copied.py": _entry(two)}, (), [])
    _save(store, "a.py", two, three)
    forgetting.forget_drafts(store, 0)
    assert store.known == {one.key, two.key, three.key}


def test_vectors_of_drafts_go_when_the_store_is_tidied(store):
    one, two, three = (_rows(number) for number in range(3))
    store.put("/r", {"a.py": _entry(one)}, (), [one])
    _save(store, "a.py", one, two)
    _save(store, "a.py", two, three)
    store.write_vectors(_with_vectors(one) | _with_vectors(two) | _with_vectors(three))
    forgetting.forget_drafts(store, 0)
    assert len(store.embedded) == 3
    forgetting.forget(store, ["/r"])
    assert len(store.embedded) == 2
    assert not any(key in store.embedded for key in _with_vectors(two))


def test_small_files_wait_while_somebody_asks(store, monkeypatch):
    monkeypatch.setattr(upkeep, "_MOST_WRITES", 2)
    monkeypatch.setattr(upkeep, "_PUT_OFF_WRITES", 9)
    compacted: list[int] = []
    monkeypatch.setattr(upkeep, "compact", lambda store, _keep: compacted.append(store.writes))
    for asks, writes, expected in ((False, 1, 0), (False, 2, 1), (True, 8, 1), (True, 9, 2)):
        store.writes = writes
        if asks:
            store.text.search("anything", 1)
        upkeep.keep_up(store)
        assert len(compacted) == expected
