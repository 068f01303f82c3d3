"""Small fused kernels between the linear layers: norm, rotary positions, gate and quantization in one pass each.

PyTorch runs these as chains of tiny operations, each of which reads and writes all of its rows; here every row is
read once. Numba compiles them at the first start (SGLang depends on it, so no compiler is needed) and keeps them in
the user's cache. All work on float32 rows that a linear layer left with one factor per row still to be applied.

Shapes: [rows, width], C-contiguous. Integer activations are uint8 with zero point 128: a = scale * (q - 128).
`begin` and `end` bound the rows of one call, so that several threads can share the work (the kernels release the GIL).
bfloat16 is passed as its bits in uint16.
"""

# numba reads this source with rules of its own: calls are inlined by its decorator, scalars need their exact types
# pyright: basic, reportArgumentType=false, reportCallIssue=false

from __future__ import annotations

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

ZERO_POINT = 128
LEVELS = np.float32(127.0)
"""Steps on each side of zero: symmetric, so that one zero point serves every row."""
SMALLEST = np.float32(1e-12)
"""Keeps a row of zeros from dividing by zero."""

# Only what changes no number that counts: with leave to add in another order, or to multiply by a reciprocal, the
# same source gave other sums when it came out of the cache than when it had just been compiled.
FAST = {"nsz", "nnan"}

LANES = 16
"""Partial sums: as many as a vector has, so that adding in this order is vector code."""

kernel = numba.njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
"""Division must not look for zeros, as Python's does: a loop that may raise is no vector code."""

LOG2_E = np.float32(1.44269504)
LN2_HIGH = np.float32(0.693359375)
LN2_LOW = np.float32(-2.12194440e-4)
EXP_MIN = np.float32(-87.0)
EXP_MAX = np.float32(88.0)


@intrinsic
def float_of_bits(_context, bits):
    """The float32 whose bits are this int32."""

    def generate(_target, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.FloatType())

    return types.float32(types.int32), generate


@intrinsic
def bits_of_float(_context, value):
    """The bits of a float32 as int32."""

    def generate(_target, builder, _signature, arguments):
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.int32(types.float32), generate


def of_two(name: str):
    """LLVM's operation on two float32. Python's own max and min branch on NaN, and then no loop becomes vector code."""

    @intrinsic
    def operation(_context, left, right):
        def generate(_target, builder, _signature, arguments):
            kind = ir.FunctionType(ir.FloatType(), [ir.FloatType()] * 2)
            function = builder.module.declare_intrinsic(name, [ir.FloatType()], kind)
            return builder.call(function, arguments, fastmath=("fast",))

        return types.float32(types.float32, types.float32), generate

    return operation


larger = of_two("llvm.maxnum")
smaller = of_two("llvm.minnum")


@numba.njit(inline="always")
def exp(x):
    """e**x in float32 without a call into a library, so that loops over it become vector code.

    Range reduction by powers of two and the polynomial of Cephes' `expf` (relative error below 1e-6).
    """
    x = smaller(larger(x, EXP_MIN), EXP_MAX)
    power = np.rint(x * LOG2_E)
    rest = (x - power * LN2_HIGH) - power * LN2_LOW
    series = np.float32(1.9875691500e-4)
    series = series * rest + np.float32(1.3981999507e-3)
    series = series * rest + np.float32(8.3334519073e-3)
    series = series * rest + np.float32(4.1665795894e-2)
    series = series * rest + np.float32(1.6666665459e-1)
    series = series * rest + np.float32(5.0000001201e-1)
    series = series * rest * rest + rest + np.float32(1.0)
    return series * float_of_bits((np.int32(power) + np.int32(127)) << np.int32(23))


@numba.njit(inline="always")
def mean_of_squares(row, begin, width, lanes):
    """Of `width` numbers from `begin` on; `lanes` is scratch for LANES partial sums, always added in the same order."""
    for lane in range(LANES):
        lanes[lane] = np.float32(0.0)
    whole = width - width % LANES
    for first in range(begin, begin + whole, LANES):
        for lane in range(LANES):
            lanes[lane] += row[first + lane] * row[first + lane]
    squares = np.float32(0.0)
    for lane in range(LANES):
        squares += lanes[lane]
    for i in range(begin + whole, begin + width):
        squares += row[i] * row[i]
    return squares / np.float32(width)


@numba.njit(inline="always")
def to_bfloat16(x):
    """The bits of x rounded to the nearest bfloat16, ties to even."""
    bits = np.uint32(bits_of_float(x))
    return np.uint16((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16))


@numba.njit(inline="always")
def from_bfloat16(bits):
    return float_of_bits(np.int32(np.uint32(bits) << np.uint32(16)))


@numba.njit(inline="always")
def _quantize(row, largest, out, scales, m):
    factor = LEVELS / larger(largest, SMALLEST)
    scales[m] = largest / LEVELS
    for i in range(row.shape[0]):
        out[i] = np.uint8(np.int32(np.rint(row[i] * factor)) + np.int32(ZERO_POINT))


