"""Threads that share an operation's tasks, compiled by numba: how tasks are given out, taken and awaited.

An *operation* is a function over a grid of rows and units (an integer product: rows of activations, blocks of
outputs); a *task* is a part of the grid. The thread that calls gives the operation out, takes tasks like everybody
else, and goes on when all are done. Threads that help are woken, never waited for: whoever comes takes the next task,
and only tasks that were begun are awaited. On a busy machine a helper may wait milliseconds for a core, and the work
is done without it.

A forward pass is some hundred operations, so a helper looks for the next one a while before it sleeps: waking a thread
takes longer than most of them.
"""

from __future__ import annotations

from engine.cpu.compiled.atomics import (
    WORD,
    add_atomically,
    call_task,
    look,
    pause,
    post_semaphore,
    swap_atomically,
    thread_ns,
    wait_semaphore,
    yield_core,
)
from engine.cpu.compiled.compiling import c_function, checksum, compiled
from engine.cpu.compiled.memory import field, load_word, store_word

# A team's memory in words. What some threads write while others look at it has a pair of cache lines of its own.
APART = 16
UNBEGUN = 0
"""Tasks that nobody has begun; below 0 where several looked for the last one."""
HELPED = APART
"""Tasks of this operation that helpers have done."""
FUNCTION, CONTEXT, TASKS, ROWS, ROW_STEP, UNITS, UNIT_STEP, COLUMNS = range(2 * APART, 2 * APART + 8)
HELPERS, STOP, WAITED_NS, ALL_TASKS, HELPED_TASKS = range(3 * APART, 3 * APART + 5)
FIRST_HELPER = 4 * APART
ASLEEP, SEMAPHORE = 0, 1
"""Of a helper's own words: whether it sleeps, or is about to; the address of its semaphore."""
HELPER_WORDS = APART

# An operation's words.
OPERATION, OF, OPERATION_UNITS, LEAST_UNITS, LEAST_ROWS, COST, FREE_ROWS = range(7)
"""The function and its context; how many units there are; at least how many units, and rows, make a task; picoseconds
for one unit of one row; rows up to which it costs the same."""
OPERATION_WORDS = 7

LEAST_TASK_PS = 2_500_000
"""A task of less is not worth its taking: a word that two cores write takes some 100 ns."""
MOST_TASKS = 16
"""For each thread: cores are seldom equally free."""
LOOKS = 2000
"""How often to look for a helper's end, some microseconds, before letting it have this core."""
LINGER = 4000
"""How often a helper looks for the next operation, some tens of microseconds, before it sleeps."""


@compiled
def _set(team: int, name: int, value: int) -> None:
    store_word(team + name * WORD, value)


@compiled
def _own(helper: int, name: int) -> int:
    """Offset of a helper's own word; helpers count from 1."""
    return (FIRST_HELPER + (helper - 1) * HELPER_WORDS + name) * WORD


@compiled
def _take(team: int) -> int:
    """The number of a task from the last one, from 1; less where there is none."""
    if look(team + UNBEGUN * WORD) <= 0:
        return 0
    return add_atomically(team + UNBEGUN * WORD, -1)


@compiled
def _work(team: int, thread: int) -> int:
    """Take tasks until none is left; how many."""
    done = 0
    from_last = _take(team)
    while from_last > 0:
        task, columns = field(team, TASKS) - from_last, field(team, COLUMNS)
        row, unit = task // columns * field(team, ROW_STEP), task % columns * field(team, UNIT_STEP)
        call_task(
            field(team, FUNCTION),
            field(team, CONTEXT),
            thread,
            row,
            min(field(team, ROWS), row + field(team, ROW_STEP)),
            unit,
            min(field(team, UNITS), unit + field(team, UNIT_STEP)),
        )
        done += 1
        from_last = _take(team)
    return done


