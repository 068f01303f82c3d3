"""The tasks of a forward pass beside its products, compiled by numba: `engine.cpu.compiled.kernels` over addresses.

Each is a C function over rows, `void (context, thread, row, end row, unit, end unit)`, as a team gives them out
(`engine.cpu.compiled.team_kernels`).
"""

from __future__ import annotations

import numba
import numpy as np

from engine.cpu.compiled import kernels
from engine.cpu.compiled.atomics import WORD
from engine.cpu.compiled.compiling import TASK_SIGNATURE, c_function, checksum
from engine.cpu.compiled.memory import (
    bytes_at,
    copy_row,
    field,
    floats_at,
    load_float64,
    shorts_at,
    words_at,
)
from engine.cpu.compiled.vectors import LANES

HALF = 2
"""Bytes of a bf16."""

# words of contexts; what is called the same lies at the same place
WIDTH, EPSILON, FACTORS, VALUES, SCALES, RESIDUAL, DELTA, WEIGHT, OUT = range(9)
"""Of norms, quantization and gates. Width of a row that goes out; epsilon as float64; each row's factor that `DELTA`
still lacks; quantized values and their scales; `DELTA` is what comes in, 0 where there is nothing to add; `OUT` is
bf16."""
(
    BIAS,
    NORMS,
    TURNS,
    TURN_ROWS,
    POSITIONS,
    QUERY_HEADS,
    KV_HEADS,
    DIM,
    SLOTS,
    POOL_KEYS,
    POOL_VALUES,
    SLOT_STRIDE,
) = range(9, 21)
"""Of the turning to positions, and the writing of K and V: `BIAS` and `NORMS` are 0 where the model has none; the table
of cosines and sines and its length; each row's position and slot; this layer's pool, bytes from slot to slot."""
CONTEXT_WORDS = 21


def _made(sources: int) -> tuple[int, ...]:
    def norm(context: int, thread: int, row: int, end_row: int, unit: int, end_unit: int) -> None:
        if sources < 0:  # never; the constant has to be used
            return
        width = field(context, WIDTH)
        epsilon = np.float32(load_float64(context + EPSILON * WORD))
        residual = numba.carray(floats_at(field(context, RESIDUAL)), (end_row, width))
        weight = numba.carray(floats_at(field(context, WEIGHT)), (width,))
        values = numba.carray(bytes_at(field(context, VALUES)), (end_row, width))
        scales = numba.carray(floats_at(field(context, SCALES)), (end_row,))
        if field(context, DELTA) == 0:
            kernels.norm_quantize(residual, weight, epsilon, values, scales, row, end_row)
            return
        delta = numba.carray(floats_at(field(context, DELTA)), (end_row, width))
        factors = numba.carray(floats_at(field(context, FACTORS)), (end_row,))
        kernels.add_norm_quantize(residual, delta, factors, weight, epsilon, values, scales, row, end_row)

    def last_norm(context: int, thread: int, row: int, end_row: int, unit: int, end_unit: int) -> None:
        if sources < 0:
            return
        width = field(context, WIDTH)
        kernels.add_norm(
            numba.carray(floats_at(field(context, RESIDUAL)), (end_row, width)),
            numba.carray(floats_at(field(context, DELTA)), (end_row, width)),
            numba.carray(floats_at(field(context, FACTORS)), (end_row,)),
            numba.carray(floats_at(field(context, WEIGHT)), (width,)),
            np.float32(load_float64(context + EPSILON * WORD)),
            numba.carray(shorts_at(field(context, OUT)), (end_row, width)),
            row,
            end_row,
        )

    def quantize(context: int, thread: int, row: int, end_row: int, unit: int, end_unit: int) -> None:
        if sources < 0:
            return
        width = field(context, WIDTH)
        kernels.quantize(
            numba.carray(shorts_at(field(context, DELTA)), (end_row, width)),
            numba.carray(bytes_at(field(context, VALUES)), (end_row, width)),
            numba.carray(floats_at(field(context, SCALES)), (end_row,)),
            row,
            end_row,
        )

    def gate(context: int, thread: int, row: int, end_row: int, unit: int, end_unit: int) -> None:
        if sources < 0:
            return
        width = field(context, WIDTH)
        kernels.gate_quantize(
            numba.carray(floats_at(field(context, DELTA)), (end_row, 2 * width)),
            numba.carray(floats_at(field(context, FACTORS)), (end_row,)),
            numba.carray(bytes_at(field(context, VALUES)), (end_row, width)),
            numba.carray(floats_at(field(context, SCALES)), (end_row,)),
            row,
            end_row,
        )

    def rotate(context: int, thread: int, row: int, end_row: int, unit: int, end_unit: int) -> None:
        if sources < 0:
            return
        width, dim = field(context, WIDTH), field(context, DIM)
        query_heads, kv_heads = field(context, QUERY_HEADS), field(context, KV_HEADS)
        bias, norms, out = field(context, BIAS), field(context, NORMS), field(context, OUT)
        kernels.rotate(
            numba.carray(floats_at(field(context, DELTA)), (end_row, width)),
            numba.carray(floats_at(field(context, FACTORS)), (end_row,)),
            numba.carray(floats_at(bias), (width if bias != 0 else 0,)),
            numba.carray(floats_at(norms), (2 if norms != 0 else 0, dim)),
            np.float32(load_float64(context + EPSILON * WORD)),
            numba.carray(floats_at(field(context, TURNS)), (field(context, TURN_ROWS), dim)),
            numba.carray(words_at(field(context, POSITIONS)), (end_row,)),
            numba.carray(shorts_at(out), (end_row, width)),
            (query_heads, kv_heads),
            row,
            end_row,
        )
        slots = numba.carray(words_at(field(context, SLOTS)), (end_row,))
        kv_width = kv_heads * dim
        for one in range(row, end_row):
            place = slots[one] * field(context, SLOT_STRIDE)
            key = out + (one * width + query_heads * dim) * HALF
            copy_row(key, field(context, POOL_KEYS) + place, kv_width // LANES)
            copy_row(key + kv_width * HALF, field(context, POOL_VALUES) + place, kv_width // LANES)

    return tuple(
        c_function(TASK_SIGNATURE, function) for function in (norm, last_norm, quantize, gate, rotate)
    )


NORM, LAST_NORM, QUANTIZE, GATE, ROTATE = _made(
    checksum("atomics", "compiling", "kernels", "memory", "vectors")
)
"""Addresses of tasks: RMS norm into 8 bits, after adding what a linear layer changes; the same into bf16; bf16 into 8
bits; silu(gate) * up into 8 bits; q, k and v turned to their positions, k and v into the pool."""
