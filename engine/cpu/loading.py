"""What the plug-in does to a loaded model, decided once per start, and told to the host."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import wraps
from typing import Any

import msgspec
import torch
from torch.nn.functional import linear, silu

from engine.cpu import EIGHT_BITS
from engine.cpu.facts import Facts, tell
from engine.cpu.speculation.speculation import in_use
from engine.cpu.threads import Governor, candidates, measure, most_threads

LINEARS = "FOREWORD_LINEARS"
"""`int8`, `bf16` or `auto`: 8 bits where the model is known to bear them and the processor multiplies exactly."""
THREADS = "FOREWORD_THREADS"
"""A number of threads, instead of the measured one."""
TRIAL_PROMPT_ROWS = 64
"""With two single rows this makes tokens and prompts weigh alike in the trial."""
TRIAL_BYTES = 128 << 20
"""Of weights in the trial of a model as it was loaded: more than the caches of most, and some 50 ms of work."""
TRIAL_EXPERTS = 8
"""Of a layer's experts in that trial."""
TRIAL_TYPES = (torch.bfloat16, torch.float16, torch.float32)
"""Numbers that PyTorch multiplies as they are."""


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
    chosen = as_loaded(model, fixed, against) if against else lean(model, fixed)
    facts = msgspec.structs.replace(chosen, speculation=in_use())
    print(
        f"Linear layers: {facts.linears}; threads: {facts.threads}; {facts.why}; speculation: {facts.speculation}",
        flush=True,
    )
    tell(facts)
    return facts


def against_int8(model: Any) -> str:
    """Empty where `model` can be run in 8 bits here, else what stands against it; to be asked in its own process."""
    from sglang.srt.runtime_context import get_lora, get_parallel

    from engine.cpu.layers import why_not, why_not_launched_so
    from engine.cpu.linears import works_here

    return why_not_launched_so(get_parallel(), get_lora()) or why_not(model) or works_here()


def as_loaded(model: Any, fixed: str | None, why: str) -> Facts:
    """SGLang's own forward pass, with as many threads as are measured to be worth it, and products of bfloat16 in
    float32 where those are quicker."""
    from engine.cpu.widened import is_worth_it, multiply_widened, widen

    multiply = linear
    if is_worth_it() and widen(model):
        multiply = multiply_widened
        why += "; prompts are multiplied in float32, which this processor does quicker"
    if fixed:
        threads, said = asked_for(fixed, most_threads())
        torch.set_num_threads(threads)
        return Facts("bf16", threads, f"{why}; {said}")
    weights = some_weights(model)
    if not weights:  # of its own native operations there are so many that one core is left to others
        torch.set_num_threads(max(1, most_threads() - 1))
        return Facts("bf16", torch.get_num_threads(), f"{why}; no weights were found to measure threads with")
    forms = {(weight.shape[1], weight.dtype) for weight in weights}
    prompts = {form: torch.zeros(TRIAL_PROMPT_ROWS, form[0], dtype=form[1]) for form in forms}

    def work() -> None:
        for rows in (1, 1, TRIAL_PROMPT_ROWS):
            for weight in weights:
                silu(multiply(prompts[weight.shape[1], weight.dtype][:rows], weight))

    counts = candidates(most_threads())
    with torch.inference_mode():
        measured = measure(work, counts)
    govern(model, Governor(counts[-1] if measured.busy else measured.threads, measured.threads))
    return Facts("bf16", measured.threads, f"{why}; {measured.why()}")


def some_weights(model: torch.nn.Module) -> list[torch.Tensor]:
    """Matrices of the first layers, [outputs, inputs] each, enough that no cache holds them; of experts a few."""
    found: list[torch.Tensor] = []
    layers: Any = getattr(getattr(model, "model", None), "layers", model)
    for parameter in layers.parameters():
        if parameter.dtype not in TRIAL_TYPES or parameter.ndim not in (2, 3):
            continue
        found += parameter.detach()[:TRIAL_EXPERTS] if parameter.ndim == 3 else [parameter.detach()]
        if sum(each.nbytes for each in found) >= TRIAL_BYTES:
            break
    return found


def govern(model: Any, governor: Governor) -> None:
    """Have each forward pass watched: fewer threads for a while where they only wait for one another."""
    forward = model.forward

    @wraps(forward)  # SGLang asks for its parameters
    def governed(*args: Any, **kwargs: Any) -> Any:
        with governor.step():
            return forward(*args, **kwargs)

    model.forward = governed


def asked_for(fixed: str, most: int) -> tuple[int, str]:
    """As many threads as FOREWORD_THREADS asks for and can compute, and what the status says of it."""
    threads = min(int(fixed), most)
    said = f"{THREADS} asks for {fixed} threads"
    return threads, said if threads == int(fixed) else f"{said}, of which {threads} can compute"


def lean(model: Any, fixed: str | None) -> Facts:
    from engine.cpu.forward import make_lean

    made = make_lean(model)
    give_back_memory()
    if fixed:
        threads, said = asked_for(fixed, made.threads)
        torch.set_num_threads(threads)
        made.governor = Governor(threads, least=threads, ran=made.team.ran_s)
        return Facts("int8", threads, said)

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
