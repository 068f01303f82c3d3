"""Scheduling for people, hooked into SGLang's scheduler: who is read first, what is never read.

Everything here runs in the scheduler's process, between two steps, and touches internals of the pinned
SGLang (`managers/scheduler.py`, `managers/schedule_batch.py`, `mem_cache/common.py`). `engine.scheduler.internals`
refuses to start on any other form of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from typing import Any

import msgspec

from engine.scheduler import cached_prefix
from engine.scheduler.grammars import forget_grammars
from engine.scheduler.internals import check_hooked, check_internals
from engine.scheduler.superseded import Superseded
from engine.scheduler.turns import EDIT, Turns, rank

SCHEDULER = "sglang.srt.managers.scheduler.Scheduler"
HOOKED = ("get_new_batch_prefill", "process_input_requests", "abort_request")
BACKGROUND_CHUNK_TOKENS = 64
"""One step of a prompt that nobody waits for, without a GPU. A completion that arrives meanwhile waits for half
of it on average; products of 64 rows are nearly as efficient there as those of 256."""
MASKS = ("\0", "\1")
"""One of them in front of an id keeps an abort's id from matching: the one with which that does not begin."""


class Counts(msgspec.Struct):
    """What the step page tells of it."""

    gave_way: int = 0
    """Prompts that were put back between two chunks."""
    dropped: int = 0
    """Requests that were aborted before they arrived, and never read."""


