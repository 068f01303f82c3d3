"""The CPU plug-in of SGLang: where a machine has no accelerator, it runs the unmodified wheel in PyTorch."""

import os

DEVICE = "FOREWORD_DEVICE"
"""`cpu` where the host has chosen the CPU although there is an accelerator, too small or too old for the model."""

EIGHT_BITS = "FOREWORD_EIGHT_BITS"
"""Set by the host for a model that was measured to bear 8-bit linear layers."""


def activate() -> str | None:
    """Name our platform class, or None where an accelerator is to be used (then SGLang's own platform serves it).

    This is the entry point of the group `sglang.srt.platforms`; SGLang calls it in each of its processes.
    """
    if os.environ.get(DEVICE) != "cpu":
        import torch  # already loaded by whoever asks; the import stays here so that naming us costs nothing

        if torch.accelerator.is_available():
            return None
    return "engine.cpu.platform:ForewordCpuPlatform"
