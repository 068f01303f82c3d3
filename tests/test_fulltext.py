"""Full text finds the same, in the same order, in memory and on disk."""

from __future__ import annotations

import random
import threading
from datetime import timedelta

import pytest

from indexer.parsing.facts import facts_of
from indexer.parsing.words import words
from indexer.searching import text_memory
from indexer.searching.fulltext import FullText
from indexer.searching.row_memory import RowMemory
from indexer.store import reader, upkeep
from indexer.store.contents import ManifestEntry
from indexer.store.rows import pack
from indexer.store.store import Store

NOUNS = [
    "graph",
    "node",
    "edge",
    "path",
    "tree",
    "cache",
    "index",
    "token",
    "record",
    "window",
    "signal",
    "answer",
]
VERBS = ["find", "walk", "merge", "split", "count", "store", "read", "write", "resolve", "follow", "order"]


def _text(number: int) -> str:
    rng = random.Random(number)
    body = "\n".join(
        f"    {rng.choice(NOUNS)} = {rng.choice(VERBS)}_{rng.choice(NOUNS)}({rng.choice(NOUNS)}, {rng.randrange(9)})"
        for _ in range(rng.randrange(2, 12))
    )
    return f"def {rng.choice(VERBS)}_{rng.choice(NOUNS)}_{number}(x):\n{body}\n    return x\n"


@pytest.fixture(scope="module")
def rows():
    return [pack(facts_of(_text(number).encode(), "python")) for number in range(300)]


def _store(tmp_path, rows, in_memory: int) -> Store:
    """So many of the contents are searched in memory, the others on disk."""
    store = Store(tmp_path / f"store{in_memory}", "test")
    for some, index in ((rows[in_memory:], True), (rows[:in_memory], False)):
        store.pending.add(None, {}, (), some, lambda: store.known)
        store.text.add(some)
        store.flush()
        if index:
            store.text.index(store.known)
    return store


QUESTIONS = (
    "find the graph",
    "merge",
    "cache of tokens",
    "store_window",
    "walk split count order",
    "finding edges",
)


@pytest.mark.parametrize(("in_memory", "least", "tolerance"), [(1, 38, 0.03), (30, 34, 0.1), (300, 39, 0.01)])
def test_ranks_do_not_depend_on_where_a_chunk_is(tmp_path, rows, in_memory, least, tolerance):
    """Of equally good ones the order is nobody's promise; the weights on disk are those of what is there."""
    whole, store = _store(tmp_path, rows, 0), _store(tmp_path, rows, in_memory)
    for question in QUESTIONS:
        asked = " ".join(words(question))
        expected = {row.key: row.score for row in whole.text.search(asked, 1_000)}
        found = {row.key: row.score for row in store.text.search(asked, 1_000)}
        assert found.keys() == expected.keys()
        for key, score in expected.items():
            assert found[key] == pytest.approx(score, rel=tolerance), question
        best = [sorted(scores, key=lambda key: -scores[key])[:40] for scores in (expected, found)]
        assert len({*best[0]} & {*best[1]}) >= min(least, len(expected)), question
    store.close()
    whole.close()


def test_a_row_is_found_at_every_moment_and_once(tmp_path, rows):
    store = Store(tmp_path / "store", "test")

    def found() -> list[str]:
        hits = store.text.search("merge", 1_000)
        return sorted(f"{row.key} {row.start_line}" for row in hits)

    store.pending.add(None, {}, (), rows, lambda: store.known)
    store.text.add(rows)
    expected = found()
    assert expected
    store.flush()
    assert found() == expected
    store.text.index(store.known)
    assert found() == expected and store.text.unindexed == 0
    store.text.add(rows)  # as a write that is just being indexed
    assert found() == expected
    store.close()
    again = Store(tmp_path / "store", "test")
    assert sorted(f"{row.key} {row.start_line}" for row in again.text.search("merge", 1_000)) == expected
    again.close()


