"""Refuses any SGLang but the one that our hooks were written for: what they touch has no stable interface.

The lock files pin its version; this tells somebody who installed another, before requests go wrong.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Iterable

PARAMETERS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("sglang.srt.managers.scheduler", "Scheduler.get_new_batch_prefill", ("self", "running_batch")),
    ("sglang.srt.managers.scheduler", "Scheduler.process_input_requests", ("self", "recv_reqs")),
    ("sglang.srt.managers.scheduler", "Scheduler.abort_request", ("self", "recv_req")),
    ("sglang.srt.managers.scheduler", "Scheduler.send_abort_output", ("self", "abort_req", "req")),
    ("sglang.srt.managers.scheduler", "Scheduler.collect_inflight_reqs", ("self",)),
    ("sglang.srt.managers.scheduler", "Scheduler._add_request_to_queue", ("self", "req", "is_retracted")),
    ("sglang.srt.managers.schedule_batch", "Req.reset_for_retract", ("self",)),
    (
        "sglang.srt.managers.tokenizer_manager",
        "TokenizerManager.abort_request",
        ("self", "rid", "abort_all"),
    ),
    (
        "sglang.srt.managers.tokenizer_manager",
        "TokenizerManager.generate_request",
        ("self", "obj", "request"),
    ),
    ("sglang.srt.entrypoints.http_server", "serve_generate_request", ("obj", "request")),
    ("sglang.srt.mem_cache.common", "release_kv_cache", ("req", "tree_cache", "checkpoint")),
    ("sglang.srt.managers.scheduler", "Scheduler.get_internal_state", ("self", "recv_req")),
    (
        "sglang.srt.mem_cache.unified_cache.unified_tree_core_interface",
        "UnifiedTreeCoreInterface.match_full_device_prefix",
        ("self", "key"),
    ),
)
"""Functions of SGLang that are called or wrapped, with the names of their parameters."""

MENTIONED: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "sglang.srt.managers.scheduler",
        "Scheduler.get_next_batch_to_run",
        ("self.stash_chunked_request(self.chunked_req)", "self.get_new_batch_prefill(running_batch)"),
    ),
    (
        "sglang.srt.managers.scheduler",
        "Scheduler._get_new_batch_prefill_raw",
        ("self.chunked_prefill_size", "self.waiting_queue", "has_waiting_grammars"),
    ),
    ("sglang.srt.managers.scheduler", "Scheduler.abort_request", (".rid.startswith(recv_req.rid)",)),
    (
        "sglang.srt.constrained.grammar_manager",
        "GrammarManager",
        ("self.grammar_queue", "def clear(self)", "self.grammar_backend.reset()"),
    ),
    (
        "sglang.srt.constrained.base_grammar_backend",
        "BaseGrammarBackend",
        ("self.cache", "self.cache.clear()"),
    ),
    (
        "sglang.srt.managers.schedule_batch",
        "Req",
        (
            *(
                "self.already_computed",
                "self.retraction_count",
                "self.retracted_stain",
                "self.return_logprob",
            ),
            *("self.input_embeds", "self.session ", "self.multimodal_inputs", "self.beam_group"),
            *("skip_radix_cache_insert", "self.inflight_middle_chunks", "self.priority"),
        ),
    ),
    ("sglang.srt.managers.schedule_batch", "NextBatchPlan", ("batch_to_run", "running_batch")),
    (
        "sglang.srt.mem_cache.unified_radix_cache",
        "UnifiedRadixCache.__init__",
        ("self.tree_core", "self.tree_components", "self.disable"),
    ),
    (
        "sglang.srt.managers.tokenizer_control_mixin",
        "TokenizerControlMixin",
        ("self.get_internal_state_communicator(req)", "self.auto_create_handle_loop()"),
    ),
)
"""Source that must hold these words, for that is what the hooks take part in."""


class InternalsChangedError(Exception):
    """SGLang is not the version that the hooks were written for."""


def check_internals() -> None:
    """Raises InternalsChangedError naming the first thing that is not as expected."""
    for module, name, expected in PARAMETERS:
        found = tuple(inspect.signature(resolved(module, name)).parameters)
        if found != expected:
            raise changed(f"{module}.{name} takes {', '.join(found)} and not {', '.join(expected)}")
    for module, name, words in MENTIONED:
        source = inspect.getsource(resolved(module, name))
        for word in words:
            if word not in source:
                raise changed(f"{module}.{name} no longer has {word!r}")


def check_hooked(owner: type, names: Iterable[str]) -> None:
    """SGLang logs a hook that it could not apply, and goes on. Raises InternalsChangedError instead."""
    for name in names:
        if not hasattr(getattr(owner, name), "__wrapped__"):
            raise changed(f"{owner.__name__}.{name} did not take its hook")


def resolved(module: str, name: str) -> type:
    """A class or function, typed as what `inspect` takes of either."""
    try:
        return pkgutil.resolve_name(f"{module}:{name}")
    except (AttributeError, ImportError) as error:
        raise changed(f"{module}.{name} is gone") from error


def changed(what: str) -> InternalsChangedError:
    return InternalsChangedError(
        f"Foreword's scheduling does not fit this SGLang: {what}. Install the version of the lock file."
    )