class PrioritySchedule:
    """The hooks, with what they remember."""

    def __init__(self, turns: Turns, superseded: Superseded, background_chunk_tokens: int | None) -> None:
        """`background_chunk_tokens` is the size of a step of a prompt below EDIT; None leaves it as it is."""
        self.counts = Counts()
        self._turns = turns
        self._superseded = superseded
        self._background_chunk_tokens = background_chunk_tokens

    def choose_prefill(self, original: Callable[..., Any], scheduler: Any, running_batch: Any) -> Any:
        """Around `get_new_batch_prefill`: hold back whom `Turns` does not allow.

        At this point the last chunk of `chunked_req` is in the prefix cache, and the requests of the last
        prefill are in `running_batch`.
        """
        queue_ready_grammars(scheduler)
        begun = scheduler.chunked_req
        if begun is None and not scheduler.waiting_queue:  # as between most tokens of an answer
            self._turns.allowed((), None, ())
            return original(scheduler, running_batch)
        answering = [each for each in running_batch.reqs if not each.finished()]
        allowed = self._turns.allowed(scheduler.waiting_queue, begun, answering)
        if begun is not None and begun.rid not in allowed:
            if not can_give_way(begun, scheduler):
                return original(scheduler, running_batch)
            if begun.inflight_middle_chunks > 0:  # overlap: the device still computes its last chunk
                from sglang.srt.managers.schedule_batch import NextBatchPlan

                return NextBatchPlan(batch_to_run=None, running_batch=running_batch)
            give_way(begun, scheduler)
            self.counts.gave_way += 1
        with only(allowed, scheduler), self._chunk_for(allowed, scheduler):
            return original(scheduler, running_batch)

    @contextmanager
    def _chunk_for(self, allowed: frozenset[str], scheduler: Any) -> Generator[None]:
        """Smaller steps while only background work is read: a completion may come at any moment."""
        whole = scheduler.chunked_prefill_size
        begun = [scheduler.chunked_req] if scheduler.chunked_req is not None else []
        reading = [each for each in (*scheduler.waiting_queue, *begun) if each.rid in allowed]
        if self._background_chunk_tokens is None or not whole or any(rank(each) >= EDIT for each in reading):
            yield
            return
        scheduler.chunked_prefill_size = min(whole, self._background_chunk_tokens)
        try:
            yield
        finally:
            scheduler.chunked_prefill_size = whole

    def drop_superseded(self, scheduler: Any, received: list[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Before `process_input_requests`: take out requests whose aborts were here before them."""
        from sglang.srt.managers.io_struct import AbortReq, TokenizedGenerateReqInput

        kept: list[Any] = []
        for message in received:
            if isinstance(message, AbortReq) and not message.abort_all:
                self._superseded.abort(str(message.rid))
            elif isinstance(message, TokenizedGenerateReqInput) and self._superseded.arrive(str(message.rid)):
                scheduler.send_abort_output(AbortReq(rid=message.rid), message)
                self.counts.dropped += 1
                continue
            kept.append(message)
        return (scheduler, kept), {}

    def abort_exactly(self, original: Callable[..., None], scheduler: Any, abort: Any) -> None:
        """Around `abort_request`: SGLang ends every request whose id begins with the one given."""
        if abort.abort_all:
            original(scheduler, abort)
            return
        if not abort.rid:
            return  # it names nobody, and to SGLang every id begins with it
        mask = MASKS[abort.rid.startswith(MASKS[0])]
        others = [(each, each.rid) for each in held_requests(scheduler) if is_longer(each.rid, abort.rid)]
        for each, own in others:
            each.rid = mask + own
        try:
            original(scheduler, abort)
        finally:
            for each, own in others:
                each.rid = own


def is_longer(rid: str, aborted: str) -> bool:
    return rid != aborted and rid.startswith(aborted)


def held_requests(scheduler: Any) -> list[Any]:
    """All requests that the scheduler holds, each once."""
    held = [*scheduler.waiting_queue, *scheduler.grammar_manager.grammar_queue]
    if scheduler.chunked_req is not None:
        held.append(scheduler.chunked_req)
    held.extend(scheduler.collect_inflight_reqs())
    return list({id(each): each for each in held}.values())


def queue_ready_grammars(scheduler: Any) -> None:
    """As SGLang does at the start of a prefill: here, so that these requests too have to wait their turn."""
    if scheduler.grammar_manager.has_waiting_grammars():
        for request in scheduler.grammar_manager.get_ready_grammar_requests():
            scheduler._add_request_to_queue(request)
        forget_grammars(scheduler)


@contextmanager
def only(allowed: Iterable[str], scheduler: Any) -> Generator[None]:
    """Show the scheduler no waiting requests but these."""
    held = [each for each in scheduler.waiting_queue if each.rid not in allowed]
    if held:
        scheduler.waiting_queue = [each for each in scheduler.waiting_queue if each.rid in allowed]
    try:
        yield
    finally:
        if held:
            scheduler.waiting_queue = [*scheduler.waiting_queue, *held]


def can_give_way(request: Any, scheduler: Any) -> bool:
    """Whether all that was computed of it is in the prefix cache: log-probabilities of the prompt and
    recurrent states are not, nor are prompts that may not be shared."""
    return not (
        request.return_logprob
        or request.input_embeds is not None
        or request.session is not None
        or request.multimodal_inputs is not None
        or request.beam_group is not None
        or request.skip_radix_cache_insert
        or scheduler.tree_cache.disable
        or scheduler.tree_cache.supports_mamba()
    )


def give_way(request: Any, scheduler: Any) -> None:
    """Put a prompt that was read in part back to the front of the queue; what was read stays in the prefix
    cache, where it finds it later, unless somebody needs the memory more.

    As `ScheduleBatch.release_req` does for a retraction, but this one is none to its caller: it neither
    counts as one, nor do its own chunks count as cached before.
    """
    from sglang.srt.mem_cache.common import release_kv_cache

    computed, retractions, stain = request.already_computed, request.retraction_count, request.retracted_stain
    release_kv_cache(request, scheduler.tree_cache, checkpoint=False)
    request.reset_for_retract()
    request.already_computed, request.retraction_count = computed, retractions
    request.retracted_stain = stain
    scheduler.chunked_req = None
    scheduler.waiting_queue.insert(0, request)


def schedule_for_people(schedule: PrioritySchedule) -> None:
    """Register the hooks; SGLang applies them before it makes the scheduler. Raises InternalsChangedError."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    check_internals()
    HookRegistry.register(f"{SCHEDULER}.get_new_batch_prefill", schedule.choose_prefill, HookType.AROUND)
    HookRegistry.register(f"{SCHEDULER}.process_input_requests", schedule.drop_superseded, HookType.BEFORE)
    HookRegistry.register(f"{SCHEDULER}.abort_request", schedule.abort_exactly, HookType.AROUND)
    cached_prefix.answer_questions(SCHEDULER)


def check_applied() -> None:
    """Raises InternalsChangedError where SGLang did not take a hook."""
    from sglang.srt.managers.scheduler import Scheduler

    check_hooked(Scheduler, (*HOOKED, *cached_prefix.HOOKED))
