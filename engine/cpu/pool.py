"""SGLang's KV pool without the Triton kernel that it warms up when speculative decoding is on."""

from __future__ import annotations

from sglang.srt.mem_cache.memory_pool import MHATokenToKVPool


class ForewordKVPool(MHATokenToKVPool):
    """Verified tokens follow one another in their slots, so nothing is ever moved within the pool; SGLang's own
    message says so, should anything try."""

    def _init_kv_copy_and_warmup(self) -> None:
        self._kv_copy_config = None
