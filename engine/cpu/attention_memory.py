"""Memory for numba code that works on addresses: rows of the KV pool, numbers, counters and semaphores of threads."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.cpu.attention_layout import DIM_STEP, FLOAT, LINE
from engine.cpu.attention_vectors import (
    F32,
    I32,
    I64,
    INTS,
    SHORTS,
    call_intrinsic,
    intrinsic,
    ints,
    load,
    loop,
    number,
    store,
)

PREFETCH = (0, 2, 1)
"""For reading, into the second-level cache, data."""


@intrinsic
def copy_row(typing: Any, source: Any, target: Any, steps: Any) -> Any:
    """Copy steps x 16 bf16."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, target, count = arguments

        def body(index: Any, carried: list[Any]) -> list[Any]:
            offset = builder.mul(index, number(DIM_STEP * 2))
            store(builder, load(builder, builder.add(source, offset), SHORTS), builder.add(target, offset))
            return []

        loop(builder, count, [], body)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), emit


@intrinsic
def interleave_rows(typing: Any, even: Any, odd: Any, target: Any, steps: Any) -> Any:
    """Two rows of steps x 16 bf16 as one of pairs."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        even, odd, target, count = arguments

        def body(index: Any, carried: list[Any]) -> list[Any]:
            offset = builder.mul(index, number(DIM_STEP * 2))
            low, high = [
                builder.zext(load(builder, builder.add(row, offset), SHORTS), INTS) for row in (even, odd)
            ]
            out = builder.add(target, builder.mul(index, number(DIM_STEP * FLOAT)))
            store(builder, builder.or_(low, builder.shl(high, ints(16))), out)
            return []

        loop(builder, count, [], body)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64, types.int64), emit


def _make_load(kind: Any, result: Any, widened: bool = False) -> Any:
    @intrinsic
    def load_one(typing: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = load(builder, arguments[0], kind)
            return builder.sext(value, I64) if widened else value

        return result(types.int64), emit

    return load_one


load_word = _make_load(I64, types.int64)
load_scale = _make_load(ir.DoubleType(), types.float64)
load_float = _make_load(F32, types.float32)
load_int = _make_load(I32, types.int64, widened=True)


@intrinsic
def store_float(typing: Any, address: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store(builder, arguments[1], arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), emit


@intrinsic
def store_int(typing: Any, address: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store(builder, builder.trunc(arguments[1], I32), arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


@intrinsic
def store_bf16(typing: Any, address: Any, value: Any) -> Any:
    """Rounded to nearest."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.add(builder.bitcast(arguments[1], I32), ir.Constant(I32, 0x8000))
        short = builder.trunc(builder.lshr(bits, ir.Constant(I32, 16)), ir.IntType(16))
        builder.store(short, builder.inttoptr(arguments[0], ir.PointerType(short.type)), align=2)
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), emit


@intrinsic
def add_atomically(typing: Any, address: Any, value: Any) -> Any:
    """The word before the addition; what was written before it is seen after it by other threads."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.inttoptr(arguments[0], ir.PointerType(I64))
        return builder.atomic_rmw("add", pointer, arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def prefetch_row(typing: Any, source: Any, lines: Any) -> Any:
    """Ask memory for a row that will be read soon."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, count = arguments
        bytes_of: Any = ir.PointerType(ir.IntType(8))
        kind = ir.FunctionType(ir.VoidType(), [bytes_of, I32, I32, I32])
        function: Any = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")

        def body(index: Any, carried: list[Any]) -> list[Any]:
            line = builder.inttoptr(builder.add(source, builder.mul(index, number(LINE))), bytes_of)
            builder.call(function, [line, *(ir.Constant(I32, flag) for flag in PREFETCH)])
            return []

        loop(builder, count, [], body)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


def _make_c_function(name: str) -> Any:
    """A function of the C library on one address, which returns an int (of which 0 is success)."""

    @intrinsic
    def c_function(typing: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.sext(call_intrinsic(builder, name, I32, arguments[0]), I64)

        return types.int64(types.int64), emit

    return c_function


post_semaphore = _make_c_function("sem_post")
wait_semaphore = _make_c_function("sem_wait")
try_semaphore = _make_c_function("sem_trywait")


@intrinsic
def yield_core(typing: Any) -> Any:
    """Let another thread run here."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(call_intrinsic(builder, "sched_yield", I32), I64)

    return types.int64(), emit
