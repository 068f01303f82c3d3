"""Exact causal attention over a paged KV pool by our own kernels: which tasks there are, and who runs them.

A request's new rows stand at the end of its keys, all of which are in the pool: row i of `tokens` sees the
first `length - tokens + i + 1` of its slots. So decode (one row), verification of proposed tokens (a few) and
extend (many, over a cached prefix) are one thing, and nothing cached is computed again or copied.

Shapes: query and output [rows, query_heads, dim], keys and values [slots, kv_heads, dim], all bf16; query
head h reads KV head h // (query_heads / kv_heads).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import torch

from engine.cpu.compiled import attention_layout as layout
from engine.cpu.compiled.attention_kernels import ATTENTION
from engine.cpu.compiled.team import Array, aligned, operation, team_of
from engine.cpu.compiled.team_kernels import COST, LEAST_TASK_PS, MOST_TASKS, OPERATION_UNITS

BF16_BYTES = 2
SLOT_BYTES = 4
PARALLEL_FROM = 8_000
"""Vectors x keys of work (some 100 us on one core) from which waking another thread pays."""
TASKS_PER_THREAD = 4
"""Tasks wanted for each thread: cores are seldom equally free."""
MIN_PART_KEYS = 1024
"""Keys of a part when one row's keys are split among threads: fewer cost more to merge than they save."""
TASK_PS = MOST_TASKS * LEAST_TASK_PS
"""What a planned task is said to cost: each is one by itself, for the plan has cut them."""
ALL_ROWS = 1 << 30
"""Rows of a task at least: the units of attention are cut already."""
MIN_PANELS = 6 // layout.PANEL_VECTORS
"""Panels of a task when rows are split among threads: they share the gathering of K and V."""


class Heads(NamedTuple):
    """How a layer's heads are cut."""

    query: int
    kv: int
    dim: int


class Request(NamedTuple):
    """One request of a batch; its rows follow those of the request before it."""

    slots: int
    """Address of the int32 slots of its tokens, in order: a row of `req_to_token`."""
    tokens: int
    """New rows, at least 1."""
    length: int
    """All its tokens, the new ones included."""


class Plan(NamedTuple):
    """A step's tasks for all layers of one form; keep what the slots' addresses point to alive."""

    heads: Heads
    window: int
    tasks: Array
    partial: Array
    parts_done: Array
    threads: int


def fits(dtype: torch.dtype, dim: int) -> bool:
    """Whether the kernels know this form."""
    return dtype is torch.bfloat16 and dim % layout.DIM_STEP == 0 and dim <= layout.MAX_DIM


