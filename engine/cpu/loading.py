"""What the plug-in does to a loaded model, decided once per start, and told to the host."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

import msgspec
import torch

from engine.cpu import EIGHT_BITS
from engine.cpu.speculation.speculation import in_use
from engine.cpu.threads import Governor, candidates, measure, most_threads
from engine.hosting.facts import Facts, tell

LINEARS = "FOREWORD_LINEARS"
"""`int8`, `bf16` or `auto`: 8 bits where the model is known to bear them and the processor multiplies exactly."""
THREADS = "FOREWORD_THREADS"
"""A number of threads, instead of the measured one."""
TRIAL_PROMPT_ROWS = 64
"""With two single rows this makes tokens and prompts weigh alike in the trial."""


def prepare(model: Any) -> Facts:
    """Put the lean forward pass in where it fits. Raises ValueError where FOREWORD_LINEARS asks for what cannot be."""
    wanted = os.environ.get(LINEARS) or "auto"
    if wanted not in ("auto", "int8", "bf16"):
        raise ValueError(f"{LINEARS} is {wanted!r}; it may be auto, int8 or bf16.")
    if wanted == "bf16":
        against = f"{LINEARS} asks for bf16"
    elif wanted == "auto" and not os.environ.get(EIGHT_BITS):
        against = "that 8 bits cost this model less than 1% of perplexity is not known"
    else:
        against = against_int8(model)
    if against and wanted == "int8":
        raise ValueError(f"{LINEARS} asks for int8, but {against}. Leave it unset.")
    fixed = os.environ.get(THREADS)
    chosen = as_loaded(fixed, against) if against else lean(model, fixed)
    facts = msgspec.structs.replace(chosen, speculation=in_use())
    print(
        f"Linear layers: {facts.linears}; threads: {facts.threads}; {facts.why}; speculation: {facts.speculation}",
        flush=True,
    )
    tell(facts)
    return facts


def against_int8(model: Any) -> str:
    from engine.cpu.layers import why_not
    from engine.cpu.linears import works_here

    return why_not(model) or works_here()


def as_loaded(fixed: str | None, why: str) -> Facts:
    """SGLang's own forward pass. Its native operations are so many that one core is left to others."""
    torch.set_num_threads(int(fixed) if fixed else max(1, most_threads() - 1))
    return Facts("bf16", torch.get_num_threads(), why)


def lean(model: Any, fixed: str | None) -> Facts:
    from engine.cpu.forward import make_lean

    made = make_lean(model)
    give_back_memory()
    if fixed:
        torch.set_num_threads(int(fixed))
        made.governor = Governor(int(fixed), ran=made.team.ran_s)
        return Facts("int8", int(fixed), f"{THREADS} asks for {fixed} threads")

    def work() -> None:
        made.trial(1)
        made.trial(1)
        made.trial(TRIAL_PROMPT_ROWS)

    counts = candidates(made.threads)
    measured = measure(work, counts, ran=made.team.ran_s, tasks=made.team.tasks)
    most = counts[-1] if measured.busy else measured.threads
    made.governor = Governor(most, measured.threads, ran=made.team.ran_s)
    return Facts("int8", measured.threads, measured.why())


def give_back_memory() -> None:
    """Return the freed weights to the system: the C library keeps blocks of this size for later otherwise."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own; others give back by themselves
        if trim is not None:
            trim(0)
