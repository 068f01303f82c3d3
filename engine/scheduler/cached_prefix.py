"""Answers in SGLang's scheduler how much of a prompt its prefix cache holds, without computing or touching anything.

`match_prefix` of SGLang's caches would do, but whoever only looks must change nothing: it makes what it finds the most
recently used, and splits nodes. The question travels as the id of a `GetInternalStateReq`, the one message of the
pinned SGLang that carries a text to the scheduler and an open answer back.
"""

from __future__ import annotations

import base64
from array import array
from collections.abc import Callable
from typing import Any

ASKED = "foreword-cached:"
"""Before the ids of a question."""
ANSWERED = "foreword_cached"
"""The key of the answer in the internal state."""
WIDE_CODE = "q"
"""64-bit integers: what the keys of SGLang's tree are made of."""
HOOKED = ("get_internal_state",)


def question(ids: array[int]) -> str:
    """The id of a message that asks for 64-bit `ids`."""
    return ASKED + base64.b64encode(ids.tobytes()).decode()


def asked_for(rid: str | None) -> array[int] | None:
    """The ids that a message asks for; None where it asks for something else."""
    if rid is None or not rid.startswith(ASKED):
        return None
    ids = array(WIDE_CODE)
    ids.frombytes(base64.b64decode(rid.removeprefix(ASKED)))
    return ids


def leading(tree: Any, ids: array[int]) -> int | None:
    """How many of the first of `ids` are in `tree`, in whole pages; None where it cannot be told: with sliding windows
    or recurrent states what can be used of a prefix is not only a matter of its length."""
    from sglang.srt.mem_cache.radix_cache import RadixKey
    from sglang.srt.mem_cache.unified_radix_cache import UnifiedRadixCache

    if not isinstance(tree, UnifiedRadixCache) or tree.disable or len(tree.tree_components) != 1:
        return None
    found, _, _ = tree.tree_core.match_full_device_prefix(RadixKey(ids))
    return found


def answer(original: Callable[..., Any], scheduler: Any, received: Any) -> Any:
    """Around `get_internal_state`: a question is answered here, everything else as before."""
    ids = asked_for(received.rid)
    if ids is None:
        return original(scheduler, received)
    from sglang.srt.managers.io_struct import GetInternalStateReqOutput

    return GetInternalStateReqOutput(internal_state={ANSWERED: leading(scheduler.tree_cache, ids)})


def answer_questions(scheduler: str) -> None:
    """Register the hook on the class of this name; SGLang applies it before it makes the scheduler."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    HookRegistry.register(f"{scheduler}.get_internal_state", answer, HookType.AROUND)