def plan(requests: Sequence[Request], heads: Heads, threads: int, window: int = 0) -> Plan:
    """Cut a batch into tasks. `window`: keys that a row sees, itself included; 0 for all."""
    group = heads.query // heads.kv
    panels = sum(-(-request.tokens * group // layout.PANEL) for request in requests) * heads.kv
    work = sum(-(-request.tokens * group // layout.LANES) * request.length for request in requests) * heads.kv
    if work < PARALLEL_FROM:
        threads = 1
    block_panels, wanted = layout.MAX_PANELS, threads * TASKS_PER_THREAD
    if threads > 1:
        block_panels = min(layout.MAX_PANELS, max(MIN_PANELS, panels // wanted))
    tasks: list[list[int]] = []
    first_token = first_part = 0
    for request in requests:
        rows, position = request.tokens * group, request.length - request.tokens
        for row_start in range(0, rows, block_panels * layout.PANEL):
            row_end = min(rows, row_start + block_panels * layout.PANEL)
            key_start = max(0, position + row_start // group + 1 - window) if window else 0
            key_end = position + (row_end - 1) // group + 1
            parts = 1
            if threads > 1 and row_end - row_start <= layout.PANEL:
                parts = min(-(-wanted // panels), max(1, (key_end - key_start) // MIN_PART_KEYS))
            edges = [key_start + (key_end - key_start) * part // parts for part in range(parts + 1)]
            for head in range(heads.kv):
                for part in range(parts):
                    rest = [row_start, row_end, edges[part], edges[part + 1], part, parts, first_part]
                    tasks.append([request.slots, first_token, position, head, *rest])
                first_part += parts if parts > 1 else 0
        first_token += request.tokens
    tasks.sort(key=_cost, reverse=True)  # the longest first: the last to end are short
    return Plan(
        heads,
        window,
        np.array(tasks, np.int64),
        aligned(first_part * layout.STATE_PANEL),
        np.zeros(first_part, np.int64),
        threads,
    )


def _cost(task: Sequence[int]) -> int:
    return (task[layout.ROW_END] - task[layout.ROW_START]) * (task[layout.KEY_END] - task[layout.KEY_START])


class Jobs:
    """What the kernels read of some layers of one form, int64 [layers, JOB_FIELDS], and the operations to do them."""

    def __init__(self, layers: int, heads: Heads, threads: int) -> None:
        self.words: Array = np.zeros((layers, layout.JOB_FIELDS), np.int64)
        self.operations: Array = np.array(
            [operation(ATTENTION, job, cost_ps=0, least_rows=ALL_ROWS) for job in self.words],
            np.int64,
        )
        self._scratch = aligned(layout.SCRATCH_BYTES * threads)
        self.words[:, layout.SCRATCH] = self._scratch.ctypes.data
        self.words[:, layout.DIM], self.words[:, layout.GROUP] = heads.dim, heads.query // heads.kv
        self._plan: Plan | None = None

    def take(self, plan: Plan) -> None:
        """The tasks of all layers."""
        if plan is self._plan:
            return
        words = self.words
        words[:, layout.TASKS], words[:, layout.WINDOW] = plan.tasks.ctypes.data, plan.window
        words[:, layout.PARTIAL] = plan.partial.ctypes.data
        words[:, layout.PARTS_DONE] = plan.parts_done.ctypes.data
        self.operations[:, OPERATION_UNITS] = len(plan.tasks)
        self.operations[:, COST] = TASK_PS if plan.threads > 1 else 0
        self._plan = plan

    def read(self, layer: int, keys: torch.Tensor, values: torch.Tensor, scale: float) -> None:
        """From which part of the pool, both [slots, kv_heads, dim], and by which factor of the scores."""
        words = self.words[layer]
        words[layout.KEYS], words[layout.VALUES] = keys.data_ptr(), values.data_ptr()
        words[layout.SLOT_STRIDE] = keys.stride(0) * BF16_BYTES
        words[layout.SCALE] = np.float64(scale * math.log2(math.e)).view(np.int64)


class Runner:
    """Runs plans one layer at a time, for one caller at a time."""

    def __init__(self, threads: int) -> None:
        self._team = team_of(threads)
        self.threads = self._team.threads
        self._jobs: dict[Heads, Jobs] = {}

    def __call__(
        self,
        plan: Plan,
        query: torch.Tensor,
        keys: torch.Tensor,
        values: torch.Tensor,
        scale: float,
        out: torch.Tensor,
    ) -> None:
        """Fill `out`. Rows may lie apart (`query` as a slice of fused projections); within one all is dense."""
        refuse_scattered(plan.heads.dim, keys, values, query, out)
        jobs = self._jobs.get(plan.heads)
        if jobs is None:
            jobs = self._jobs[plan.heads] = Jobs(1, plan.heads, self.threads)
        jobs.take(plan)
        jobs.read(0, keys, values, scale)
        jobs.words[0, layout.QUERY], jobs.words[0, layout.OUT] = query.data_ptr(), out.data_ptr()
        jobs.words[0, layout.QUERY_STRIDE] = query.stride(0) * BF16_BYTES
        jobs.words[0, layout.OUT_STRIDE] = out.stride(0) * BF16_BYTES
        self._team.run(jobs.operations, 1, plan.threads)


def refuse_scattered(dim: int, keys: torch.Tensor, values: torch.Tensor, *others: torch.Tensor) -> None:
    """The kernels know one stride of K and V, and that of no head. Raises ValueError where they would read astray."""
    rows = (keys, values, *others)
    dense = all(one.stride(2) == 1 and (one.stride(1) == dim or one.shape[1] == 1) for one in rows)
    if not dense or keys.stride() != values.stride():
        raise ValueError(
            f"Rows of K {keys.stride()}, V {values.stride()}, or of query and output "
            f"{[one.stride() for one in others]} do not lie densely, or K's and V's not alike. Pass tensors whose last "
            "two axes are contiguous."
        )


@cache
def runner_of(threads: int) -> Runner:
    """One for all callers of this process that plan anew each time; not for several at a time."""
    return Runner(threads)


def extend_attention(
    query: torch.Tensor,
    pool_keys: torch.Tensor,
    pool_values: torch.Tensor,
    slots: torch.Tensor,
    tokens: Sequence[int],
    lengths: Sequence[int],
    scale: float,
    out: torch.Tensor,
    *,
    window: int = 0,
    threads: int = 1,
) -> None:
    """One layer's attention of a batch, planned anew: `slots` int32 [requests, at least max(lengths)]."""
    row_bytes = slots.stride(0) * SLOT_BYTES
    requests = [
        Request(slots.data_ptr() + number * row_bytes, new, length)
        for number, (new, length) in enumerate(zip(tokens, lengths, strict=True))
    ]
    heads = Heads(query.shape[1], pool_keys.shape[1], query.shape[2])
    runner_of(threads)(plan(requests, heads, threads, window), query, pool_keys, pool_values, scale, out)


def decode_attention(
    query: torch.Tensor,
    pool_keys: torch.Tensor,
    pool_values: torch.Tensor,
    slots: torch.Tensor,
    lengths: Sequence[int],
    scale: float,
    out: torch.Tensor,
    *,
    threads: int = 1,
) -> None:
    """`extend_attention` of one row per request."""
    extend_attention(
        query, pool_keys, pool_values, slots, [1] * len(lengths), lengths, scale, out, threads=threads
    )
