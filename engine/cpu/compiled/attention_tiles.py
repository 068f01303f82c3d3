"""The three steps of attention on one panel of rows against one block of keys, for panels of 1, 2 and 3 vectors.

Scores in float32 (products of bf16 are exact in it), running maximum and sum (arXiv:2205.14135) with bf16
probabilities by pairs of keys, product with the values. Rows are the lanes: softmax runs down the registers
and never across them.
"""

from __future__ import annotations

from typing import Any

from numba import types

from engine.cpu.compiled.attention_layout import (
    CORRECTION_AT,
    FLOAT,
    KEY_STRIDE,
    LANES,
    MASKED,
    MAXIMUM_AT,
    OUTPUT_AT,
    PROBABILITIES_AT,
    ROW,
    SCORES_AT,
    SUM_AT,
    VALUE_STRIDE,
    VALUES_AT,
)
from engine.cpu.compiled.vectors import (
    F32,
    FLOATS,
    HAS_WIDE_REGISTERS,
    I32,
    INTS,
    dot,
    exp2,
    floats,
    fma,
    in_all_lanes,
    intrinsic,
    largest,
    load,
    loop,
    number,
    packed,
    store,
)


def add_products(
    builder: Any, count: Any, vectors: int, sums: list[Any], rows: Any, row: int, step: int, lanes: Any
) -> list[Any]:
    """sums[i][v] += over k: the pair at rows[i * row + k * step], in all lanes, times lanes[k][v]."""

    def body(index: Any, totals: list[Any]) -> list[Any]:
        at = builder.add(lanes, builder.mul(index, number(ROW)))
        pair = builder.add(rows, builder.mul(index, number(step)))
        columns = [load(builder, at, INTS, v * LANES * FLOAT) for v in range(vectors)]
        results: list[Any] = []
        for i in range(len(totals) // vectors):
            spread = in_all_lanes(builder, load(builder, pair, I32, i * row))
            mine = totals[i * vectors : (i + 1) * vectors]
            results.extend(dot(builder, one, each, spread) for one, each in zip(mine, columns, strict=True))
        return results

    return loop(builder, count, sums, body)


def _tile_rows(vectors: int) -> int:
    """As many as there is room for, and enough independent sums to hide the latency of a product."""
    if not HAS_WIDE_REGISTERS:
        return 4
    return 16 if vectors == 1 else 8


def _make_scores(vectors: int) -> Any:
    rows = _tile_rows(vectors)

    @intrinsic
    def scores(typing: Any, scratch: Any, queries: Any, tiles: Any, pairs: Any) -> Any:
        """Scores of a block, [keys, lanes]: `tiles` runs of keys, `pairs` = head size / 2."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base, query, count, depth = arguments

            def body(index: Any, carried: list[Any]) -> list[Any]:
                keys = builder.add(base, builder.mul(index, number(rows * KEY_STRIDE)))
                zeros = [floats(0.0)] * (rows * vectors)
                sums = add_products(builder, depth, vectors, zeros, keys, KEY_STRIDE, FLOAT, query)
                out = builder.add(base, builder.mul(index, number(rows * ROW)))
                for at, total in enumerate(sums):
                    offset = SCORES_AT + at // vectors * ROW + at % vectors * LANES * FLOAT
                    store(builder, total, out, offset)
                return []

            loop(builder, count, [], body)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), emit

    return scores


def _make_softmax(vectors: int) -> Any:
    @intrinsic
    def softmax(typing: Any, scratch: Any, state: Any, pairs: Any, scale: Any) -> Any:
        """Scores to bf16 probabilities by pairs of keys; moves the panel's maximum and sum on.

        `scale` has log2(e) in it: maxima and differences are exponents of two.
        """

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base, panel, count, factor = arguments
            factor = in_all_lanes(builder, builder.fptrunc(factor, F32))
            offsets = [v * LANES * FLOAT for v in range(vectors)]

            def find(index: Any, highest: list[Any]) -> list[Any]:
                at = builder.add(base, builder.mul(index, number(2 * ROW)))
                for row in (SCORES_AT, SCORES_AT + ROW):
                    found = [load(builder, at, FLOATS, row + offset) for offset in offsets]
                    highest = [largest(builder, a, b) for a, b in zip(found, highest, strict=True)]
                return highest

            lowest = [floats(MASKED)] * vectors
            found = [builder.fmul(one, factor) for one in loop(builder, count, lowest, find)]
            before = [load(builder, panel, FLOATS, MAXIMUM_AT + offset) for offset in offsets]
            maxima = [largest(builder, a, b) for a, b in zip(found, before, strict=True)]
            minus = [builder.fneg(one) for one in maxima]
            sums: list[Any] = []
            for v, offset in enumerate(offsets):
                shrink = exp2(builder, builder.fsub(before[v], maxima[v]))
                store(builder, shrink, base, CORRECTION_AT + offset)
                store(builder, maxima[v], panel, MAXIMUM_AT + offset)
                sums.append(builder.fmul(load(builder, panel, FLOATS, SUM_AT + offset), shrink))

            def weigh(index: Any, totals: list[Any]) -> list[Any]:
                at = builder.add(base, builder.mul(index, number(2 * ROW)))
                out = builder.add(base, builder.mul(index, number(ROW)))
                results: list[Any] = []
                for v, offset in enumerate(offsets):
                    raw = [load(builder, at, FLOATS, SCORES_AT + row + offset) for row in (0, ROW)]
                    even, odd = [exp2(builder, fma(builder, one, factor, minus[v])) for one in raw]
                    results.append(builder.fadd(totals[v], builder.fadd(even, odd)))
                    store(builder, packed(builder, even, odd), out, PROBABILITIES_AT + offset)
                return results

            for v, total in enumerate(loop(builder, count, sums, weigh)):
                store(builder, total, panel, SUM_AT + offsets[v])
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.float64), emit

    return softmax


def _make_weigh_values(vectors: int) -> Any:
    rows = _tile_rows(vectors)

    @intrinsic
    def weigh_values(typing: Any, scratch: Any, state: Any, tiles: Any, pairs: Any) -> Any:
        """output[dim, lanes] = output * correction + probabilities x values, `tiles` runs of dimensions."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            base, panel, count, depth = arguments
            offsets = [v * LANES * FLOAT for v in range(vectors)]
            shrink = [load(builder, base, FLOATS, CORRECTION_AT + offset) for offset in offsets]
            lanes = builder.add(base, number(PROBABILITIES_AT))

            def body(index: Any, carried: list[Any]) -> list[Any]:
                values = builder.add(base, builder.mul(index, number(rows * FLOAT)))
                values = builder.add(values, number(VALUES_AT))
                out = builder.add(panel, builder.mul(index, number(rows * ROW)))
                places = [OUTPUT_AT + i * ROW + offset for i in range(rows) for offset in offsets]
                sums = [
                    builder.fmul(load(builder, out, FLOATS, place), shrink[at % vectors])
                    for at, place in enumerate(places)
                ]
                sums = add_products(builder, depth, vectors, sums, values, FLOAT, VALUE_STRIDE, lanes)
                for place, total in zip(places, sums, strict=True):
                    store(builder, total, out, place)
                return []

            loop(builder, count, [], body)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, types.int64, types.int64), emit

    return weigh_values


TILE_ROWS = (0, _tile_rows(1), _tile_rows(2), _tile_rows(3))
"""Keys or dimensions of one tile, by the panel's vectors."""
scores_1, scores_2, scores_3 = _make_scores(1), _make_scores(2), _make_scores(3)
softmax_1, softmax_2, softmax_3 = _make_softmax(1), _make_softmax(2), _make_softmax(3)
weigh_values_1, weigh_values_2, weigh_values_3 = (_make_weigh_values(vectors) for vectors in (1, 2, 3))
