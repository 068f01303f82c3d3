"""Windows past what a model was trained on: YaRN, a launch setting that is off unless somebody asks for such a
window.

SGLang takes the change of the model's configuration as `--json-model-override-args`. It derives its limit from
`max_position_embeddings` once `original_max_position_embeddings` is there, and its Qwen3-MoE works the factor out
of the same two numbers, so all three are given; `rope_theta` too, since a new `rope_scaling` may replace the
whole. YaRN (Peng et al., arXiv:2309.00071) scales short texts as well and costs a little quality there: hence off.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from engine.models.model import Profile

OVERRIDE = "--json-model-override-args"


class WindowError(Exception):
    """The configured window cannot be served; the message says why and which one can."""


def is_extended(profile: Profile, window: int | None) -> bool:
    """Whether this window goes past the model's own, so that YaRN is on. Raises WindowError past the limit."""
    if window is None or window <= profile.context_native:
        return False
    if profile.context_extended is None:
        raise WindowError(
            f"A window of {window:,} tokens is larger than that of {profile.short}, which is "
            f"{profile.context_native:,} and cannot be extended. Configure at most that, or choose a model with a "
            "larger window."
        )
    if window > profile.context_extended:
        raise WindowError(
            f"A window of {window:,} tokens is larger than {profile.short} can have: its own is "
            f"{profile.context_native:,}, with YaRN at most {profile.context_extended:,}. Configure at most that."
        )
    return True


def override_arguments(profile: Profile, window: int | None) -> list[str]:
    """What SGLang must be told for this window; nothing within the model's own. Raises WindowError."""
    if window is None or not is_extended(profile, window):
        return []
    scaling: dict[str, object] = {
        "rope_type": "yarn",
        "type": "yarn",  # the older name, which would otherwise stay "default" beside the new one
        "factor": window / profile.context_native,
        "original_max_position_embeddings": profile.context_native,
    }
    if profile.shape is not None:
        scaling["rope_theta"] = profile.shape.rope_theta
    return [OVERRIDE, json.dumps({"max_position_embeddings": window, "rope_scaling": scaling})]


def tells_extended(arguments: Sequence[str]) -> bool:
    """Whether a command line of SGLang has YaRN on: for the status."""
    return any(json.loads(value).get("rope_scaling") for value in _overrides(arguments))


def _overrides(arguments: Sequence[str]) -> list[str]:
    return [value for name, value in itertools.pairwise(arguments) if name == OVERRIDE]
