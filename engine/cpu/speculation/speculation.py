"""Speculative decoding on the CPU: tokens looked up in the text are verified by the model itself, several in one step.

The door is SGLang's own: an algorithm registered under `ALGORITHM`, whose worker stands between the scheduler and the
model. The scheduler then takes several tokens per step and request, ends them at stops, and frees or caches what was
accepted. Two things are ours beside the worker: SGLang's algorithm class for plug-ins lacks methods that its
scheduler calls, and its preparation of a step launches a Triton kernel, so `engine.cpu.speculation.worker` replaces
that.

A token is accepted only where the model's own greedy choice is the same, so the text is that of ordinary decoding (up
to ties within the rounding of bfloat16: a product of several rows may add in another order). Requests for which that
cannot be said (sampling, penalties, grammars, wanted log-probabilities) are decoded in ordinary steps, as are all steps
for which nothing worth its rows is found.
"""

from __future__ import annotations

import os
from enum import StrEnum
from typing import Any

ALGORITHM = "FOREWORD_LOOKUP"
MOST_ROWS = 8
"""Rows of one step at most: 7 proposed tokens and the one that is sure. Longer proposals seldom hold, and attention has
a quick way for up to 8 rows (`engine.cpu.backend`)."""


class Mode(StrEnum):
    """`FOREWORD_SPECULATION`."""

    OFF = "off"
    ON = "on"
    """Verify every proposal; for tests and comparisons."""
    AUTO = "auto"
    """Verify what promises more tokens per second."""


class UnsupportedSpeculationError(NotImplementedError):
    """SGLang runs in a way in which our worker cannot serve."""


def wanted() -> Mode:
    """What `FOREWORD_SPECULATION` says. Raises UnsupportedSpeculationError for a word that it does not know."""
    word = os.environ.get("FOREWORD_SPECULATION", "") or Mode.AUTO
    try:
        return Mode(word)
    except ValueError:
        raise UnsupportedSpeculationError(
            f"FOREWORD_SPECULATION is {word!r}; set it to one of {', '.join(Mode)}."
        ) from None


def in_use() -> Mode:
    """How this engine speculates; to be asked in the scheduler's process."""
    from sglang.srt.runtime_context import get_spec

    return wanted() if get_spec().speculative_algorithm == ALGORITHM else Mode.OFF


def announce() -> None:
    """See to it that this process knows the algorithm when SGLang first asks for one by name.

    Our platform is made in the middle of SGLang's imports, when its table of algorithms cannot be imported yet.
    """
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    def before(*_: Any) -> None:
        register()

    HookRegistry.register(
        "sglang.srt.speculative.spec_info.SpeculativeAlgorithm.from_string", before, HookType.BEFORE
    )


def register() -> None:
    """Make the algorithm known in this process. May be called again."""
    from sglang.srt.speculative.spec_info import SpeculativeAlgorithm
    from sglang.srt.speculative.spec_registry import CustomSpecAlgo, get_spec

    if get_spec(ALGORITHM) is not None:
        return  # SGLang asks for the algorithm in every step

    class LookupAlgorithm(CustomSpecAlgo):
        """What SGLang asks about the algorithm, and its class for plug-ins does not answer."""

        def has_draft_kv(self) -> bool:
            return False

        def carries_draft_hidden_states(self) -> bool:
            return False

        def need_topk(self) -> bool:
            return False

        def create_future_map(self, *args: Any, **kwargs: Any) -> Any:
            from sglang.srt.managers.overlap_utils import FutureMap

            device, *rest = args
            return FutureMap(device, self, *rest, **kwargs)  # pyright: ignore[reportArgumentType]

    SpeculativeAlgorithm.register(ALGORITHM, supports_overlap=True, spec_class=LookupAlgorithm)(_worker_class)


def _worker_class(server_args: Any) -> type:
    del server_args
    from engine.cpu.speculation.worker import LookupWorker

    return LookupWorker


def apply_defaults(server_args: Any) -> None:
    """Turn speculation on where it can run and nobody chose an algorithm; SGLang asks this through our platform."""
    if wanted() is Mode.OFF or server_args.speculative_algorithm is not None:
        return
    one_worker = server_args.tp_size == 1 and server_args.pp_size == 1
    if one_worker and server_args.disable_overlap_schedule and server_args.page_size in (None, 1):
        register()
        server_args.speculative_algorithm = ALGORITHM
        server_args.speculative_num_draft_tokens = MOST_ROWS
