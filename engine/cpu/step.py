"""A whole forward pass in one call of machine code: a table of operations, which a team does one after the other.

Between two operations nobody asks Python, nobody is woken, and a thread that comes late is not waited for
(`engine.cpu.compiled.team_kernels`). The table is made once; a step only says how many rows there are, and where.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch

from engine.cpu import products
from engine.cpu.attention import BF16_BYTES, Heads, Jobs, Plan, refuse_scattered
from engine.cpu.compiled import attention_layout
from engine.cpu.compiled import step_kernels as words
from engine.cpu.compiled.team import Array, Team, aligned, operation
from engine.cpu.compiled.vectors import FLOAT
from engine.cpu.head import ChoosingHead
from engine.cpu.layers import Layer
from engine.cpu.linears import PackedLinear

ELEMENT_PS = 300
"""Picoseconds of one number in one of the small kernels."""
LEAST_ROWS = 4
"""Rows of such a kernel's task."""
OPERATIONS = 10
"""Of a layer."""
ATTENTION_AT = 3
"""The place of attention among them."""
CHOICE = 2
"""Operations that choose tokens at the end."""
MOST_ROWS = 2048
"""Of a step: its buffers, up to 0.25 MB for each row of a model of 7B, are kept from step to step."""


Buffers = Callable[[int], tuple[torch.Tensor, torch.Tensor]]
"""K and V in the pool by a layer's number, bf16 [slots, KV heads, dim] each."""


class Rows(NamedTuple):
    """What a step works on; positions and slots are not checked."""

    hidden: torch.Tensor
    """Embeddings [rows, width]."""
    positions: torch.Tensor
    """int64 [rows], as `slots`."""
    slots: torch.Tensor
    """Where the rows' K and V go in the pool."""
    turns: Array
    """Cosines and sines by position (`kernels.rotate`)."""
    buffers: Buffers


