"""The platform `foreword-cpu`: what SGLang asks about a machine without an accelerator."""

from __future__ import annotations

from typing import Any

from sglang.srt.arg_groups.choices import ATTENTION_BACKEND_CHOICES, add_attention_backend_choices
from sglang.srt.platforms.cpu import CpuDeviceMixin
from sglang.srt.platforms.device_mixin import PlatformEnum
from sglang.srt.platforms.interface import PlatformCapabilities, SRTPlatform

from engine.cpu.speculation import speculation

ATTENTION_BACKEND = "foreword"


class ForewordCpuPlatform(CpuDeviceMixin, SRTPlatform):  # pyright: ignore[reportIncompatibleMethodOverride]
    """An out-of-tree platform on the CPU device; every fused operation takes its native PyTorch form."""

    _enum = PlatformEnum.OOT
    capabilities = PlatformCapabilities()

    def __init__(self) -> None:
        super().__init__()
        if ATTENTION_BACKEND not in ATTENTION_BACKEND_CHOICES:
            add_attention_backend_choices([ATTENTION_BACKEND])
        speculation.announce()

    def apply_server_args_defaults(self, server_args: Any) -> None:
        """Speculative decoding where it can run; `FOREWORD_SPECULATION=off` leaves it out."""
        if server_args.attention_backend in (None, ATTENTION_BACKEND):
            speculation.apply_defaults(server_args)

    def get_default_attention_backend(self) -> str:
        return ATTENTION_BACKEND

    def get_kv_pool_cls(self, *, kind: str) -> type | None:
        """SGLang's own pool, but for a kernel that does not run here."""
        if kind != "mha":
            return None
        from engine.cpu.pool import ForewordKVPool

        return ForewordKVPool

    def init_backend(self) -> None:
        """Register our attention beside SGLang's own, so that the stock backends stay comparable."""
        from sglang.srt.layers.attention.attention_registry import register_attention_backend

        def create(runner: Any) -> object:
            from engine.cpu.backend import ForewordAttentionBackend

            return ForewordAttentionBackend(runner)

        register_attention_backend(ATTENTION_BACKEND)(create)

    def post_load_model(self, model: Any) -> None:
        """Pack the weights of models that have a lean form, where FOREWORD_LINEARS allows it."""
        from engine.cpu.loading import prepare

        prepare(model)

    def is_pin_memory_available(self, device: object = None) -> bool:
        return False
