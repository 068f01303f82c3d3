"""The worker of speculative decoding: proposes, verifies in one forward pass, and hands on what was accepted."""

from __future__ import annotations

import pkgutil
import time
from contextlib import nullcontext
from typing import Any

import torch
from sglang.srt.managers.utils import GenerationBatchResult
from sglang.srt.mem_cache.allocation import alloc_token_slots
from sglang.srt.model_executor.forward_batch_info import ForwardBatch, ForwardMode
from sglang.srt.plugins.hook_registry import HookRegistry, HookType
from sglang.srt.speculative.base_spec_worker import BaseSpecWorker
from sglang.srt.speculative.spec_info import SpecInput, SpecInputType

from engine.cpu.attention import Request
from engine.cpu.backend import ForewordAttentionBackend
from engine.cpu.forward import Lean, lean_of
from engine.cpu.head import ChoosingHead
from engine.cpu.speculation.proposals import Proposals
from engine.cpu.speculation.speculation import ALGORITHM, UnsupportedSpeculationError, wanted
from engine.cpu.speculation.verification import accept, describe_rows, is_plainly_greedy, last_token

PREPARATION = "sglang.srt.speculative.eagle_utils.eagle_prepare_for_decode"


def prepare_for_decode(batch: Any) -> None:
    """In place of SGLang's preparation of a step, which launches a Triton kernel and reserves far more slots."""
    batch.spec_info.worker.prepare(batch)


def take_over_preparation() -> None:
    """SGLang logs a hook that it could not apply and goes on. Raises UnsupportedSpeculationError instead."""
    HookRegistry.register(PREPARATION, prepare_for_decode, HookType.REPLACE)
    HookRegistry.apply_hooks()
    if not hasattr(pkgutil.resolve_name(PREPARATION), "__wrapped__"):
        raise UnsupportedSpeculationError(
            f"SGLang did not take the hook on {PREPARATION}. Install the version of the lock file."
        )


class NextStep(SpecInput):
    """What a batch carries from the result of one step to the next: nothing but the way back to the worker.

    All that a step needs is read from its requests, so batches may be filtered and merged at will.
    """

    def __init__(self, worker: LookupWorker) -> None:
        super().__init__(SpecInputType.NGRAM_VERIFY)
        self.worker = worker
        self.proposed: list[list[int]] = []
        """For each request of the batch as `LookupWorker.prepare` saw it the tokens to verify."""
        self.greedy = False
        """Whether every next token of that batch is just the most probable one."""

    def filter_batch(self, new_indices: torch.Tensor, new_indices_cpu: list[int] | None = None) -> None:
        del new_indices, new_indices_cpu

    def merge_batch(self, spec_info: NextStep) -> None:
        del spec_info


