"""llama.cpp in a process of its own: answers requests on stdin with results on stdout.

Run as a plain file by the interpreter of the venv that holds llama-cpp-python, so it imports nothing of Foreword.
A message is four bytes of length (big endian) and that many bytes of JSON. All times are taken here, around
llama.cpp's own calls: a server's HTTP and tokenizing are not counted against it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import struct
import sys
import time
from collections.abc import Sequence
from typing import Any

SEQUENCE = 0
LOGIT_ROWS = 256
"""Rows of logits kept at once for perplexity: 152K of vocabulary times 4 bytes times this are 156 MB."""
FTYPES = {"q8_0": "LLAMA_FTYPE_MOSTLY_Q8_0", "bf16": "LLAMA_FTYPE_MOSTLY_BF16"}


class Session:
    """One model and one context; `held` are the ids whose keys and values sequence 0 has."""

    def __init__(self) -> None:
        self.api: Any = importlib.import_module("llama_cpp.llama_cpp")
        self.numpy: Any = importlib.import_module("numpy")
        self.api.llama_backend_init()
        self._keep_log = self.api.llama_log_callback(_silent)
        self.api.llama_log_set(self._keep_log, ctypes.c_void_p(0))
        self.model: Any = None
        self.context: Any = None
        self.batch: Any = None
        self.batch_tokens = 0
        self.vocabulary = 0
        self.held: list[int] = []

    def open(
        self, file: str, threads: int, flash: bool, batch: int, ubatch: int, context: int, sequences: int = 1
    ) -> dict[str, Any]:
        """Load `file` (kept when it is the one loaded already) and make a context with these settings."""
        api = self.api
        self._close_context()
        began = time.perf_counter()
        if self.model is not None:
            api.llama_model_free(self.model)
        self.model = api.llama_model_load_from_file(file.encode(), api.llama_model_default_params())
        if not self.model:
            self.model = None
            raise RuntimeError(f"llama.cpp does not load {file}")
        params = api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, batch, ubatch
        params.n_threads = params.n_threads_batch = threads
        params.n_seq_max, params.kv_unified = sequences, True
        params.flash_attn_type = (
            api.LLAMA_FLASH_ATTN_TYPE_ENABLED if flash else api.LLAMA_FLASH_ATTN_TYPE_DISABLED
        )
        self.context = api.llama_init_from_model(self.model, params)
        if not self.context:
            self.context = None
            raise RuntimeError(f"llama.cpp makes no context of {context} tokens for {file}")
        self.batch = api.llama_batch_init(batch, 0, 1)
        self.batch_tokens = batch
        self.vocabulary = api.llama_vocab_n_tokens(api.llama_model_get_vocab(self.model))
        self.held = []
        return {"seconds": time.perf_counter() - began, "system": api.llama_print_system_info().decode()}

    def read(self, ids: list[int]) -> dict[str, Any]:
        """Seconds to the first token: what is held up to the divergence stays, the rest is evaluated."""
        began = time.perf_counter()
        reused = self._keep_common(ids)
        self._evaluate(ids[reused:], reused)
        token = self._best()
        seconds = time.perf_counter() - began
        self.held = list(ids)
        return {"seconds": seconds, "reused": reused, "token": token}

    def decode(self, ids: list[int], tokens: int) -> dict[str, Any]:
        """Seconds per token after the first, greedy, whatever the tokens are."""
        first = self.read(ids)
        written, token = [first["token"]], first["token"]
        began = time.perf_counter()
        while len(written) < tokens:
            self._evaluate([token], len(self.held))
            self.held.append(token)
            token = self._best()
            written.append(token)
        return {
            "seconds_per_token": (time.perf_counter() - began) / (tokens - 1),
            "seconds": first["seconds"],
            "ids": written,
        }

    def pair(self, bases: list[list[int]], news: list[list[int]], tokens: int) -> dict[str, Any]:
        """Two cached prompts go on at the same time: seconds until both have `tokens` tokens."""
        self._clear()
        for sequence, base in enumerate(bases):
            self._evaluate(base, 0, sequence)
        began = time.perf_counter()
        rows = [
            (token, len(bases[at]) + offset, at)
            for at, new in enumerate(news)
            for offset, token in enumerate(new)
        ]
        last = [len(news[0]) - 1, len(rows) - 1]
        self._run(rows, wanted=set(last))
        best = [self._best(row) for row in last]
        for step in range(tokens - 1):
            at = [len(bases[i]) + len(news[i]) + step for i in range(len(bases))]
            self._run([(best[i], at[i], i) for i in range(len(bases))], wanted={0, 1})
            best = [self._best(row) for row in range(len(bases))]
        seconds = time.perf_counter() - began
        self._clear()
        return {"seconds": seconds}

    def save(self, path: str) -> dict[str, Any]:
        """Keys and values of what is held, into a file."""
        ids = (ctypes.c_int32 * len(self.held))(*self.held)
        written = self.api.llama_state_seq_save_file(
            self.context, path.encode(), SEQUENCE, ids, len(self.held)
        )
        if not written:
            raise RuntimeError(f"llama.cpp could not save its state to {path}")
        return {"bytes": int(written)}

    def restore(self, path: str) -> dict[str, Any]:
        """The state of a file, made with the same setting of flash attention."""
        self._clear()
        room = int(self.api.llama_n_ctx(self.context))
        ids, count = (ctypes.c_int32 * room)(), ctypes.c_size_t(0)
        if not self.api.llama_state_seq_load_file(
            self.context, path.encode(), SEQUENCE, ids, room, ctypes.byref(count)
        ):
            raise RuntimeError(f"llama.cpp does not take back the state of {path}")
        self.held = list(ids[: count.value])
        return {"tokens": len(self.held)}

    def perplexity(self, windows: list[list[int]]) -> dict[str, Any]:
        """Sum of the negative log-likelihoods of every id but each window's first, and how many they are."""
        total, count = 0.0, 0
        for ids in windows:
            self._clear()
            for start in range(0, len(ids), LOGIT_ROWS):
                part = ids[start : start + LOGIT_ROWS]
                self._run(
                    [(token, start + at, SEQUENCE) for at, token in enumerate(part)],
                    wanted=set(range(len(part))),
                )
                following = ids[start + 1 : start + 1 + len(part)]
                total += self._negative_log_likelihood(following)
                count += len(following)
        self._clear()
        return {"nll": total, "count": count}

    def quantize(self, source: str, target: str, kind: str, threads: int) -> dict[str, Any]:
        """Another precision of the same weights."""
        params = self.api.llama_model_quantize_default_params()
        params.ftype = getattr(self.api, FTYPES[kind])
        params.allow_requantize = True
        params.nthread = threads
        code = self.api.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(params))
        if code != 0:
            raise RuntimeError(f"llama.cpp could not write {target} ({kind}): code {code}")
        return {}

    def clear(self) -> dict[str, Any]:
        self._clear()
        return {}

    def _clear(self) -> None:
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), True)
        self.held = []

    def _close_context(self) -> None:
        if self.context is not None:
            self.api.llama_free(self.context)
            self.api.llama_batch_free(self.batch)
            self.context = self.batch = None

    def _keep_common(self, ids: Sequence[int]) -> int:
        """Remove from the divergence on; the last id is always evaluated, since its logits are wanted."""
        common = 0
        for ours, theirs in zip(self.held, ids[:-1], strict=False):
            if ours != theirs:
                break
            common += 1
        if not self.api.llama_memory_seq_rm(self.api.llama_get_memory(self.context), SEQUENCE, common, -1):
            raise RuntimeError("llama.cpp did not remove the end of its sequence")
        return common

    def _evaluate(self, ids: Sequence[int], start: int, sequence: int = SEQUENCE) -> None:
        """Batch by batch; logits of the last id alone."""
        for at in range(0, len(ids), self.batch_tokens):
            part = ids[at : at + self.batch_tokens]
            over = at + len(part) == len(ids)
            self._run(
                [(token, start + at + offset, sequence) for offset, token in enumerate(part)],
                wanted={len(part) - 1} if over else set(),
            )

    def _run(self, rows: Sequence[tuple[int, int, int]], wanted: set[int]) -> None:
        """One batch of (token, position, sequence)."""
        batch = self.batch
        batch.n_tokens = len(rows)
        for at, (token, position, sequence) in enumerate(rows):
            batch.token[at] = token
            batch.pos[at] = position
            batch.n_seq_id[at] = 1
            batch.seq_id[at][0] = sequence
            batch.logits[at] = at in wanted
        code = self.api.llama_decode(self.context, batch)
        if code != 0:
            raise RuntimeError(f"llama_decode of {len(rows)} tokens ended with code {code}")

    def _logits(self, row: int) -> Any:
        pointer = self.api.llama_get_logits_ith(self.context, row)
        return self.numpy.ctypeslib.as_array(pointer, shape=(self.vocabulary,))

    def _best(self, row: int = -1) -> int:
        return int(self._logits(row).argmax())

    def _negative_log_likelihood(self, following: Sequence[int]) -> float:
        """Of these ids, each after the row of the last batch at its place."""
        rows = len(following)
        if rows == 0:
            return 0.0
        pointer = self.api.llama_get_logits(self.context)
        logits = self.numpy.ctypeslib.as_array(pointer, shape=(rows, self.vocabulary))
        top = logits.max(axis=1)
        sums = self.numpy.exp(logits - top[:, None]).sum(axis=1, dtype=self.numpy.float64)
        chosen = logits[self.numpy.arange(rows), self.numpy.array(following)]
        return float((top + self.numpy.log(sums) - chosen).sum())


def _silent(_level: int, _text: bytes, _data: Any) -> None:
    """llama.cpp logs every tensor that it loads; what fails is told by its return values."""


def serve() -> None:
    """Answer until stdin ends. Whatever llama.cpp or C code prints goes to stderr, never into an answer."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    session = Session()
    while head := sys.stdin.buffer.read(4):
        request: dict[str, Any] = json.loads(sys.stdin.buffer.read(struct.unpack(">I", head)[0]))
        try:
            answer = getattr(session, request.pop("op"))(**request)
        except (RuntimeError, TypeError, ValueError, AttributeError, OSError) as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        answers.write(struct.pack(">I", len(body)) + body)
        answers.flush()


if __name__ == "__main__":
    serve()
