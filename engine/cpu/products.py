"""Products of a few rows of 8-bit activations with 8-bit weights, written as LLVM's own vector code through numba.

Few rows are limited by reading the weights, which these kernels do at the speed of memory (one thread 53 GB/s and
two 96, where oneDNN's reached 39 and 53: benchmarks/LOG.md).

Weights lie as uint8 [blocks, groups, 64], each 128 more than what is meant: a block is 16 outputs and a group 4
inputs, so that one VNNI instruction (VPDPBUSD) adds four products to each of 16 outputs. Activations are int8
[rows, width]; with the sum of a row known, what the 128 added is taken off again.
"""

# numba reads this source with rules of its own: calls are inlined by its decorator, scalars need their exact types
# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic

from engine.cpu.kernels import kernel

OUTPUTS = 16
"""Of a block: lanes of a vector of 32 bits."""
INPUTS = 4
"""Of a group."""
BYTES = OUTPUTS * INPUTS
CHAINS = 2
"""Sums that are added up side by side, for each instruction waits for the one before it in its sum."""
ADDED = 128
"""To each weight, for the instruction takes one side without sign."""

_I64, _I32 = ir.IntType(64), ir.IntType(32)
_INTS = ir.VectorType(_I32, OUTPUTS)


def has_products() -> bool:
    """Whether the processor that numba compiles for has the instruction."""
    config: Any = numba_config
    if config.CPU_NAME:  # told by NUMBA_CPU_NAME
        return "+avx512vnni" in str(config.CPU_FEATURES).split(",")
    return bool(llvm.get_host_cpu_features().get("avx512vnni"))


def fits(width: int) -> bool:
    """Whether rows of this width can be multiplied here."""
    return width % (INPUTS * CHAINS) == 0 and has_products()


def packed(quantized):
    """uint8 [blocks, groups, 64] of int8 weights [outputs, inputs]; outputs are filled up to whole blocks."""
    outputs, inputs = quantized.shape
    unsigned = np.pad(quantized.view(np.uint8) ^ np.uint8(ADDED), ((0, -outputs % OUTPUTS), (0, 0)))
    parts = unsigned.reshape(-1, OUTPUTS, inputs // INPUTS, INPUTS)
    return np.ascontiguousarray(parts.transpose(0, 2, 1, 3)).reshape(len(parts), inputs // INPUTS, BYTES)


def _load(builder, address, kind):
    return builder.load(builder.inttoptr(address, ir.PointerType(kind)), align=1)


def _in_all_lanes(builder, value):
    nothing = ir.Constant(_INTS, ir.Undefined)
    first = builder.insert_element(nothing, value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(first, nothing, ir.Constant(_INTS, [0] * OUTPUTS))


@intrinsic
def _dots(_context, weights, inputs, pairs, out):
    """out[0:16] int32 = one block's weights times one row of inputs, `pairs` of groups wide; addresses as integers."""

    def generate(context, builder, _signature, arguments):
        weights, inputs, pairs, out = arguments
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_INTS, [_INTS] * 3), "llvm.x86.avx512.vpdpbusd.512"
        )
        entry = builder.block
        body, done = builder.append_basic_block("groups"), builder.append_basic_block("done")
        builder.branch(body)
        builder.position_at_end(body)
        pair = builder.phi(_I64)
        totals = [builder.phi(_INTS) for _ in range(CHAINS)]
        sums = []
        for chain, total in enumerate(totals):
            group = builder.add(builder.mul(pair, ir.Constant(_I64, CHAINS)), ir.Constant(_I64, chain))
            some = _load(builder, builder.add(weights, builder.mul(group, ir.Constant(_I64, BYTES))), _INTS)
            four = _load(builder, builder.add(inputs, builder.mul(group, ir.Constant(_I64, INPUTS))), _I32)
            sums.append(builder.call(function, [total, some, _in_all_lanes(builder, four)]))
        following = builder.add(pair, ir.Constant(_I64, 1))
        pair.add_incoming(ir.Constant(_I64, 0), entry)
        pair.add_incoming(following, body)
        for total, sum_ in zip(totals, sums, strict=True):
            total.add_incoming(ir.Constant(_INTS, [0] * OUTPUTS), entry)
            total.add_incoming(sum_, body)
        builder.cbranch(builder.icmp_signed("<", following, pairs), body, done)
        builder.position_at_end(done)
        whole = builder.add(*sums)
        builder.store(whole, builder.inttoptr(out, ir.PointerType(_INTS)), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), generate


@kernel
def block_products(weights, block, inputs, row, out):
    """out[0:16] int32 of one block and one row of inputs, not yet without what was added to the weights."""
    groups = weights.shape[1]
    at = weights.ctypes.data + block * groups * BYTES
    _dots(at, inputs.ctypes.data + row * inputs.shape[1], groups // CHAINS, out.ctypes.data)


@kernel
def row_sums(inputs, out):
    for row in range(inputs.shape[0]):
        total = np.int32(0)
        for value in inputs[row]:
            total += np.int32(value)
        out[row] = total


@kernel
def multiply(weights, inputs, sums, factors, scales, out, begin, end):
    """out [rows, outputs] float32 of blocks [begin, end): the products, times their output's scale and their row's
    factor."""
    outputs, products = out.shape[1], np.empty(OUTPUTS, np.int32)
    for block in range(begin, end):
        first = block * OUTPUTS
        for row in range(inputs.shape[0]):  # the block is read from memory for the first row only
            block_products(weights, block, inputs, row, products)
            added, factor = np.int32(ADDED) * sums[row], factors[row]
            for lane in range(min(OUTPUTS, outputs - first)):
                out[row, first + lane] = np.float32(products[lane] - added) * scales[first + lane] * factor


@kernel
def choose(weights, inputs, sums, scales, best, chosen, begin, end):
    """Of blocks [begin, end) the output with the largest product for each row, the first of equals, into `chosen`, and
    that product times its scale into `best`."""
    outputs, products = scales.shape[0], np.empty(OUTPUTS, np.int32)
    best[:] = np.float32(-np.inf)
    for block in range(begin, end):
        first = block * OUTPUTS
        for row in range(inputs.shape[0]):
            block_products(weights, block, inputs, row, products)
            added = np.int32(ADDED) * sums[row]
            largest = best[row]
            for lane in range(min(OUTPUTS, outputs - first)):
                value = np.float32(products[lane] - added) * scales[first + lane]
                if value > largest:
                    largest = value
                    chosen[row] = first + lane
            best[row] = largest
