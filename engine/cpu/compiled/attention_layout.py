"""What lies where: the sizes of attention's blocks, one thread's scratch, and the fields of jobs and tasks."""

from __future__ import annotations

from engine.cpu.compiled.vectors import FLOAT, HAS_WIDE_REGISTERS, LANES, LINE

PANEL_VECTORS = 3 if HAS_WIDE_REGISTERS else 1
PANEL = PANEL_VECTORS * LANES
"""Rows computed together: 3 vectors x 8 keys fill 24 of 32 registers with sums, 1 vector of two registers x 4 keys 8
of 16."""
MAX_PANELS = 24 // PANEL_VECTORS
"""Panels of a task: their state (100 KB at head size 64) stays in the second-level cache."""
BLOCK = 64
"""Keys per block: scores and probabilities of a panel stay in the first-level cache."""
MAX_DIM = 128
DIM_STEP = 16
"""Head sizes are multiples of this, up to MAX_DIM."""
ROW = PANEL * FLOAT
KEY_STRIDE = MAX_DIM * 2 + LINE  # the odd line keeps rows off one another's cache sets
VALUE_STRIDE = MAX_DIM * FLOAT + LINE
MASKED = -1e30
"""A score that is not seen: finite, so that differences of two never are NaN."""

# one thread's scratch, bytes from its start
KEYS_AT = 0
VALUES_AT = KEYS_AT + BLOCK * KEY_STRIDE
SCORES_AT = VALUES_AT + BLOCK // 2 * VALUE_STRIDE
PROBABILITIES_AT = SCORES_AT + BLOCK * ROW
CORRECTION_AT = PROBABILITIES_AT + BLOCK // 2 * ROW
QUERIES_AT = CORRECTION_AT + ROW
QUERY_PANEL = MAX_DIM // 2 * ROW
STATES_AT = QUERIES_AT + MAX_PANELS * QUERY_PANEL
MAXIMUM_AT, SUM_AT, OUTPUT_AT = 0, ROW, 2 * ROW
STATE_PANEL = OUTPUT_AT + MAX_DIM * ROW
SCRATCH_BYTES = STATES_AT + MAX_PANELS * STATE_PANEL

# fields of a job and of a task, 8 bytes each
QUERY, QUERY_STRIDE, OUT, OUT_STRIDE, KEYS, VALUES, SLOT_STRIDE, DIM, GROUP, SCALE = range(10)
TASKS, SCRATCH, PARTIAL, PARTS_DONE, WINDOW = range(10, 15)
JOB_FIELDS = 15
SLOTS, FIRST_TOKEN, POSITION, HEAD, ROW_START, ROW_END, KEY_START, KEY_END, PART, PARTS, FIRST_PART = range(
    11
)
TASK_FIELDS = 11
