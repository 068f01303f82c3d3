"""Full text finds the same, in the same order, in memory and on disk."""

from __future__ import annotations

import random

import pytest

from indexer.parsing.facts import facts_of
from indexer.parsing.words import words
from indexer.searching.fulltext import FullText
from indexer.store import upkeep
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
    monkeypatch.setattr("indexer.searching.fulltext.MOST_CHUNKS", 30)
    text = FullText(Store(tmp_path / "store", "test").chunks)
    text.add(rows)
    assert text.uncovered > 0 and text.unindexed >= 300