def test_what_a_process_before_has_not_indexed_is_found(tmp_path, rows):
    store = _store(tmp_path, rows, 100)
    expected = {row.key for row in store.text.search("merge", 1_000)}
    store.close()
    again = Store(tmp_path / "store100", "test")
    assert again.text.uncovered > 0
    assert {row.key for row in again.text.search("merge", 1_000)} == expected
    upkeep.index_text(again)
    assert again.text.uncovered == 0
    assert {row.key for row in again.text.search("merge", 1_000)} == expected
    again.close()


def test_rows_are_read_once_and_never_as_they_are_not_any_more(tmp_path, rows, monkeypatch):
    store = _store(tmp_path, rows, 0)
    read: list[int] = []
    by_id = store.text._rows._read
    monkeypatch.setattr(store.text._rows, "_read", lambda ids: read.extend(ids) or by_id(ids))
    first = store.text.search("merge graph", 60)
    assert len(read) == len(first) == 60
    assert store.text.search("merge graph", 60) == first and len(read) == 60
    assert len(store.text.search("merge graph find", 60)) == 60
    assert 60 < len(read) < 120, "only what the question before did not find"
    gone = {row.key for row in first[:30]}
    store.remove_contents(sorted(gone))
    store.chunks.optimize(cleanup_older_than=timedelta(0))
    store.text.index(store.known)
    now = store.text.search("merge graph", 60)
    assert now == FullText(store.chunks).search("merge graph", 60) and gone.isdisjoint(row.key for row in now)
    monkeypatch.setattr(store.text._rows, "of", lambda ids: {})
    assert store.text.search("merge graph", 60) == now, "what moved in between is read as it is found"
    store.close()


def test_rows_are_remembered_up_to_a_size(tmp_path, rows):
    store = _store(tmp_path, rows, 0)
    found = store.chunks.search().with_row_id(True).limit(None).to_arrow()
    ids, texts = found["_rowid"].to_pylist(), found["text"].to_pylist()
    memory = RowMemory(store.chunks, limit=5_000)
    for start in range(0, len(ids), 20):
        rows_there = memory.of(ids[start : start + 20])
        assert [rows_there[row][-1] for row in ids[start : start + 20]] == texts[start : start + 20]
        assert 0 < memory._held == sum(len(values[-1]) for values in memory._known.values()) <= 5_000
    store.close()


def test_only_some_contents_are_asked_for(tmp_path, rows):
    store = _store(tmp_path, rows, 150)
    keys = {row.key for row in rows[100:200]}
    found = store.text.search("merge graph", 1_000, keys)
    assert found and {row.key for row in found} <= keys
    assert {row.key for row in found} & {row.key for row in rows[:150]}, "some of them are in memory"
    store.close()


def test_superseded_contents_are_forgotten(tmp_path, rows):
    store = Store(tmp_path / "store", "test")
    store.text.add(rows[:5])
    store.text.forget([row.key for row in rows[:5]])
    assert store.text.search("merge find walk split", 100) == [] and store.text.unindexed == 0
    store.close()


