"""SGLang's own prefix cache without a model: `prefix_cache_child.py POOL_TOKENS` reads prompts from stdin (a 4-byte
big-endian count, then as many 4-byte ids) and answers each with how many of its tokens were found, the same way.

What SGLang's scheduler does with a request's prompt is done here in its order: the longest known prefix is looked up
(of all but the last token, which is always computed) and held, room is made by evicting what was used longest ago, and
the whole prompt is kept. It imports nothing of Foreword. The pool holds no keys and values, only which slots are taken.
"""

from __future__ import annotations

import importlib
import struct
import sys
from array import array
from typing import Any

_COUNT = struct.Struct(">I")
SGLANG = "sglang.srt.mem_cache"


class Cache:
    def __init__(self, pool_tokens: int) -> None:
        self._torch: Any = importlib.import_module("torch")
        allocators: Any = importlib.import_module(f"{SGLANG}.allocator.token")
        parameters: Any = importlib.import_module(f"{SGLANG}.cache_init_params")
        components: Any = importlib.import_module(f"{SGLANG}.unified_cache.component_type")
        caches: Any = importlib.import_module(f"{SGLANG}.unified_radix_cache")
        self._base: Any = importlib.import_module(f"{SGLANG}.base_prefix_cache")
        self._keys: Any = importlib.import_module(f"{SGLANG}.radix_cache")
        self._pool = allocators.TokenToKVPoolAllocator(pool_tokens, self._torch.float16, "cpu", None, False)
        self._cache = caches.UnifiedRadixCache(
            parameters.CacheInitParams(
                disable=False,
                req_to_token_pool=None,
                token_to_kv_pool_allocator=self._pool,
                page_size=1,
                tree_components=(components.ComponentType.FULL,),
            )
        )

    def found(self, ids: array[int]) -> int:
        """How many tokens of the prompt are known; from now on all are."""
        torch, base = self._torch, self._base
        known = self._cache.match_prefix(base.MatchPrefixParams(key=self._keys.RadixKey(ids[:-1])))
        cached = int(known.device_prefix_len)
        held = self._cache.lock(known.last_device_node)
        needed = len(ids) - cached
        missing = needed - self._pool.available_size()
        if missing > 0:
            self._cache.evict(base.EvictParams(num_tokens=missing))
        slots = self._pool.alloc(needed)
        if slots is None:
            raise SystemExit(f"a prompt of {len(ids)} tokens does not fit in the pool")
        # What is known keeps its slots, so those of its tokens are not looked at; a last token that was known too gives
        # its new slot back.
        values = torch.cat([torch.zeros(cached, dtype=torch.int64), slots])
        key = self._keys.RadixKey(ids)
        self._cache.insert(base.InsertParams(key=key, value=values, prev_prefix_len=cached))
        self._cache.unlock(held)
        return cached


def main(pool_tokens: int) -> None:
    cache = Cache(pool_tokens)
    given, answers = sys.stdin.buffer, sys.stdout.buffer
    _answer(answers, 0)  # ready
    while head := given.read(_COUNT.size):
        (count,) = _COUNT.unpack(head)
        ids = array("i")
        ids.frombytes(given.read(count * ids.itemsize))
        if sys.byteorder == "little":
            ids.byteswap()
        _answer(answers, cache.found(array("q", ids)) if count else 0)


def _answer(answers: Any, number: int) -> None:
    answers.write(_COUNT.pack(number))
    answers.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
