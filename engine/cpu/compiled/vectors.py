"""Vector code for numba, as LLVM's own: loops, loads, bf16 dot products and powers of two in 16 lanes.

Addresses are integers. Where the CPU has no bf16 dot product, the same code widens by shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils
from numba.core import config as numba_config
from numba.extending import intrinsic as numba_intrinsic

LANES = 16
"""Of one vector: 512 bits of float32 or int32, which narrower CPUs split."""
FLOAT = 4
LINE = 64
"""Bytes: of a float32 or of two packed bf16; of a cache line."""

SMALLEST = -126.0
"""Exponents of two are clamped here, where float32 stops being normal."""

# 2**x on [-0.5, 0.5], off by 4e-6 at most (bf16 probabilities are off by 2e-3): Chebyshev, degree 4
EXP2 = (1.00000008, 0.69312103, 0.24022107, 0.05592204, 0.00967604)


def intrinsic(function: Callable[..., Any]) -> Any:
    """A function that numba code calls and whose code it writes itself."""
    return numba_intrinsic(function)


I64: Any = ir.IntType(64)
I32: Any = ir.IntType(32)
F32: Any = ir.FloatType()
FLOATS: Any = ir.VectorType(F32, LANES)
INTS: Any = ir.VectorType(I32, LANES)
SHORTS: Any = ir.VectorType(ir.IntType(16), LANES)


class BFloat(ir.Type):
    """LLVM's bfloat, which llvmlite does not name."""

    def _to_string(self) -> str:
        return "bfloat"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BFloat)

    def __hash__(self) -> int:
        return hash("bfloat")


def has_feature(name: str) -> bool:
    """Whether the CPU that numba compiles for has it, by LLVM's name."""
    config: Any = numba_config
    if config.CPU_NAME:  # told by NUMBA_CPU_NAME
        return f"+{name}" in str(config.CPU_FEATURES).split(",")
    return bool(llvm.get_host_cpu_features().get(name))


HAS_BF16_DOT = has_feature("avx512bf16")
HAS_WIDE_REGISTERS = has_feature("avx512f")
"""32 of them that hold a vector each; else it takes two of 16."""
BFLOATS: Any = ir.VectorType(BFloat(), 2 * LANES)


def number(value: int) -> Any:
    return ir.Constant(I64, value)


def in_all_lanes(builder: Any, value: Any) -> Any:
    """One scalar in each lane."""
    kind = ir.VectorType(value.type, LANES)
    first = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(I32, 0))
    zeros = ir.Constant(INTS, [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(kind, ir.Undefined), zeros)


def floats(value: float) -> Any:
    return ir.Constant(FLOATS, [ir.Constant(F32, value)] * LANES)


def ints(value: int) -> Any:
    return ir.Constant(INTS, [value] * LANES)


def load(builder: Any, address: Any, kind: Any, offset: int = 0) -> Any:
    at = builder.add(address, number(offset)) if offset else address
    return builder.load(builder.inttoptr(at, ir.PointerType(kind)), align=2 if kind == SHORTS else FLOAT)


def store(builder: Any, value: Any, address: Any, offset: int = 0) -> None:
    at = builder.add(address, number(offset)) if offset else address
    builder.store(value, builder.inttoptr(at, ir.PointerType(value.type)), align=FLOAT)


def call_intrinsic(builder: Any, name: str, kind: Any, *arguments: Any) -> Any:
    function: Any = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [argument.type for argument in arguments]), name
    )
    return builder.call(function, arguments)


def loop(
    builder: Any, count: Any, carried: list[Any], body: Callable[[Any, list[Any]], list[Any]]
) -> list[Any]:
    """`for index in range(count): carried = body(index, carried)`, at least once."""
    entry = builder.block
    head, leave = builder.append_basic_block("loop"), builder.append_basic_block("done")
    builder.branch(head)
    builder.position_at_end(head)
    index = builder.phi(I64)
    index.add_incoming(number(0), entry)
    phis: list[Any] = []
    for value in carried:
        phi = builder.phi(value.type)
        phi.add_incoming(value, entry)
        phis.append(phi)
    results = body(index, phis)
    following = builder.add(index, number(1))
    index.add_incoming(following, builder.block)
    for phi, result in zip(phis, results, strict=True):
        phi.add_incoming(result, builder.block)
    builder.cbranch(builder.icmp_signed("<", following, count), head, leave)
    builder.position_at_end(leave)
    return results


def dot(builder: Any, total: Any, left: Any, right: Any) -> Any:
    """Add to each lane the products of its two pairs of bf16."""
    if HAS_BF16_DOT:
        pairs = [builder.bitcast(value, BFLOATS) for value in (left, right)]
        return call_intrinsic(builder, "llvm.x86.avx512bf16.dpbf16ps.512", FLOATS, total, *pairs)
    low = [builder.bitcast(builder.shl(value, ints(16)), FLOATS) for value in (left, right)]
    high = [builder.bitcast(builder.and_(value, ints(-65536)), FLOATS) for value in (left, right)]
    return fma(builder, high[0], high[1], fma(builder, low[0], low[1], total))


def fma(builder: Any, left: Any, right: Any, added: Any) -> Any:
    return call_intrinsic(builder, "llvm.fma.v16f32", FLOATS, left, right, added)


def largest(builder: Any, left: Any, right: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", left, right), left, right)


def exp2(builder: Any, x: Any) -> Any:
    """2**x for x <= 0."""
    x = largest(builder, x, floats(SMALLEST))
    whole = call_intrinsic(builder, "llvm.nearbyint.v16f32", FLOATS, x)
    rest = builder.fsub(x, whole)
    result = floats(EXP2[-1])
    for coefficient in EXP2[-2::-1]:
        result = fma(builder, result, rest, floats(coefficient))
    power = builder.shl(builder.fptosi(whole, INTS), ints(23))
    return builder.bitcast(builder.add(builder.bitcast(result, INTS), power), FLOATS)


def packed(builder: Any, low: Any, high: Any) -> Any:
    """Two float32 vectors as one of bf16 pairs, rounded to nearest."""
    bits = [builder.add(builder.bitcast(one, INTS), ints(0x8000)) for one in (low, high)]
    return builder.or_(builder.lshr(bits[0], ints(16)), builder.and_(bits[1], ints(-65536)))