def test_a_burst_of_saves_is_indexed_before_it_is_much(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(upkeep, "_UNINDEXED_CHUNKS", 50)
    store = Store(tmp_path / "store", "test")
    for start in range(0, 300, 20):
        store.pending.add(None, {}, (), rows[start : start + 20], lambda: store.known)
        store.text.add(rows[start : start + 20])
        store.flush()
        upkeep.keep_up(store)
        assert store.text.unindexed <= 50 + 40
    store.bulk += 1  # a pass over a whole root does it once, at its end
    store.close()


def test_more_than_memory_takes_waits_for_the_index(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(text_memory, "MOST_CHUNKS", 30)
    text = FullText(Store(tmp_path / "store", "test").chunks)
    text.add(rows)
    assert text.uncovered > 0 and text.unindexed >= 300


def _put(store: Store, rows) -> None:
    """As a pass over a root does."""
    store.put("/r", {f"{row.key}.py": ManifestEntry(row.key, 1, 1) for row in rows}, (), rows)


def _found(store: Store, rows) -> int:
    """How many of these contents a search finds."""
    return len({row.key for row in store.text.search("def", 1_000)} & {row.key for row in rows})


def test_what_memory_has_no_room_for_is_found_once_it_is_on_disk(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(text_memory, "MOST_CHUNKS", 3)
    store = Store(tmp_path / "store", "test")
    first, second = rows[:4], rows[4:14]
    _put(store, first)
    store.flush()
    _put(store, second)
    waiting = store.text.uncovered
    upkeep.index_text(store)  # after the batch before: nothing of the second one is on disk yet
    assert store.text.uncovered >= len(second) > 0 and waiting >= store.text.uncovered
    assert _found(store, first) == len(first)
    store.flush()
    upkeep.index_text(store)
    assert (_found(store, first), _found(store, second)) == (len(first), len(second))
    assert store.text.uncovered == store.text.unindexed == 0
    store.close()


@pytest.mark.parametrize("room", [0, 1_000])
def test_what_is_superseded_or_removed_is_neither_held_nor_waited_for(tmp_path, rows, monkeypatch, room):
    monkeypatch.setattr(text_memory, "MOST_CHUNKS", room)
    store = Store(tmp_path / "store", "test")
    for row in rows[:5]:
        store.put("/r", {"a.py": ManifestEntry(row.key, 1, 1)}, (), [row])
    store.flush()
    assert store.text.unindexed == len(rows[4].starts)
    store.put("/r", {}, ["a.py"])
    store.flush()
    store.remove_contents([rows[4].key])
    assert store.text.unindexed == store.text.uncovered == 0 and _found(store, rows) == 0
    store.close()


def test_whoever_adds_or_forgets_does_not_wait_for_a_search(tmp_path, rows, monkeypatch):
    stemmed, others = FullText._stemmed, []

    def change() -> None:
        store.text.add(rows[20:30])
        store.text.forget([row.key for row in rows[:5]])

    def while_cutting(text: FullText, words: str) -> list[str]:
        if not others:
            others.append(threading.Thread(target=change))
            others[0].start()
            others[0].join(2)
            others.append(others[0].is_alive())
        return stemmed(text, words)

    monkeypatch.setattr(FullText, "_stemmed", while_cutting)
    store = Store(tmp_path / "store", "test")
    store.text.add(rows[:20])
    store.text.digest()
    assert others[1] is False, "it waits"
    found = {row.key for row in store.text.search("def", 1_000)}
    assert found == {row.key for row in rows[5:30]}
    store.close()


def test_how_frequent_words_are_is_known_before_somebody_asks_again(tmp_path, rows, monkeypatch):
    store = _store(tmp_path, rows[:250], 0)
    store.text.search("find graph", 5)
    for some in (rows[250:260], rows[260:270]):
        store.text.add(some)
        store.text.digest()
    asked = []
    run = reader.run
    monkeypatch.setattr(reader, "run", lambda query: asked.append(query) or run(query))
    assert store.text.search("find graph", 5)
    assert len(asked) == 1, "the search itself"
    store.pending.add(None, {}, (), rows[250:270], lambda: store.known)
    store.flush()
    store.text.index(store.known)
    store.text.add(rows[270:280])
    asked.clear()
    assert store.text.search("find graph", 5)
    assert len(asked) == 1, "a slightly larger index has the same frequencies"
    store.close()


def test_only_words_that_memory_has_are_counted_on_disk(tmp_path, rows, monkeypatch):
    store = _store(tmp_path, rows[:250], 0)
    store.text.add([pack(facts_of(b"def brand_new():\n    pass\n", "python"))])
    store.text.digest()
    asked = []
    run = reader.run
    monkeypatch.setattr(reader, "run", lambda query: asked.append(query) or run(query))
    found = store.text.search("find graph brand walk split count", 5)
    assert len(asked) == 2, "the search itself, and how frequent the one word is"
    assert any("brand_new" in row.text for row in found)
    store.text.digest()
    assert len(asked) == 2
    store.close()
