"""What threads share, for numba code that works on addresses: counters, semaphores, pauses, and calls by address."""

from __future__ import annotations

import platform
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from engine.cpu.compiled.vectors import I32, I64, call_intrinsic, intrinsic, number

WORD = 8
"""Bytes."""
THREAD_CLOCK = 3
"""CLOCK_THREAD_CPUTIME_ID of Linux, where alone there are helping threads."""
SECOND_NS = 1_000_000_000

PAUSES = {
    "x86_64": ("llvm.x86.sse2.pause", ()),
    "AMD64": ("llvm.x86.sse2.pause", ()),
    "aarch64": ("llvm.aarch64.hint", (ir.Constant(I32, 1),)),
}
"""By machine: LLVM's name for the instruction that lets a core's other half, or its power, have a moment."""

TASK: Any = ir.FunctionType(ir.VoidType(), [I64] * 6)


def _word(builder: Any, address: Any) -> Any:
    return builder.inttoptr(address, ir.PointerType(I64))


@intrinsic
def add_atomically(typing: Any, address: Any, value: Any) -> Any:
    """The word before the addition; what was written before it is seen after it by other threads."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", _word(builder, arguments[0]), arguments[1], "acq_rel")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def swap_atomically(typing: Any, address: Any, value: Any) -> Any:
    """The word that `value` replaces. All threads see all swaps and looks in one order."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("xchg", _word(builder, arguments[0]), arguments[1], "seq_cst")

    return types.int64(types.int64, types.int64), emit


@intrinsic
def look(typing: Any, address: Any) -> Any:
    """A word that other threads write, and with it what they wrote before."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load_atomic(_word(builder, arguments[0]), "seq_cst", WORD)

    return types.int64(types.int64), emit


@intrinsic
def pause(typing: Any) -> Any:
    """Between two looks at a word."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        if (how := PAUSES.get(platform.machine())) is not None:
            call_intrinsic(builder, how[0], ir.VoidType(), *how[1])
        return context.get_dummy_value()

    return types.void(), emit


@intrinsic
def thread_ns(typing: Any) -> Any:
    """Nanoseconds for which this thread has run."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        time: Any = cgutils.alloca_once(builder, ir.ArrayType(I64, 2))
        call_intrinsic(builder, "clock_gettime", I32, ir.Constant(I32, THREAD_CLOCK), time)
        seconds, rest = (
            builder.load(builder.gep(time, [number(0), number(at)], inbounds=True)) for at in range(2)
        )
        return builder.add(builder.mul(seconds, number(SECOND_NS)), rest)

    return types.int64(), emit


@intrinsic
def call_task(
    typing: Any, function: Any, context: Any, thread: Any, row: Any, end_row: Any, unit: Any, end_unit: Any
) -> Any:
    """Call the C function of this address: `void (context, thread, row, end row, unit, end unit)`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.call(builder.inttoptr(arguments[0], ir.PointerType(TASK)), arguments[1:])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 7), emit


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


@intrinsic
def yield_core(typing: Any) -> Any:
    """Let another thread run here."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(call_intrinsic(builder, "sched_yield", I32), I64)

    return types.int64(), emit
