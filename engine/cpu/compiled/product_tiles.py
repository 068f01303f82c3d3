"""Products of a tile of 8-bit activations and weights, whose sums stay in registers, as LLVM's own vector code.

One VNNI instruction (VPDPBUSD) adds four products to each of 16 sums. AVX2 has no such instruction that is exact: its
VPMADDUBSW saturates at 16 bits. There both sides are widened to 16 bits, of which VPMADDWD adds two products in 32 bits
to each of 8 sums. How weights and activations lie is said in `engine.cpu.products`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.cpu.compiled.vectors import (
    F32,
    FLOAT,
    I32,
    LANES,
    call_intrinsic,
    has_feature,
    intrinsic,
    load,
    loop,
    number,
    store,
)

HAS_VNNI = has_feature("avx512vnni")
HAS_AVX2 = has_feature("avx2")

OUTPUTS = LANES
"""Of a block."""
INPUTS = 4 if HAS_VNNI else 2
"""Of a group."""
ACTIVATION = 1 if HAS_VNNI else 2
"""Bytes of an activation, as a tile reads it."""
WIDTH = 16 if HAS_VNNI else 8
"""Sums in a register."""
PARTS = OUTPUTS // WIDTH
"""Registers of a block's sums."""
GROUP = OUTPUTS * INPUTS
"""Bytes of a group's weights."""
UNROLLED = 1 if HAS_VNNI else 2
"""Groups in one round of the loop."""
WIDENED = 4
"""Activations that are widened at a time; rows are as wide as a whole number of them, and of a loop's rounds."""
AHEAD = 8192
"""Bytes by which the reading of weights is asked for beforehand, where their reading is the work: with 2,048 eight rows
were a quarter slower, with 32,768 a tenth."""
PREFETCH = (0, 3, 1)
"""For reading, into the first-level cache, data."""


def _prefetch(builder: Any, address: Any) -> None:
    pointer: Any = ir.PointerType(ir.IntType(8))
    kind = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
    function: Any = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    line = builder.inttoptr(builder.add(address, number(AHEAD)), pointer)
    builder.call(function, [line, *(ir.Constant(I32, flag) for flag in PREFETCH)])


_SUMS: Any = ir.VectorType(I32, WIDTH)
_FLOATS: Any = ir.VectorType(F32, WIDTH)
_BYTES: Any = ir.VectorType(ir.IntType(8), 2 * WIDTH)
_SHORTS: Any = ir.VectorType(ir.IntType(16), 2 * WIDTH)
_PART = WIDTH * FLOAT
"""Bytes of a register."""


def _column(builder: Any, address: Any, part: int) -> Any:
    """A group's weights of the outputs of one register."""
    if HAS_VNNI:
        return load(builder, address, _SUMS)
    return builder.sext(load(builder, address, _BYTES, part * 2 * WIDTH), _SHORTS)


def _spread(builder: Any, address: Any) -> Any:
    """A group's activations of one row, for each output."""
    word = load(builder, address, I32)
    first = builder.insert_element(ir.Constant(_SUMS, ir.Undefined), word, ir.Constant(I32, 0))
    zeros = ir.Constant(_SUMS, [0] * WIDTH)
    return builder.shuffle_vector(first, ir.Constant(_SUMS, ir.Undefined), zeros)


def _added(builder: Any, total: Any, spread: Any, column: Any) -> Any:
    """Sums with a group's products."""
    if HAS_VNNI:
        return call_intrinsic(builder, "llvm.x86.avx512.vpdpbusd.512", _SUMS, total, spread, column)
    pairs = builder.bitcast(spread, _SHORTS)
    return builder.add(total, call_intrinsic(builder, "llvm.x86.avx2.pmadd.wd", _SUMS, pairs, column))


def make_tile(rows: int, blocks: int, *, ahead: bool) -> Any:
    """Of some rows and some blocks; `ahead`: ask for weights beforehand, of one block."""
    parts = [(block, part) for block in range(blocks) for part in range(PARTS)]

    @intrinsic
    def tile(
        typing: Any,
        weights: Any,
        activations: Any,
        inputs: Any,
        starts: Any,
        scales: Any,
        out: Any,
        out_stride: Any,
    ) -> Any:
        """out float32, rows `out_stride` bytes apart; `weights` of the first block; `inputs` is a whole number of
        `INPUTS * UNROLLED`."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, activations, inputs, starts, scales, out, out_stride = arguments
            block_bytes = builder.mul(inputs, number(OUTPUTS))
            blocks_at = [weights]
            rows_at = [activations]
            for _ in range(1, blocks):
                blocks_at.append(builder.add(blocks_at[-1], block_bytes))
            for _ in range(1, rows):
                rows_at.append(builder.add(rows_at[-1], builder.mul(inputs, number(ACTIVATION))))

            def add_group(group: Any, sums: list[Any]) -> list[Any]:
                line = builder.mul(group, number(GROUP))
                word = builder.mul(group, number(INPUTS * ACTIVATION))
                columns = [_column(builder, builder.add(blocks_at[b], line), part) for b, part in parts]
                results: list[Any] = []
                for row, at in enumerate(rows_at):
                    spread = _spread(builder, builder.add(at, word))
                    results.extend(
                        _added(builder, total, spread, column)
                        for total, column in zip(sums[row * len(parts) :], columns, strict=False)
                    )
                return results

            def body(index: Any, sums: list[Any]) -> list[Any]:
                first = builder.mul(index, number(UNROLLED))
                if ahead:
                    _prefetch(builder, builder.add(weights, builder.mul(first, number(GROUP))))
                for one in range(UNROLLED):
                    sums = add_group(builder.add(first, number(one)), sums)
                return sums

            begin = [load(builder, starts, _SUMS, (b * PARTS + part) * _PART) for b, part in parts]
            rounds = builder.udiv(inputs, number(INPUTS * UNROLLED))
            sums = loop(builder, rounds, begin * rows, body)
            factors = [load(builder, scales, _FLOATS, (b * PARTS + part) * _PART) for b, part in parts]
            for at, total in enumerate(sums):
                product = builder.fmul(builder.sitofp(total, _FLOATS), factors[at % len(parts)])
                row = builder.add(out, builder.mul(out_stride, number(at // len(parts))))
                store(builder, product, row, at % len(parts) * _PART)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), emit

    return tile


@intrinsic
def widen(typing: Any, source: Any, target: Any, steps: Any) -> Any:
    """steps x `WIDENED` numbers of 8 bits as ones of 16."""
    narrow, wide = ir.VectorType(ir.IntType(8), WIDENED), ir.VectorType(ir.IntType(16), WIDENED)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target, count = arguments

        def body(index: Any, carried: list[Any]) -> list[Any]:
            word = load(builder, builder.add(source, builder.mul(index, number(WIDENED))), narrow)
            store(
                builder,
                builder.zext(word, wide),
                builder.add(target, builder.mul(index, number(2 * WIDENED))),
            )
            return []

        loop(builder, count, [], body)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit
