"""Vectors in memory: the nearest are the nearest, whatever was added or taken away in between."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.store import vector_memory
from indexer.store.vector_memory import VectorMemory, quantized, short_keys

DIMENSIONS = 72
"""No multiple of 64, so that the last word of bits is half empty."""


def _vectors(count, seed=0, dimensions=DIMENSIONS):
    chance = np.random.default_rng(seed)
    found = chance.standard_normal((count, dimensions)).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def _keys(*numbers):
    return np.array(numbers, np.uint64)


def test_levels_lose_next_to_nothing():
    vectors = _vectors(200)
    levels, scales = quantized(vectors)
    back = levels * scales[:, None]
    cosines = (back * vectors).sum(axis=1) / np.linalg.norm(back, axis=1)
    assert cosines.min() > 0.9995
    assert quantized(np.zeros((1, 4), np.float32))[0].tolist() == [[0, 0, 0, 0]]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "remove", "keep"]), st.sets(st.integers(0, 60), max_size=20)),
        max_size=12,
    )
)
def test_it_holds_what_was_added_and_not_removed(steps):
    memory, expected = VectorMemory(DIMENSIONS), {}
    all_vectors = _vectors(61)
    for doing, numbers in steps:
        some = sorted(numbers)
        if doing == "add":
            memory.add(_keys(*some), all_vectors[some])
            expected |= {number: all_vectors[number] for number in some}
        elif doing == "keep":
            memory.keep(_keys(*some))
            expected = {number: vector for number, vector in expected.items() if number in numbers}
        else:
            memory.remove(_keys(*some))
            expected = {number: vector for number, vector in expected.items() if number not in numbers}
    now = memory.current
    assert len(now) == len(expected)
    rows = now.rows_of(_keys(*range(61)))
    assert {number for number, row in enumerate(rows.tolist()) if row >= 0} == set(expected)
    for number, vector in expected.items():
        assert now.similarities(vector, rows[[number]])[0] > 0.995


def test_who_reads_meanwhile_sees_the_same_rows():
    memory = VectorMemory(DIMENSIONS)
    memory.add(_keys(*range(50)), _vectors(50))
    before = memory.current
    question = _vectors(1, seed=9)[0]
    rows = before.rows_of(_keys(*range(50)))
    answer = [array.tolist() for array in before.nearest(question, rows, 5)]
    for first in range(50, 5_000, 500):
        memory.add(_keys(*range(first, first + 500)), _vectors(500, seed=first))
    memory.remove(_keys(*range(0, 5_000, 3)))
    assert [array.tolist() for array in before.nearest(question, rows, 5)] == answer
    assert len(before) == 50


@pytest.mark.parametrize("share", [1.0, 0.3], ids=["most", "some"])
def test_bits_find_what_comparing_all_finds(monkeypatch, share):
    """Vectors with structure, as embeddings have; random ones are all equally far from each other."""
    chance = np.random.default_rng(3)
    basis = chance.standard_normal((20, 384)).astype(np.float32)
    vectors = chance.standard_normal((12_000, 20)).astype(np.float32) @ basis
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    memory = VectorMemory(384)
    memory.add(_keys(*range(len(vectors))), vectors)
    now = memory.current
    among = now.rows_of(_keys(*range(int(len(vectors) * share))))
    hits = 0
    for question in vectors[::1_000] + 0.02 * chance.standard_normal((12, 384)).astype(np.float32):
        fast = set(now.nearest(question, among, 10)[0].tolist())
        with monkeypatch.context() as patch:
            patch.setattr(vector_memory, "_ALL_AT_ONCE", 10**9)
            exact, similarities = now.nearest(question, among, 10)
        assert (np.diff(similarities) <= 0).all()
        hits += len(fast & set(exact.tolist()))
    assert hits >= 0.97 * 12 * 10


def test_keys_are_those_of_the_store():
    assert short_keys(["0123456789abcdef" + "0" * 16]).tolist() == [0x0123456789ABCDEF]
