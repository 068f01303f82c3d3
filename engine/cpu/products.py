"""Products of 8-bit activations with 8-bit weights by AVX-512 VNNI or AVX2, for few rows and for many.

Weights lie as int8 [blocks, groups, 16, inputs of a group]: a block is 16 outputs, a group 4 inputs, with AVX2 2.
Activations are uint8 [rows, inputs] with zero point 128; what that adds to each output is known beforehand, and where
its sum begins. Sums are of integers, so a row's result does not depend on the rows beside it.

Few rows are limited by reading the weights, which one thread does here at 53 GB/s and two at 97, for one row as for
eight; many by arithmetic, of which one thread does 1,200 to 1,260 thousand millions a second (oneDNN's kernels: 37 and
49 GB/s, and 1,180 to 1,240; benchmarks/LOG.md). With AVX2 one thread does 145 and two 240, all exact, where
PyTorch's bfloat16 does 19 and its float32 120.
"""

from __future__ import annotations

import numpy as np

from engine.cpu.compiled.atomics import WORD
from engine.cpu.compiled.compiling import TASK_SIGNATURE, c_function, checksum, compiled
from engine.cpu.compiled.kernels import ZERO_POINT
from engine.cpu.compiled.memory import field, load_float, store_float, store_word
from engine.cpu.compiled.product_tiles import (
    ACTIVATION,
    HAS_AVX2,
    HAS_VNNI,
    INPUTS,
    OUTPUTS,
    WIDENED,
    make_tile,
    widen,
)
from engine.cpu.compiled.team import Array, aligned, operation
from engine.cpu.compiled.vectors import FLOAT, LINE

HAS_PRODUCTS = HAS_VNNI or HAS_AVX2
FEW = 8 if HAS_VNNI else 6
"""Rows up to which weights are read once, block by block, however many rows there are: as many as have room in the
registers, or fewer where arithmetic already takes longer than reading."""
TILE_ROWS, TILE_BLOCKS = (6, 4) if HAS_VNNI else (6, 1)
"""Of many rows: 24 sums, 4 vectors of weights and one of activations fill 29 of 32 registers; 12, 2 and one fill 15
of 16."""
PRODUCT_PS, FREE_ROWS = (1.6, 12) if HAS_VNNI else (14.0, 2)
"""Picoseconds of one multiplication and addition where there are many rows; to read a weight takes as long as
`FREE_ROWS` of them."""

LEAST_ROWS = 8 * TILE_ROWS
"""Rows are only split among threads where blocks alone are too few; weights are read again for each part."""

# words of a product's context, and two more where outputs are chosen from
WEIGHTS, STARTS, SCALES, ACTIVATIONS, OUT, WIDTH, RESULTS, FACTORS, BEST, CHOSEN = range(10)
"""Addresses of weights, of where sums begin, of scales, activations and output; inputs and outputs of the layer;
and for choices factors of the rows; for each thread the best product of each row, and which output's it is."""
CONTEXT_WORDS = 10
MOST_CHOICES = 64
"""Rows that outputs can be chosen for at once: the memory for them is made beforehand, and nothing checks its end."""


def fits(inputs: int) -> bool:
    """Whether rows of this width can be multiplied here."""
    return HAS_PRODUCTS and inputs % WIDENED == 0


