"""Entry point of SGLang's scheduler process: it keeps the step page, takes its turns by our rule, its rendezvous is
private, and alone it has one process group."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from engine.hosting.groups import keep_rendezvous_private, share_one_group
from engine.hosting.steps import NEVER, StepPage, Steps
from engine.scheduler.scheduling import (
    BACKGROUND_CHUNK_TOKENS,
    SCHEDULER,
    Counts,
    PrioritySchedule,
    check_applied,
    schedule_for_people,
)
from engine.scheduler.superseded import Superseded
from engine.scheduler.turns import EDIT, Turns


class StepRecorder:
    """Turns the scheduler's calls into the step page."""

    def __init__(self, page: StepPage, counts: Counts) -> None:
        self._page = page
        self._counts = counts
        self._aborts = 0
        self._abort_step = NEVER
        self._idle_step = NEVER
        self._requests = 0
        self._prompt_tokens = 0
        self._cached_tokens = 0
        self._urgent_arrival_step = NEVER
        self._urgent_read_step = NEVER
        self._arrived_ns = self._launched_ns = self._stepped_ns = 0

    def before_input(self, scheduler: Any, received: list[Any]) -> None:
        """An abort arrives when the scheduler takes it out of its queue, between two steps."""
        from sglang.srt.managers.io_struct import AbortReq, TokenizedGenerateReqInput

        requests = [each for each in received if isinstance(each, TokenizedGenerateReqInput)]
        if requests:
            self._arrived_ns = time.monotonic_ns()
        if any(is_urgent(each) for each in requests):
            self._urgent_arrival_step = int(scheduler.forward_ct)
            self._urgent_read_step = NEVER
        arrived = sum(isinstance(request, AbortReq) for request in received)
        if arrived:
            self._aborts += arrived
            self._abort_step = int(scheduler.forward_ct)
            self._idle_step = NEVER
        if received:
            self._write(scheduler)

    def before_step(self, _scheduler: Any, _batch: Any, *_: Any, **__: Any) -> None:
        self._launched_ns = time.monotonic_ns()

    def before_idle(self, scheduler: Any) -> None:
        if self._idle_step == NEVER and self._abort_step != NEVER and scheduler.is_fully_idle():
            self._idle_step = int(scheduler.forward_ct)
        self._write(scheduler)

    def after_step(self, _: None, scheduler: Any, batch: Any, __: Any) -> None:
        self._stepped_ns = time.monotonic_ns()
        if batch.forward_mode.is_extend():
            self._count_prompts(batch)
            if any(is_urgent(each) and each is not batch.chunked_req for each in batch.reqs):
                self._urgent_read_step = int(scheduler.forward_ct)
        self._write(scheduler, batch)

    def _count_prompts(self, batch: Any) -> None:
        """Each prompt once: at its last chunk, and not again when it had to make room and was read anew."""
        for request in batch.reqs:
            if request is not batch.chunked_req and not request.retracted_stain:
                self._requests += 1
                self._prompt_tokens += len(request.origin_input_ids)
                self._cached_tokens += int(request.cached_tokens)

    def _write(self, scheduler: Any, step: Any = None) -> None:
        """After a prefill its requests are in no other batch than that of the `step`, until the next one begins."""
        batches = [
            batch for batch in (scheduler.running_batch, scheduler.last_batch, step) if batch is not None
        ]
        held = {each.rid for batch in batches for each in batch.reqs if not each.finished()}
        held |= {each.rid for each in scheduler.waiting_queue}
        if scheduler.chunked_req is not None:
            held.add(scheduler.chunked_req.rid)
        waiting, running = len(scheduler.waiting_queue), len(held)
        free = scheduler.token_to_kv_pool_allocator.available_size() + scheduler.tree_cache.evictable_size()
        self._page.write(
            Steps(
                steps=int(scheduler.forward_ct),
                aborts=self._aborts,
                last_abort_arrival_step=self._abort_step,
                idle_step=self._idle_step,
                running=running,
                kv_free_tokens=int(free),
                kv_total_tokens=int(scheduler.max_total_num_tokens),
                waiting=waiting,
                requests=self._requests,
                prompt_tokens=self._prompt_tokens,
                cached_tokens=self._cached_tokens,
                gave_way=self._counts.gave_way,
                dropped=self._counts.dropped,
                urgent_arrival_step=self._urgent_arrival_step,
                urgent_read_step=self._urgent_read_step,
                arrived_ns=self._arrived_ns,
                launched_ns=self._launched_ns,
                stepped_ns=self._stepped_ns,
            )
        )


def is_urgent(request: Any) -> bool:
    """Whether somebody waits for it at a cursor."""
    return request.priority is not None and request.priority > EDIT


def record_steps(page_path: Path, counts: Counts) -> None:
    """Hook the scheduler class of this process (SGLang applies hooks before it constructs the scheduler)."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    recorder = StepRecorder(StepPage(page_path), counts)
    HookRegistry.register(f"{SCHEDULER}.process_input_requests", recorder.before_input, HookType.BEFORE)
    HookRegistry.register(f"{SCHEDULER}.run_batch", recorder.before_step, HookType.BEFORE)
    HookRegistry.register(f"{SCHEDULER}.on_idle", recorder.before_idle, HookType.BEFORE)
    HookRegistry.register(f"{SCHEDULER}.process_batch_result", recorder.after_step, HookType.AFTER)


def is_alone(server_args: Any) -> bool:
    """Whether this scheduler is the only one: neither the model nor its requests are shared out."""
    return server_args.tp_size == server_args.pp_size == server_args.dp_size == 1


def is_first(tp_rank: int, pp_rank: int, dp_rank: int | None) -> bool:
    """Whether this scheduler keeps the step page: exactly one may. Without data parallelism that rank is None."""
    return tp_rank == 0 and pp_rank == 0 and not dp_rank


def run_scheduler(page_path: Path, server_args: Any, port_args: Any, *args: Any, **kwargs: Any) -> None:
    """SGLang's scheduler process; `args` as SGLang gives them: gpu id, ranks, and the pipe to the host."""
    from sglang.srt.managers.scheduler import run_scheduler_process
    from sglang.srt.plugins import load_plugins
    from sglang.srt.plugins.hook_registry import HookRegistry

    keep_rendezvous_private()
    share_one_group()
    alone = is_alone(server_args)
    if alone:  # several schedulers must choose alike, and their clocks do not
        chunk = BACKGROUND_CHUNK_TOKENS if server_args.device == "cpu" else None
        schedule = PrioritySchedule(Turns(time.monotonic), Superseded(time.monotonic), chunk)
        schedule_for_people(schedule)
        counts = schedule.counts
    else:
        counts = Counts()
    if is_first(*args[1:4]):
        record_steps(page_path, counts)
    load_plugins()
    HookRegistry.apply_hooks()  # a fork has its plugins already, and these hooks not yet
    if alone:
        check_applied()
    run_scheduler_process(server_args, port_args, *args, **kwargs)
