"""Products of a tile of 8-bit activations and weights, whose sums stay in registers, as LLVM's own vector code.

One VNNI instruction (VPDPBUSD) adds four products to each of 16 sums. How weights and activations lie is said in
`engine.cpu.products`.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.cpu.compiled.vectors import (
    FLOATS,
    I32,
    INTS,
    LANES,
    LINE,
    call_intrinsic,
    in_all_lanes,
    intrinsic,
    load,
    loop,
    number,
    store,
)

OUTPUTS = LANES
"""Of a block."""
INPUTS = 4
"""Of a group."""
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


def make_tile(rows: int, blocks: int, *, ahead: bool) -> Any:
    """Of some rows and some blocks; `ahead`: ask for weights beforehand, of one block."""

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
        """out float32, rows `out_stride` bytes apart; `weights` of the first block; `inputs` = bytes of a row."""

        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            weights, activations, inputs, starts, scales, out, out_stride = arguments
            block_bytes = builder.mul(inputs, number(OUTPUTS))
            blocks_at = [weights]
            rows_at = [activations]
            for _ in range(1, blocks):
                blocks_at.append(builder.add(blocks_at[-1], block_bytes))
            for _ in range(1, rows):
                rows_at.append(builder.add(rows_at[-1], inputs))

            def body(group: Any, sums: list[Any]) -> list[Any]:
                line, four = builder.mul(group, number(LINE)), builder.mul(group, number(INPUTS))
                columns = [load(builder, builder.add(at, line), INTS) for at in blocks_at]
                if ahead:
                    _prefetch(builder, builder.add(weights, line))
                results: list[Any] = []
                for row, at in enumerate(rows_at):
                    spread = in_all_lanes(builder, load(builder, builder.add(at, four), I32))
                    results.extend(
                        call_intrinsic(builder, "llvm.x86.avx512.vpdpbusd.512", INTS, total, spread, column)
                        for total, column in zip(sums[row * blocks :], columns, strict=False)
                    )
                return results

            begin = [load(builder, starts, INTS, block * LINE) for block in range(blocks)]
            groups = builder.udiv(inputs, number(INPUTS))
            sums = loop(builder, groups, begin * rows, body)
            factors = [load(builder, scales, FLOATS, block * LINE) for block in range(blocks)]
            for at, total in enumerate(sums):
                product = builder.fmul(builder.sitofp(total, FLOATS), factors[at % blocks])
                row = builder.add(out, builder.mul(out_stride, number(at // blocks)))
                store(builder, product, row, at % blocks * LINE)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 7), emit

    return tile