def packed(quantized: Array) -> tuple[Array, Array]:
    """Weights as the kernels read them, and where the sums of their outputs begin, of int8 [outputs, inputs]; outputs
    are filled up to whole blocks."""
    outputs, inputs = quantized.shape
    filled = np.pad(quantized, ((0, -outputs % OUTPUTS), (0, 0)))
    blocks = len(filled) // OUTPUTS
    weights = aligned(filled.size).view(np.int8).reshape(blocks, inputs // INPUTS, OUTPUTS * INPUTS)
    parts = filled.reshape(blocks, OUTPUTS, inputs // INPUTS, INPUTS)
    weights.reshape(blocks, inputs // INPUTS, OUTPUTS, INPUTS)[:] = parts.transpose(0, 2, 1, 3)
    return weights, -ZERO_POINT * filled.sum(axis=1, dtype=np.int32)


_1, _2, _3, _4, _5, _6, _7, _8 = (make_tile(min(rows, FEW), 1, ahead=True) for rows in range(1, 9))
_wide = make_tile(TILE_ROWS, TILE_BLOCKS, ahead=False)


@compiled
def _few(
    rows: int, weights: int, rows_at: int, inputs: int, starts: int, scales: int, out: int, stride: int
) -> None:
    """One block for up to `FEW` rows."""
    if rows == 1:
        _1(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 2:
        _2(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 3:
        _3(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 4:
        _4(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 5:
        _5(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 6:
        _6(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 7:
        _7(weights, rows_at, inputs, starts, scales, out, stride)
    elif rows == 8:
        _8(weights, rows_at, inputs, starts, scales, out, stride)


@compiled
def _read(context: int, row: int, end_row: int, wide: int) -> int:
    """Address of these rows' activations as tiles read them; `wide` has room for them where they are widened."""
    inputs = field(context, WIDTH)
    narrow = field(context, ACTIVATIONS) + row * inputs
    if ACTIVATION == 1:
        return narrow
    widen(narrow, wide, (end_row - row) * inputs // WIDENED)
    return wide


@compiled
def _block(context: int, activations: int, count: int, block: int, out: int, stride: int) -> None:
    """One block of `count` rows into `out`."""
    inputs = field(context, WIDTH)
    weights = field(context, WEIGHTS) + block * inputs * OUTPUTS
    starts, scales = field(context, STARTS) + block * LINE, field(context, SCALES) + block * LINE
    for first in range(0, count, FEW):
        _few(
            min(FEW, count - first),
            weights,
            activations + first * inputs * ACTIVATION,
            inputs,
            starts,
            scales,
            out + first * stride,
            stride,
        )


@compiled
def _panel(context: int, activations: int, count: int, block: int, out: int) -> None:
    """`TILE_BLOCKS` whole blocks of many rows; `out` is the first row's first output."""
    inputs, stride = field(context, WIDTH), field(context, RESULTS) * FLOAT
    weights = field(context, WEIGHTS) + block * inputs * OUTPUTS
    starts, scales = field(context, STARTS) + block * LINE, field(context, SCALES) + block * LINE
    width = inputs * ACTIVATION
    tiled = count // TILE_ROWS * TILE_ROWS
    for first in range(0, tiled, TILE_ROWS):
        at = out + first * stride + block * LINE
        _wide(weights, activations + first * width, inputs, starts, scales, at, stride)
    if tiled < count:
        rest, at = activations + tiled * width, out + tiled * stride
        for one in range(block, block + TILE_BLOCKS):
            _block(context, rest, count - tiled, one, at + one * LINE, stride)


def _made(sources: int) -> tuple[int, int]:
    def multiply(context: int, thread: int, row: int, end_row: int, block: int, end_block: int) -> None:
        if sources < 0:  # never; the constant has to be used
            return
        results, count = field(context, RESULTS), end_row - row
        stride = results * FLOAT
        out = field(context, OUT) + row * stride
        wide = np.empty(count * field(context, WIDTH) * (ACTIVATION - 1) + 1, np.uint16)
        activations = _read(context, row, end_row, wide.ctypes.data)
        whole = min(end_block, results // OUTPUTS)
        at = block
        if count > FEW:
            while at + TILE_BLOCKS <= whole:
                _panel(context, activations, count, at, out)
                at += TILE_BLOCKS
        while at < whole:
            _block(context, activations, count, at, out + at * LINE, stride)
            at += 1
        if at < end_block:  # the last block's lanes that are no outputs have no room
            some = np.empty((count, OUTPUTS), np.float32)
            _block(context, activations, count, at, some.ctypes.data, LINE)
            for one in range(count):
                for lane in range(results - at * OUTPUTS):
                    store_float(out + one * stride + at * LINE + lane * FLOAT, some[one, lane])
        wide[0] = 0  # and is kept until here

    def choose(context: int, thread: int, row: int, end_row: int, block: int, end_block: int) -> None:
        if sources < 0:
            return
        results, factors, count = field(context, RESULTS), field(context, FACTORS), end_row - row
        best = field(context, BEST) + thread * MOST_CHOICES * FLOAT
        chosen = field(context, CHOSEN) + thread * MOST_CHOICES * WORD
        wide = np.empty(count * field(context, WIDTH) * (ACTIVATION - 1) + 1, np.uint16)
        activations = _read(context, row, end_row, wide.ctypes.data)
        some = np.empty((count, OUTPUTS), np.float32)
        for at in range(block, end_block):
            _block(context, activations, count, at, some.ctypes.data, LINE)
            for one in range(row, end_row):
                factor, highest = load_float(factors + one * FLOAT), load_float(best + one * FLOAT)
                for lane in range(min(OUTPUTS, results - at * OUTPUTS)):
                    value = some[one - row, lane] * factor
                    if value > highest:  # the first of equals, for a thread's blocks rise
                        highest = value
                        store_word(chosen + one * WORD, at * OUTPUTS + lane)
                store_float(best + one * FLOAT, highest)
        wide[0] = 0  # and is kept until here

    return c_function(TASK_SIGNATURE, multiply), c_function(TASK_SIGNATURE, choose)


MULTIPLY, CHOOSE = (
    _made(checksum("atomics", "compiling", "memory", "product_tiles", "vectors")) if HAS_PRODUCTS else (0, 0)
)
"""Addresses of tasks over rows and blocks: products into `OUT`; the best products times `FACTORS` into `BEST` and
`CHOSEN`, of `MOST_CHOICES` rows at most."""


def product(function: int, context: Array) -> list[int]:
    """The operation of this context, for `Team.run`."""
    inputs = int(context[WIDTH])
    return operation(
        function,
        context,
        -(-int(context[RESULTS]) // OUTPUTS),
        cost_ps=int(PRODUCT_PS * OUTPUTS * inputs),
        least_units=TILE_BLOCKS,
        least_rows=LEAST_ROWS,
        free_rows=FREE_ROWS,
    )
