"""Attention of tasks over the KV pool, compiled by numba: the loops around `engine.cpu.compiled.attention_tiles`.

A *task* is some query rows of one request under one KV head, over a range of its keys; rows are (token, query
head) pairs, so the head's K and V are read once, through the request's slots, for all of them. Per block of
keys: gather K, interleave V by pairs of keys; then for each panel of rows scores, softmax and values. Decode,
extend and verification differ only in how many rows there are.
"""

from __future__ import annotations

import math

from engine.cpu.compiled import attention_layout as layout
from engine.cpu.compiled import attention_tiles as tiles
from engine.cpu.compiled import memory
from engine.cpu.compiled.atomics import WORD, add_atomically
from engine.cpu.compiled.compiling import TASK_SIGNATURE, c_function, checksum, compiled
from engine.cpu.compiled.memory import field

HALF = 2
"""Bytes of a bf16."""
_NARROW = tiles.TILE_ROWS[1]
_WIDE = tiles.TILE_ROWS[3]


@compiled
def _vectors(rows: int) -> int:
    """Vectors that a panel of so many rows needs."""
    return (rows + layout.LANES - 1) // layout.LANES


@compiled
def _row_offset(job: int, task: int, stride: int, row: int) -> int:
    """Bytes from the start of the query, or the output, to a task's row."""
    group, dim = field(job, layout.GROUP), field(job, layout.DIM)
    token = field(task, layout.FIRST_TOKEN) + row // group
    return token * stride + (field(task, layout.HEAD) * group + row % group) * dim * HALF