class Step:
    """The decoder of one model whose linear layers are all `PackedLinear`, with buffers of its own.

    For `MOST_ROWS` rows at most; raises ValueError for more than it has room for.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        heads: Heads,
        last_norm: Array,
        epsilon: float,
        head: ChoosingHead,
        team: Team,
    ) -> None:
        self._layers = [(layer, *(_packed(each) for each in layer.linears())) for layer in layers]
        self._heads = heads
        self._last_norm = last_norm
        self._epsilon = int(np.float64(epsilon).view(np.int64))
        self._head = head
        self._team = team
        self._lay_out(1)

    def hidden_states(self, rows: Rows, plan: Plan, threads: int) -> torch.Tensor:
        """[rows, width] after the last norm, bf16."""
        out = torch.empty(rows.hidden.shape, dtype=torch.bfloat16)
        self._take(rows, plan)
        self._last[words.OUT] = out.data_ptr()
        self._team.run(self._operations[:-CHOICE], len(out), threads)
        return out

    def choose(self, rows: Rows, plan: Plan, threads: int) -> list[int]:
        """The most probable next token of each row, of which there may be `products.MOST_CHOICES`."""
        if len(rows.hidden) > products.MOST_CHOICES:
            raise ValueError(
                f"Tokens cannot be chosen for {len(rows.hidden)} rows at once: there is room for "
                f"{products.MOST_CHOICES}. Take the logits of `hidden_states`."
            )
        self._take(rows, plan)
        self._last[words.OUT] = self._normed.ctypes.data
        self._head.begin()
        self._team.run(self._operations, len(rows.hidden), threads)
        return self._head.chosen(len(rows.hidden))

    def _take(self, rows: Rows, plan: Plan) -> None:
        """Say to the operations what they work on."""
        count = len(rows.hidden)
        self._make_room(count)
        first, _ = rows.buffers(self._layers[0][0].attention.layer_id)
        if first.data_ptr() != self._pool:
            self._use(rows.buffers)
            self._pool = first.data_ptr()
        self._jobs.take(plan)
        rotations, turns = self._rotations, rows.turns
        rotations[:, words.POSITIONS] = rows.positions.data_ptr()
        rotations[:, words.SLOTS] = rows.slots.data_ptr()
        rotations[:, words.TURNS], rotations[:, words.TURN_ROWS] = turns.ctypes.data, len(turns)
        self._residual[:count].copy_(rows.hidden)

    def trial(self, rows: int, threads: int) -> None:
        """The products of a step, without the rest."""
        self._make_room(rows)
        self._team.run(self._products, rows, threads)

    def _make_room(self, rows: int) -> None:
        """A power of two of them: the table is made again only a few times, however the sizes come."""
        if rows > MOST_ROWS:
            raise ValueError(f"A step takes {MOST_ROWS} rows at most, not {rows}. Go layer by layer.")
        if rows > len(self._residual):
            self._lay_out(1 << (rows - 1).bit_length())

    def _lay_out(self, rows: int) -> None:
        """Make buffers for so many rows, and the table of operations over them."""
        _, qkv, output, gate_up, down = self._layers[0]
        width, inner, dim = qkv.inputs, down.inputs, self._heads.dim
        q_width, kv_heads = output.inputs, self._heads.kv
        residual, delta, qkv_out, gated = (
            aligned(rows * count * FLOAT).view(np.float32)
            for count in (width, width, qkv.outputs, gate_up.outputs)
        )
        turned, attended, normed = (
            aligned(rows * count * BF16_BYTES).view(np.uint16) for count in (qkv.outputs, q_width, width)
        )
        narrow, heads_out, activated = (
            (aligned(rows * count, fill=0), np.zeros(rows, np.float32)) for count in (width, q_width, inner)
        )
        self._kept = [delta, qkv_out, gated, turned, attended, narrow, heads_out, activated]
        self._contexts: list[Array] = []
        self._residual = torch.from_numpy(residual).view(rows, width)
        self._rotations: Array = np.zeros((len(self._layers), words.CONTEXT_WORDS), np.int64)
        self._jobs = Jobs(len(self._layers), self._heads, self._team.threads)
        self._pool = 0  # address of the pool's first layer, once it is known
        jobs = self._jobs.words
        jobs[:, attention_layout.QUERY], jobs[:, attention_layout.OUT] = _addresses(turned, attended)
        jobs[:, attention_layout.QUERY_STRIDE] = qkv.outputs * BF16_BYTES
        jobs[:, attention_layout.OUT_STRIDE] = q_width * BF16_BYTES
        turn = {words.WIDTH: qkv.outputs, words.DIM: dim, words.KV_HEADS: kv_heads}
        turn |= {words.QUERY_HEADS: self._heads.query, words.DELTA: qkv_out, words.FACTORS: narrow[1]}
        norm = {words.WIDTH: width, words.RESIDUAL: residual, words.DELTA: delta}
        table: list[list[int]] = []
        into_narrow = {words.VALUES: narrow[0], words.SCALES: narrow[1]}
        for number, (layer, qkv, output, gate_up, down) in enumerate(self._layers):
            fields = norm | into_narrow | {words.WEIGHT: layer.input_norm, words.FACTORS: activated[1]}
            if number == 0:
                fields[words.DELTA] = 0
            table.append(self._small(words.NORM, fields))
            table.append(self._product(qkv, narrow[0], qkv_out))
            rotation = self._rotations[number]
            fields = turn | {words.BIAS: layer.qkv_bias, words.NORMS: layer.head_norms, words.OUT: turned}
            table.append(self._small(words.ROTATE, fields, rotation))
            table.append(self._jobs.operations[number].tolist())
            fields = {words.WIDTH: q_width, words.DELTA: attended}
            fields |= {words.VALUES: heads_out[0], words.SCALES: heads_out[1]}
            table.append(self._small(words.QUANTIZE, fields))
            table.append(self._product(output, heads_out[0], delta))
            fields = norm | into_narrow | {words.WEIGHT: layer.second_norm, words.FACTORS: heads_out[1]}
            table.append(self._small(words.NORM, fields))
            table.append(self._product(gate_up, narrow[0], gated))
            fields = {words.WIDTH: inner, words.DELTA: gated, words.FACTORS: narrow[1]}
            fields |= {words.VALUES: activated[0], words.SCALES: activated[1]}
            table.append(self._small(words.GATE, fields))
            table.append(self._product(down, activated[0], delta))
        fields = norm | {words.WEIGHT: self._last_norm, words.FACTORS: activated[1]}
        table.append(self._small(words.LAST_NORM, fields))
        self._last, self._normed = self._contexts[-1], normed
        fields = {words.WIDTH: width, words.DELTA: normed}
        table.append(self._small(words.QUANTIZE, fields | into_narrow))
        self._contexts.append(self._head.context(*narrow))
        table.append(products.product(products.CHOOSE, self._contexts[-1]))
        self._operations: Array = np.array(table, np.int64)
        self._jobs.operations = self._operations[ATTENTION_AT : len(self._layers) * OPERATIONS : OPERATIONS]
        self._products = np.array([row for row in table if row[0] == products.MULTIPLY], np.int64)

    def _small(
        self, function: int, fields: Mapping[int, int | Array], context: Array | None = None
    ) -> list[int]:
        """An operation over rows; what a layer does not have is 0."""
        if context is None:
            context = np.zeros(words.CONTEXT_WORDS, np.int64)
        self._contexts.append(context)
        for field, value in fields.items():
            empty = isinstance(value, np.ndarray) and not value.size
            context[field] = 0 if empty else value if isinstance(value, int) else value.ctypes.data
        context[words.EPSILON] = self._epsilon
        cost_ps = ELEMENT_PS * int(context[words.WIDTH])
        return operation(function, context, cost_ps=cost_ps, least_rows=LEAST_ROWS)

    def _product(self, linear: PackedLinear, values: Array, out: Array) -> list[int]:
        context = linear.context(values.ctypes.data, out.ctypes.data)
        self._contexts.append(context)
        return products.product(products.MULTIPLY, context)

    def _use(self, buffers: Buffers) -> None:
        """Work in this pool from here on."""
        for number, (layer, *_) in enumerate(self._layers):
            keys, values = buffers(layer.attention.layer_id)
            refuse_scattered(self._heads.dim, keys, values)
            self._jobs.read(number, keys, values, layer.attention.scaling)
            rotation = self._rotations[number]
            rotation[words.POOL_KEYS], rotation[words.POOL_VALUES] = keys.data_ptr(), values.data_ptr()
            rotation[words.SLOT_STRIDE] = keys.stride(0) * BF16_BYTES


def _packed(linear: object) -> PackedLinear:
    if not isinstance(linear, PackedLinear):
        raise TypeError(f"A step takes packed linear layers, not {type(linear).__name__}.")
    return linear


def _addresses(*arrays: Array) -> list[int]:
    return [array.ctypes.data for array in arrays]
