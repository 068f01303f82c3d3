"""Makes an abort that overtakes its request count: hooks on SGLang's tokenizer manager, in the host's process.

There an abort of an unknown request is forgotten. A cancelled completion's abort is a few bytes and its prompt may
be a megabyte, so that the abort does come first. (`engine.scheduler.scheduling` does the same one process further.)
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import Any

from engine.scheduler.internals import check_hooked, check_internals
from engine.scheduler.superseded import Superseded

MANAGER = "sglang.srt.managers.tokenizer_manager.TokenizerManager"
HOOKED = ("abort_request", "generate_request")


def heed_early_aborts(superseded: Superseded) -> None:
    """Register the hooks; call before SGLang's `load_plugins`. Raises InternalsChangedError."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    check_internals()

    def note_abort(_manager: Any, rid: str = "", abort_all: bool = False) -> None:
        if rid and not abort_all:
            superseded.abort(rid)

    def answer(
        original: Callable[..., AsyncGenerator[Any]], manager: Any, obj: Any, request: Any = None
    ) -> AsyncGenerator[Any]:
        rid = getattr(obj, "rid", None)
        if isinstance(rid, str) and superseded.arrive(rid):
            return aborted(obj)
        return original(manager, obj, request)

    HookRegistry.register(f"{MANAGER}.abort_request", note_abort, HookType.BEFORE)
    HookRegistry.register(f"{MANAGER}.generate_request", answer, HookType.AROUND)


def check_applied() -> None:
    """Raises InternalsChangedError where SGLang did not take a hook."""
    from sglang.srt.managers.tokenizer_manager import TokenizerManager

    check_hooked(TokenizerManager, HOOKED)


async def aborted(obj: Any) -> AsyncGenerator[dict[str, Any]]:
    """The one chunk of a request that is over before it began, as SGLang ends one that it aborts in its queue."""
    obj.normalize_batch_and_arguments()  # what SGLang runs after an answer needs it
    reason = {"type": "abort", "message": "Aborted before it arrived."}
    counts = {"prompt_tokens": 0, "completion_tokens": 0, "cached_tokens": 0}
    yield {"text": "", "output_ids": [], "meta_info": {"id": obj.rid, "finish_reason": reason, **counts}}