@kernel
def norm_quantize(residual, weight, epsilon, out, scales, begin, end):
    """RMS norm of `residual` rows times `weight`, quantized into `out` and `scales`."""
    width = residual.shape[1]
    normed, lanes = np.empty(width, np.float32), np.empty(LANES, np.float32)
    for m in range(begin, end):
        row = residual[m]
        inverse = np.float32(1.0) / np.sqrt(mean_of_squares(row, 0, width, lanes) + epsilon)
        largest = np.float32(0.0)
        for i in range(width):
            value = row[i] * inverse * weight[i]
            normed[i] = value
            largest = larger(largest, abs(value))
        _quantize(normed, largest, out[m], scales, m)


@kernel
def add_norm_quantize(residual, delta, factors, weight, epsilon, out, scales, begin, end):
    """Add `delta` times its row factor to `residual` in place, then as `norm_quantize`."""
    width = residual.shape[1]
    for m in range(begin, end):
        row, change, factor = residual[m], delta[m], factors[m]
        for i in range(width):
            row[i] += change[i] * factor
    norm_quantize(residual, weight, epsilon, out, scales, begin, end)


@kernel
def add_norm(residual, delta, factors, weight, epsilon, out, begin, end):
    """The last norm: as `add_norm_quantize`, with bfloat16 into `out`."""
    width = residual.shape[1]
    lanes = np.empty(LANES, np.float32)
    for m in range(begin, end):
        row, change, factor = residual[m], delta[m], factors[m]
        for i in range(width):
            row[i] += change[i] * factor
        inverse = np.float32(1.0) / np.sqrt(mean_of_squares(row, 0, width, lanes) + epsilon)
        for i in range(width):
            out[m, i] = to_bfloat16(row[i] * inverse * weight[i])


@kernel
def gate_quantize(gate_up, factors, out, scales, begin, end):
    """silu(gate) * up of rows [gate | up], quantized."""
    width = gate_up.shape[1] // 2
    gated = np.empty(width, np.float32)
    for m in range(begin, end):
        row, factor = gate_up[m], factors[m]
        largest = np.float32(0.0)
        for i in range(width):
            gate = row[i] * factor
            value = gate / (np.float32(1.0) + exp(-gate)) * (row[i + width] * factor)
            gated[i] = value
            largest = larger(largest, abs(value))
        _quantize(gated, largest, out[m], scales, m)


@kernel
def quantize(rows, out, scales, begin, end):
    """bfloat16 rows, quantized."""
    width = rows.shape[1]
    wide = np.empty(width, np.float32)
    for m in range(begin, end):
        largest = np.float32(0.0)
        for i in range(width):
            value = from_bfloat16(rows[m, i])
            wide[i] = value
            largest = larger(largest, abs(value))
        _quantize(wide, largest, out[m], scales, m)


@kernel
def rotate(
    qkv,
    factors,
    bias,
    head_norms,
    epsilon,
    cos_sin,
    positions,
    out,
    heads,
    begin,
    end,
):
    """Rows [q | k | v] of a linear layer, scaled, biased and, for q and k, turned to their positions: bfloat16 `out`.

    `heads` is (query heads, KV heads); `bias` has the row's width or 0 elements; `head_norms` is [2, dim] (the
    weights of Qwen3's norms of q and k heads) or [0, dim]; `cos_sin` is [positions, dim]: cosines, then sines, each
    for half a head (SGLang's `cos_sin_cache`, halves rotated as GPT-NeoX does).
    """
    query_heads, kv_heads = heads
    dim = cos_sin.shape[1]
    half = dim // 2
    width = qkv.shape[1]
    wide, lanes = np.empty(width, np.float32), np.empty(LANES, np.float32)
    for m in range(begin, end):
        row, factor = qkv[m], factors[m]
        if bias.shape[0] > 0:
            for i in range(width):
                wide[i] = row[i] * factor + bias[i]
        else:
            for i in range(width):
                wide[i] = row[i] * factor
        turn = cos_sin[positions[m]]
        turned = out[m]
        for head in range(query_heads + kv_heads):
            at = head * dim
            if head_norms.shape[0] > 0:
                weight = head_norms[0 if head < query_heads else 1]
                inverse = np.float32(1.0) / np.sqrt(mean_of_squares(wide, at, dim, lanes) + epsilon)
                for i in range(dim):
                    wide[at + i] *= inverse * weight[i]
            for i in range(half):
                left, right = wide[at + i], wide[at + half + i]
                turned[at + i] = to_bfloat16(left * turn[i] - right * turn[half + i])
                turned[at + half + i] = to_bfloat16(right * turn[i] + left * turn[half + i])
        for i in range((query_heads + kv_heads) * dim, width):
            turned[i] = to_bfloat16(wide[i])
