"""PyTorch's process groups where the model runs in one process: nobody listens, and nobody waits for others.

SGLang makes some ten groups for what ranks would tell each other, and each of Gloo's has a thread that looks for news
every 10 ms: with one rank there are none, and a hundred wake-ups a second for each group keep a resting processor
awake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

GLOO = "gloo"


def keep_rendezvous_private() -> None:
    """Give a group of one process an in-memory store: PyTorch's TCP store would listen on every interface."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    def in_memory(original: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        if kwargs.get("world_size") == 1 and "init_method" in kwargs:
            from torch.distributed import HashStore  # pyright: ignore[reportPrivateImportUsage]

            del kwargs["init_method"]
            kwargs["store"] = HashStore()
        original(*args, **kwargs)

    HookRegistry.register("torch.distributed.init_process_group", in_memory, HookType.AROUND)


class OneGroup:
    """Gloo's group of the only rank there is, made when it is first asked for, and whatever is asked for after it."""

    def __init__(self) -> None:
        self._group: Any = None

    def made(self, original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """`torch.distributed.new_group`."""
        import torch

        if kwargs.get("backend") != GLOO or torch.distributed.get_world_size() != 1:
            return original(*args, **kwargs)
        if self._group is None:
            whole = torch.distributed.group.WORLD
            has_gloo = torch.distributed.get_backend(whole) == GLOO
            self._group = whole if has_gloo else original(*args, **kwargs)
        return self._group

    def ended(self, original: Callable[..., None], group: Any = None, *args: Any, **kwargs: Any) -> None:
        """`torch.distributed.destroy_process_group`: what others still have ends with all groups, where none is
        named."""
        if group is None:
            self._group = None
        elif group is self._group:
            return
        original(group, *args, **kwargs)


def share_one_group() -> None:
    """For every group of one rank; call before SGLang makes them."""
    from sglang.srt.plugins.hook_registry import HookRegistry, HookType

    one = OneGroup()
    HookRegistry.register("torch.distributed.new_group", one.made, HookType.AROUND)
    HookRegistry.register("torch.distributed.destroy_process_group", one.ended, HookType.AROUND)