class LookupWorker(BaseSpecWorker):
    """Stands between SGLang's scheduler and the model's worker."""

    def __init__(self, server_args: Any, gpu_id: int, nccl_port: int, target_worker: Any) -> None:
        super().__init__()
        if not server_args.disable_overlap_schedule:
            raise UnsupportedSpeculationError(
                f"{ALGORITHM} needs --disable-overlap-schedule: proposals follow from the tokens of the last step."
            )
        take_over_preparation()
        self._target_worker = target_worker
        self._proposals = Proposals(wanted())

    @property
    def target_worker(self) -> Any:
        return self._target_worker

    @property
    def draft_worker(self) -> None:
        return None

    def alloc_memory_pool(
        self,
        memory_pool_config: Any = None,
        req_to_token_pool: Any = None,
        token_to_kv_pool_allocator: Any = None,
    ) -> None:
        if token_to_kv_pool_allocator.page_size != 1:
            raise UnsupportedSpeculationError(
                f"{ALGORITHM} needs --page-size 1, and the KV pool has pages of "
                f"{token_to_kv_pool_allocator.page_size} tokens."
            )
        super().alloc_memory_pool(memory_pool_config, req_to_token_pool, token_to_kv_pool_allocator)

    @property
    def _table(self) -> torch.Tensor:
        """[rows, positions]: the slot of each token of each request."""
        pool: Any = self.req_to_token_pool
        return pool.req_to_token

    def clear_cache_pool(self) -> None:
        self._proposals.forget()

    def prepare(self, batch: Any) -> None:
        """Choose what to verify in the next step of this batch, and give each request the slots for it.

        Slots of rejected tokens stay with their request and take its next tokens.
        """
        if batch.sampling_info.penalizer_orchestrator.is_required:
            batch.cumulate_penalty_output_tokens()
        step = batch.spec_info = NextStep(self)
        step.greedy = is_plainly_greedy(batch)
        proposed = step.proposed = (
            self._proposals.choose(batch.reqs) if step.greedy else [[] for _ in batch.reqs]
        )
        rows: list[int] = batch.req_pool_indices_cpu.tolist()
        for request, row, tokens in zip(batch.reqs, rows, proposed, strict=True):
            request.decode_batch_idx += 1
            start: int = request.kv.kv_allocated_len
            end: int = request.kv.kv_committed_len + 1 + len(tokens)
            if end > start:
                slots = alloc_token_slots(batch.tree_cache, end - start)
                batch.req_to_token_pool.req_to_token[row, start:end] = slots
                request.kv.kv_allocated_len = end

    def forward_batch_generation(
        self, batch: Any, on_publish: Any = None, pp_proxy_tensors: Any = None
    ) -> GenerationBatchResult:
        """Run a prefill, an ordinary step, or a step that verifies. The scheduler restores `batch` afterwards."""
        del on_publish, pp_proxy_tensors
        step: NextStep | None = batch.spec_info
        batch.spec_info = None  # the forward pass has nothing to ask of it
        if not batch.forward_mode.is_decode():
            result: GenerationBatchResult = self._target_worker.forward_batch_generation(batch)
            result.new_seq_lens = batch.seq_lens
            result.accept_lens = torch.ones(len(batch.reqs), dtype=torch.int32)
        else:
            proposed = step.proposed if step is not None else [[] for _ in batch.reqs]
            # of this thread: while other programs hold the core, the wall clock tells of them
            started_s = time.thread_time()
            greedy = step is not None and step.greedy
            rows = len(proposed) + sum(len(tokens) for tokens in proposed)
            if greedy and (direct := self._direct(rows)) is not None:
                result = self._choose_directly(batch, proposed, *direct)
            elif any(proposed):
                result = self._verify(batch, proposed)
            else:
                result = self._decode(batch, greedy=greedy)
            self._proposals.costs.observe(rows, time.thread_time() - started_s)
        result.next_draft_input = NextStep(self)
        return result

    def _direct(self, rows: int) -> tuple[Lean, ForewordAttentionBackend] | None:
        """The model and its attention, where they choose for so many rows without SGLang's layers around them."""
        runner: Any = self._target_worker.model_runner
        lean = lean_of(runner.model)
        if lean is None or not lean.chooses(runner.attn_backend, rows):
            return None
        return lean, runner.attn_backend

    def _choose_directly(
        self, batch: Any, proposed: list[list[int]], lean: Lean, backend: ForewordAttentionBackend
    ) -> GenerationBatchResult:
        """As `_verify`, of a greedy batch, with or without proposals."""
        tokens: list[int] = []
        positions: list[int] = []
        slots: list[torch.Tensor] = []
        rows: list[Request] = []
        for request, row, length, some in zip(
            batch.reqs, batch.req_pool_indices_cpu.tolist(), batch.seq_lens.tolist(), proposed, strict=True
        ):
            end = length + 1 + len(some)
            tokens += (last_token(request), *some)
            positions += range(length, end)
            slots.append(self._table[row, length:end])
            rows.append(backend.request(row, end - length, end))
        chosen = lean.choose(tokens, torch.tensor(positions), torch.cat(slots).long(), rows, backend)
        return accepted(GenerationBatchResult(), batch.seq_lens, proposed, chosen)

    def _decode(self, batch: Any, *, greedy: bool) -> GenerationBatchResult:
        """One token for each request, as without speculation."""
        lengths = batch.seq_lens
        batch.input_ids = torch.tensor([last_token(each) for each in batch.reqs], dtype=torch.int64)
        batch.out_cache_loc = self._table[batch.req_pool_indices, lengths].to(torch.int64)
        batch.seq_lens = lengths + 1
        batch.seq_lens_cpu = batch.seq_lens
        batch.orig_seq_lens = batch.orig_seq_lens + 1
        batch.seq_lens_sum = None
        result = self._next_tokens(batch, greedy=greedy)
        result.accept_lens = torch.ones(len(batch.reqs), dtype=torch.int32)
        result.speculative_num_draft_tokens = 1
        result.new_seq_lens = batch.seq_lens
        logprobs = result.logits_output.next_token_logprobs if result.logits_output else None
        if logprobs is not None:
            assert result.logits_output is not None
            result.logits_output.next_token_logprobs = logprobs.unsqueeze(1)  # [requests, tokens of each]
        return result

    def _next_tokens(self, batch: Any, *, greedy: bool) -> GenerationBatchResult:
        """Of a batch that is ready for one ordinary step; without logits where only the choice counts."""
        head = self._head
        if head is None or not greedy:
            return self._target_worker.forward_batch_generation(batch)
        forward = ForwardBatch.init_new(
            batch, self._target_worker.model_runner, return_hidden_states_before_norm=False
        )
        with head.choosing() as chosen:
            result: GenerationBatchResult = self._target_worker.forward_batch_generation(
                batch=None, forward_batch=forward, is_verify=True
            )
        result.next_token_ids = torch.tensor(chosen)
        return result

    @property
    def _head(self) -> ChoosingHead | None:
        """The output layer, where it can choose without computing all logits."""
        head: Any = getattr(self._target_worker.model_runner.model, "lm_head", None)
        method = getattr(head, "quant_method", None)
        return method if isinstance(method, ChoosingHead) else None

    def _verify(self, batch: Any, proposed: list[list[int]]) -> GenerationBatchResult:
        """The last token of each request and what is proposed after it, in one forward pass."""
        rows = [1 + len(tokens) for tokens in proposed]
        lengths: list[int] = batch.seq_lens.tolist()
        batch.forward_mode = ForwardMode.TARGET_VERIFY
        batch.input_ids = torch.tensor(
            [
                token
                for request, tokens in zip(batch.reqs, proposed, strict=True)
                for token in (last_token(request), *tokens)
            ],
            dtype=torch.int64,
        )
        pool_rows: list[int] = batch.req_pool_indices.tolist()
        slots = [
            self._table[pool_row, length : length + count]
            for pool_row, length, count in zip(pool_rows, lengths, rows, strict=True)
        ]
        batch.out_cache_loc = torch.cat(slots).to(torch.int64)
        forward = ForwardBatch.init_new(
            batch, self._target_worker.model_runner, return_hidden_states_before_norm=False
        )
        describe_rows(forward, lengths, rows)
        head = self._head
        with head.choosing() if head is not None else nullcontext[list[int]]([]) as chosen:
            result: GenerationBatchResult = self._target_worker.forward_batch_generation(
                batch=None, forward_batch=forward, is_verify=True
            )
        if head is None:
            logits: Any = result.logits_output
            chosen = logits.next_token_logits.argmax(dim=-1).tolist()
        return accepted(result, batch.seq_lens, proposed, chosen)


def accepted(
    result: GenerationBatchResult, lengths: torch.Tensor, proposed: list[list[int]], chosen: list[int]
) -> GenerationBatchResult:
    """Fill in the tokens of requests of these lengths that rest on proposals that came true, and one more of each."""
    runs: list[list[int]] = []
    start = 0
    for tokens in proposed:
        runs.append(accept(tokens, chosen[start : start + 1 + len(tokens)]))
        start += 1 + len(tokens)
    width = max(len(tokens) for tokens in runs)
    padded = [tokens + [0] * (width - len(tokens)) for tokens in runs]
    result.next_token_ids = torch.tensor(padded).flatten()
    result.accept_lens = torch.tensor([len(tokens) for tokens in runs], dtype=torch.int32)
    result.speculative_num_draft_tokens = width
    result.new_seq_lens = lengths + result.accept_lens
    return result