@compiled
def _load_panel(job: int, task: int, row: int, rows: int, queries: int, state: int) -> None:
    """Query rows into lanes, [head size / 2, lanes] pairs of bf16; an empty state."""
    dim, stride, query = field(job, layout.DIM), field(job, layout.QUERY_STRIDE), field(job, layout.QUERY)
    for lane in range(_vectors(rows) * layout.LANES):
        at = queries + lane * layout.FLOAT
        if lane < rows:
            source = query + _row_offset(job, task, stride, row + lane)
            for pair in range(dim // 2):
                memory.store_int(at + pair * layout.ROW, memory.load_int(source + pair * layout.FLOAT))
        else:
            for pair in range(dim // 2):
                memory.store_int(at + pair * layout.ROW, 0)
    for lane in range(layout.PANEL):
        memory.store_float(state + layout.MAXIMUM_AT + lane * layout.FLOAT, layout.MASKED)
        memory.store_float(state + layout.SUM_AT + lane * layout.FLOAT, 0.0)
    for at in range(dim * layout.PANEL):
        memory.store_float(state + layout.OUTPUT_AT + at * layout.FLOAT, 0.0)


@compiled
def _gather(job: int, task: int, scratch: int, start: int, count: int) -> None:
    """A block of the head's keys as rows and of its values by pairs of rows, through the request's slots."""
    dim, stride = field(job, layout.DIM), field(job, layout.SLOT_STRIDE)
    head = field(task, layout.HEAD) * dim * HALF
    keys, values = field(job, layout.KEYS) + head, field(job, layout.VALUES) + head
    slots = field(task, layout.SLOTS) + start * layout.FLOAT
    steps = dim // layout.DIM_STEP
    for at in range(count):
        slot = memory.load_int(slots + at * layout.FLOAT)
        memory.copy_row(keys + slot * stride, scratch + layout.KEYS_AT + at * layout.KEY_STRIDE, steps)
    for at in range(0, count, 2):
        even = values + memory.load_int(slots + at * layout.FLOAT) * stride
        odd = even  # past the end: masked, so it weighs nothing
        if at + 1 < count:
            odd = values + memory.load_int(slots + (at + 1) * layout.FLOAT) * stride
        memory.interleave_rows(even, odd, scratch + layout.VALUES_AT + at // 2 * layout.VALUE_STRIDE, steps)


@compiled
def _prefetch(job: int, task: int, start: int, end: int) -> None:
    """Bring the block after this one nearer while this one is computed: its slots are seldom in order."""
    dim, stride = field(job, layout.DIM), field(job, layout.SLOT_STRIDE)
    head = field(task, layout.HEAD) * dim * HALF
    keys, values = field(job, layout.KEYS) + head, field(job, layout.VALUES) + head
    slots = field(task, layout.SLOTS)
    lines = (dim * HALF + layout.LINE - 1) // layout.LINE
    for at in range(start, end):
        offset = memory.load_int(slots + at * layout.FLOAT) * stride
        memory.prefetch_row(keys + offset, lines)
        memory.prefetch_row(values + offset, lines)


@compiled
def _mask(job: int, task: int, scratch: int, row: int, rows: int, start: int, count: int) -> None:
    """Hide keys after each row's own position, and those that its window has left behind."""
    group, window, position = (
        field(job, layout.GROUP),
        field(job, layout.WINDOW),
        field(task, layout.POSITION),
    )
    for lane in range(rows):
        own = position + (row + lane) // group - start
        at = scratch + layout.SCORES_AT + lane * layout.FLOAT
        for key in range(max(0, own + 1), count):
            memory.store_float(at + key * layout.ROW, layout.MASKED)
        if window > 0:
            for key in range(min(count, own + 1 - window)):
                memory.store_float(at + key * layout.ROW, layout.MASKED)


@compiled
def _score(scratch: int, queries: int, rows: int, count: int, dim: int) -> None:
    vectors, pairs = _vectors(rows), dim // 2
    wide, narrow = (count + _WIDE - 1) // _WIDE, (count + _NARROW - 1) // _NARROW
    if vectors == 1:
        tiles.scores_1(scratch, queries, narrow, pairs)
    elif vectors == 2:
        tiles.scores_2(scratch, queries, wide, pairs)
    else:
        tiles.scores_3(scratch, queries, wide, pairs)
    if count % 2:  # the last pair's second key does not exist
        for lane in range(vectors * layout.LANES):
            memory.store_float(
                scratch + layout.SCORES_AT + count * layout.ROW + lane * layout.FLOAT, layout.MASKED
            )


@compiled
def _accumulate(scratch: int, state: int, rows: int, count: int, dim: int, scale: float) -> None:
    vectors, pairs = _vectors(rows), (count + 1) // 2
    if vectors == 1:
        tiles.softmax_1(scratch, state, pairs, scale)
        tiles.weigh_values_1(scratch, state, dim // _NARROW, pairs)
    elif vectors == 2:
        tiles.softmax_2(scratch, state, pairs, scale)
        tiles.weigh_values_2(scratch, state, dim // _WIDE, pairs)
    else:
        tiles.softmax_3(scratch, state, pairs, scale)
        tiles.weigh_values_3(scratch, state, dim // _WIDE, pairs)


@compiled
def _write(job: int, task: int, row: int, rows: int, states: int, parts: int) -> None:
    """A panel's output, from one state or merged from those of all parts of its keys."""
    dim, stride, out = field(job, layout.DIM), field(job, layout.OUT_STRIDE), field(job, layout.OUT)
    for lane in range(rows):
        target = out + _row_offset(job, task, stride, row + lane)
        column = states + lane * layout.FLOAT
        if parts == 1:
            share = 1.0 / memory.load_float(column + layout.SUM_AT)
            for at in range(dim):
                memory.store_bf16(
                    target + at * HALF, memory.load_float(column + layout.OUTPUT_AT + at * layout.ROW) * share
                )
            continue
        top = memory.load_float(column + layout.MAXIMUM_AT)
        for part in range(1, parts):
            top = max(top, memory.load_float(column + part * layout.STATE_PANEL + layout.MAXIMUM_AT))
        total = 0.0
        for part in range(parts):
            one = column + part * layout.STATE_PANEL
            weight = math.pow(2.0, memory.load_float(one + layout.MAXIMUM_AT) - top)
            memory.store_float(one + layout.MAXIMUM_AT, weight)
            total += weight * memory.load_float(one + layout.SUM_AT)
        for at in range(dim):
            merged = 0.0
            for part in range(parts):
                one = column + part * layout.STATE_PANEL
                merged += memory.load_float(one + layout.MAXIMUM_AT) * memory.load_float(
                    one + layout.OUTPUT_AT + at * layout.ROW
                )
            memory.store_bf16(target + at * HALF, merged / total)


@compiled
def _attend(job: int, task: int, scratch: int) -> None:
    dim, group, window = field(job, layout.DIM), field(job, layout.GROUP), field(job, layout.WINDOW)
    scale = memory.load_float64(job + layout.SCALE * WORD)
    position = field(task, layout.POSITION)
    row_start, row_end = field(task, layout.ROW_START), field(task, layout.ROW_END)
    parts, part, first_part = (
        field(task, layout.PARTS),
        field(task, layout.PART),
        field(task, layout.FIRST_PART),
    )
    queries, states = scratch + layout.QUERIES_AT, scratch + layout.STATES_AT
    if parts > 1:  # of one panel only
        states = field(job, layout.PARTIAL) + (first_part + part) * layout.STATE_PANEL
    panels = (row_end - row_start + layout.PANEL - 1) // layout.PANEL
    for panel in range(panels):
        row = row_start + panel * layout.PANEL
        rows = min(layout.PANEL, row_end - row)
        _load_panel(
            job, task, row, rows, queries + panel * layout.QUERY_PANEL, states + panel * layout.STATE_PANEL
        )
    key_end = field(task, layout.KEY_END)
    for start in range(field(task, layout.KEY_START), key_end, layout.BLOCK):
        count = min(layout.BLOCK, key_end - start)
        _gather(job, task, scratch, start, count)
        _prefetch(job, task, start + count, min(key_end, start + count + layout.BLOCK))
        for panel in range(panels):
            row = row_start + panel * layout.PANEL
            rows = min(layout.PANEL, row_end - row)
            first, last = position + row // group, position + (row + rows - 1) // group
            if last < start or (window > 0 and first - window >= start + count - 1):
                continue
            _score(scratch, queries + panel * layout.QUERY_PANEL, rows, count, dim)
            if first < start + count - 1 or (window > 0 and last - window >= start):
                _mask(job, task, scratch, row, rows, start, count)
            _accumulate(scratch, states + panel * layout.STATE_PANEL, rows, count, dim, scale)
    if parts > 1:
        parts_done = field(job, layout.PARTS_DONE) + first_part * WORD
        if add_atomically(parts_done, 1) + 1 < parts:
            return
        memory.store_word(parts_done, 0)  # for the next layer
        states = field(job, layout.PARTIAL) + first_part * layout.STATE_PANEL
    for panel in range(panels):
        row = row_start + panel * layout.PANEL
        _write(job, task, row, min(layout.PANEL, row_end - row), states + panel * layout.STATE_PANEL, parts)


def _made(sources: int) -> int:
    def attention(job: int, thread: int, row: int, end_row: int, first: int, end: int) -> None:
        if sources < 0:  # never; the constant has to be used
            return
        scratch = field(job, layout.SCRATCH) + thread * layout.SCRATCH_BYTES
        tasks = field(job, layout.TASKS)
        for task in range(first, end):
            _attend(job, tasks + task * layout.TASK_FIELDS * WORD, scratch)

    return c_function(TASK_SIGNATURE, attention)


ATTENTION = _made(
    checksum("atomics", "attention_layout", "attention_tiles", "compiling", "memory", "vectors")
)
"""Address of the function whose units are a job's tasks (`engine.cpu.compiled.team_kernels`)."""
