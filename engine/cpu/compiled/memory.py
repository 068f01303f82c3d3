"""Memory for numba code that works on addresses: rows of the KV pool, single numbers, and arrays where they lie."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.cpu.compiled.atomics import WORD
from engine.cpu.compiled.compiling import compiled
from engine.cpu.compiled.vectors import (
    F32,
    FLOAT,
    I32,
    I64,
    INTS,
    LANES,
    LINE,
    SHORTS,
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
            offset = builder.mul(index, number(LANES * 2))
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
            offset = builder.mul(index, number(LANES * 2))
            low, high = [
                builder.zext(load(builder, builder.add(row, offset), SHORTS), INTS) for row in (even, odd)
            ]
            out = builder.add(target, builder.mul(index, number(LANES * FLOAT)))
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
load_float64 = _make_load(ir.DoubleType(), types.float64)
load_float = _make_load(F32, types.float32)
load_int = _make_load(I32, types.int64, widened=True)


@compiled
def field(words: int, name: int) -> int:
    """One of the words of a context, a job, a task or a team, which are numbered by names."""
    return load_word(words + name * WORD)


@intrinsic
def store_float(typing: Any, address: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store(builder, arguments[1], arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.float32), emit


@intrinsic
def store_word(typing: Any, address: Any, value: Any) -> Any:
    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store(builder, arguments[1], arguments[0])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), emit


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


def _make_pointer(kind: Any) -> Any:
    @intrinsic
    def pointer(typing: Any, address: Any) -> Any:
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(kind)(types.int64), emit

    return pointer


# what `numba.carray` makes an array of
floats_at = _make_pointer(types.float32)
bytes_at = _make_pointer(types.uint8)
shorts_at = _make_pointer(types.uint16)
words_at = _make_pointer(types.int64)
