"""Parts of a step that verifies proposed tokens: which batches allow it, what the forward pass is told, and what is
accepted.

The objects are SGLang's batches and requests.
"""

from __future__ import annotations

from typing import Any

import torch


def accept(proposed: list[int], chosen: list[int]) -> list[int]:
    """The model's own tokens as far as they rest on proposed ones that came true, and one more.

    `chosen[i]` is the model's choice after `proposed[:i]`.
    """
    agreed = 0
    while agreed < len(proposed) and proposed[agreed] == chosen[agreed]:
        agreed += 1
    return chosen[: agreed + 1]


def describe_rows(forward: Any, lengths: list[int], rows: list[int]) -> None:
    """Tell the forward pass what it tells of itself in a prefill: how many rows each request has, after how many
    cached tokens. SGLang leaves that out where every request verifies equally many."""
    count = torch.tensor(rows, dtype=torch.int32)
    forward.extend_seq_lens = count
    forward.extend_seq_lens_cpu = rows
    forward.extend_prefix_lens = torch.tensor(lengths, dtype=torch.int32)
    forward.extend_prefix_lens_cpu = lengths
    forward.extend_num_tokens = sum(rows)
    forward.extend_start_loc = count.cumsum(0).to(torch.int32) - count
    forward.seq_lens = forward.seq_lens + count
    forward.seq_lens_cpu = forward.seq_lens
    forward.seq_lens_sum = sum(lengths) + sum(rows)
    forward.orig_seq_lens = forward.orig_seq_lens + count
    forward.positions = torch.cat(
        [torch.arange(length, length + each) for length, each in zip(lengths, rows, strict=True)]
    )


def is_plainly_greedy(batch: Any) -> bool:
    """Whether every next token of the batch is just the most probable one."""
    sampling: Any = batch.sampling_info
    return bool(
        sampling.is_all_greedy
        and not sampling.penalizer_orchestrator.is_required
        and not sampling.has_custom_logit_processor
        and not sampling.has_watermark_candidates
        and sampling.logit_bias is None
        and not batch.has_grammar
        and not batch.return_logprob
        and not batch.return_hidden_states
        and not any(request.return_sampling_mask for request in batch.reqs)
    )


def last_token(request: Any) -> int:
    """The token that is written and not yet read."""
    return int(request.output_ids[-1])


def tokens_left(request: Any) -> int:
    """How many tokens may be proposed before the request has all it asked for: a step yields one more than that."""
    return int(request.sampling_params.max_new_tokens) - len(request.output_ids) - 1