@compiled
def _wake(team: int) -> None:
    for helper in range(1, field(team, HELPERS) + 1):
        asleep = team + _own(helper, ASLEEP)
        if look(asleep) != 0 and swap_atomically(asleep, 0) != 0:
            post_semaphore(load_word(team + _own(helper, SEMAPHORE)))


@compiled
def _await(team: int, tasks: int) -> None:
    """Until helpers have done so many. What a long wait costs is noted: it is no work."""
    looks = 0
    began = 0
    while look(team + HELPED * WORD) < tasks:
        looks += 1
        if looks < LOOKS:
            pause()
            continue
        if began == 0:
            began = thread_ns()
        yield_core()
    if began != 0:
        _set(team, WAITED_NS, field(team, WAITED_NS) + thread_ns() - began)


@compiled
def _share(team: int, operation: int, rows: int, wanted: int) -> None:
    """Give an operation out in about so many tasks, and see it done."""
    units = field(operation, OPERATION_UNITS)
    least = field(operation, LEAST_UNITS)
    unit_step = (units + wanted - 1) // wanted
    unit_step = (unit_step + least - 1) // least * least
    columns = (units + unit_step - 1) // unit_step
    parts = max(1, wanted // columns)
    row_step = max(field(operation, LEAST_ROWS), (rows + parts - 1) // parts)
    tasks = (rows + row_step - 1) // row_step * columns
    _set(team, FUNCTION, field(operation, OPERATION))
    _set(team, CONTEXT, field(operation, OF))
    _set(team, ROWS, rows)
    _set(team, ROW_STEP, row_step)
    _set(team, UNITS, units)
    _set(team, UNIT_STEP, unit_step)
    _set(team, COLUMNS, columns)
    _set(team, TASKS, tasks)
    swap_atomically(team + HELPED * WORD, 0)
    swap_atomically(team + UNBEGUN * WORD, tasks)
    _wake(team)
    helped = tasks - _work(team, 0)
    _set(team, ALL_TASKS, field(team, ALL_TASKS) + tasks)
    _set(team, HELPED_TASKS, field(team, HELPED_TASKS) + helped)
    _await(team, helped)


@compiled
def _perform(team: int, operation: int, rows: int) -> None:
    units, helpers = field(operation, OPERATION_UNITS), field(team, HELPERS)
    if helpers > 0:
        cost = units * max(rows, field(operation, FREE_ROWS)) * field(operation, COST)
        wanted = min(cost // LEAST_TASK_PS, (helpers + 1) * MOST_TASKS)
        if wanted > 1:
            _share(team, operation, rows, wanted)
            return
    call_task(field(operation, OPERATION), field(operation, OF), 0, 0, rows, 0, units)


def _made(sources: int) -> tuple[int, int]:
    def run(team: int, operations: int, count: int, rows: int) -> None:
        if sources < 0:  # never; the constant has to be used
            return
        for number in range(count):
            _perform(team, operations + number * OPERATION_WORDS * WORD, rows)

    def help_out(team: int, helper: int) -> None:
        if sources < 0:
            return
        asleep, looks = team + _own(helper, ASLEEP), 0
        while field(team, STOP) == 0:
            done = _work(team, helper)
            if done > 0:
                add_atomically(team + HELPED * WORD, done)
                looks = 0
                continue
            looks += 1
            if looks < LINGER:
                pause()
                continue
            looks = 0
            swap_atomically(asleep, 1)
            # tasks given out before that word was seen woke nobody
            if look(team + UNBEGUN * WORD) > 0 and swap_atomically(asleep, 0) != 0:
                continue
            while wait_semaphore(load_word(team + _own(helper, SEMAPHORE))) != 0:
                pass  # a signal came

    return (
        c_function("void(int64, int64, int64, int64)", run),
        c_function("void(int64, int64)", help_out),
    )


RUN, HELP_OUT = _made(checksum("atomics", "compiling", "memory", "vectors"))
"""Addresses of `void run(team, operations, count, rows)`, which does one operation after the other, and of
`void help_out(team, helper)`, which helps with all that this team is given until it is stopped."""
