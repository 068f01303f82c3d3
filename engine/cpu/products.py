"""Products of 8-bit activations with 8-bit weights by AVX-512 VNNI, for few rows and for many.

Weights lie as int8 [blocks, groups, 64]: a block is 16 outputs, a group 4 inputs. Activations are uint8 [rows, inputs]
with zero point 128; what that adds to each output is known beforehand, and where its sum begins. Sums are of integers,
so a row's result does not depend on the rows beside it.

Few rows are limited by reading the weights, which one thread does here at 53 GB/s and two at 97, for one row as for
eight; many by arithmetic, of which one thread does 1,200 to 1,260 thousand millions a second (oneDNN's kernels: 37 and
49 GB/s, and 1,180 to 1,240; benchmarks/LOG.md).
"""

from __future__ import annotations

import numpy as np

from engine.cpu.compiled.atomics import WORD
from engine.cpu.compiled.compiling import TASK_SIGNATURE, c_function, checksum, compiled
from engine.cpu.compiled.kernels import ZERO_POINT
from engine.cpu.compiled.memory import field, load_float, store_float, store_word
from engine.cpu.compiled.product_tiles import INPUTS, OUTPUTS, make_tile
from engine.cpu.compiled.team import Array, aligned, operation
from engine.cpu.compiled.vectors import FLOAT, LINE, has_feature

HAS_PRODUCTS = has_feature("avx512vnni")
FEW = 8
"""Rows up to which weights are read once, block by block, however many rows there are."""
TILE_ROWS, TILE_BLOCKS = 6, 4
"""Of many rows: 24 sums, 4 vectors of weights and one of activations fill 29 of 32 registers."""
PRODUCT_PS = 1.6
"""Picoseconds of one multiplication and addition where there are many rows; to read a weight takes as long as
`FREE_ROWS` of them."""
FREE_ROWS = 12

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
    return HAS_PRODUCTS and inputs % INPUTS == 0


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


_1, _2, _3, _4, _5, _6, _7, _8 = (make_tile(rows, 1, ahead=True) for rows in range(1, FEW + 1))
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
def _block(context: int, row: int, end_row: int, block: int, out: int, stride: int) -> None:
    """One block of all rows from `row` on into `out`."""
    inputs = field(context, WIDTH)
    weights = field(context, WEIGHTS) + block * inputs * OUTPUTS
    starts, scales = field(context, STARTS) + block * LINE, field(context, SCALES) + block * LINE
    activations = field(context, ACTIVATIONS)
    for first in range(row, end_row, FEW):
        rows = min(FEW, end_row - first)
        _few(
            rows,
            weights,
            activations + first * inputs,
            inputs,
            starts,
            scales,
            out + (first - row) * stride,
            stride,
        )


@compiled
def _panel(context: int, row: int, end_row: int, block: int) -> None:
    """`TILE_BLOCKS` whole blocks of many rows."""
    inputs, stride = field(context, WIDTH), field(context, RESULTS) * FLOAT
    weights = field(context, WEIGHTS) + block * inputs * OUTPUTS
    starts, scales = field(context, STARTS) + block * LINE, field(context, SCALES) + block * LINE
    activations, out = field(context, ACTIVATIONS), field(context, OUT) + block * LINE
    tiled = row + (end_row - row) // TILE_ROWS * TILE_ROWS
    for first in range(row, tiled, TILE_ROWS):
        _wide(weights, activations + first * inputs, inputs, starts, scales, out + first * stride, stride)
    if tiled < end_row:
        for one in range(block, block + TILE_BLOCKS):
            _block(context, tiled, end_row, one, field(context, OUT) + tiled * stride + one * LINE, stride)


def _made(sources: int) -> tuple[int, int]:
    def multiply(context: int, thread: int, row: int, end_row: int, block: int, end_block: int) -> None:
        if sources < 0:  # never; the constant has to be used
            return
        results, out = field(context, RESULTS), field(context, OUT)
        stride = results * FLOAT
        whole = min(end_block, results // OUTPUTS)
        at = block
        if end_row - row > FEW:
            while at + TILE_BLOCKS <= whole:
                _panel(context, row, end_row, at)
                at += TILE_BLOCKS
        while at < whole:
            _block(context, row, end_row, at, out + row * stride + at * LINE, stride)
            at += 1
        if at < end_block:  # the last block's lanes that are no outputs have no room
            some = np.empty((end_row - row, OUTPUTS), np.float32)
            _block(context, row, end_row, at, some.ctypes.data, LINE)
            for one in range(row, end_row):
                for lane in range(results - at * OUTPUTS):
                    store_float(out + one * stride + at * LINE + lane * FLOAT, some[one - row, lane])

    def choose(context: int, thread: int, row: int, end_row: int, block: int, end_block: int) -> None:
        if sources < 0:
            return
        results, factors = field(context, RESULTS), field(context, FACTORS)
        best = field(context, BEST) + thread * MOST_CHOICES * FLOAT
        chosen = field(context, CHOSEN) + thread * MOST_CHOICES * WORD
        some = np.empty((end_row - row, OUTPUTS), np.float32)
        for at in range(block, end_block):
            _block(context, row, end_row, at, some.ctypes.data, LINE)
            for one in range(row, end_row):
                factor, highest = load_float(factors + one * FLOAT), load_float(best + one * FLOAT)
                for lane in range(min(OUTPUTS, results - at * OUTPUTS)):
                    value = some[one - row, lane] * factor
                    if value > highest:  # the first of equals, for a thread's blocks rise
                        highest = value
                        store_word(chosen + one * WORD, at * OUTPUTS + lane)
                store_float(best + one * FLOAT, highest)

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
