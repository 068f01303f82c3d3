"""The CPU plug-in of SGLang: where a machine has no accelerator, it runs the unmodified wheel in PyTorch."""


def activate() -> str | None:
    """Name our platform class, or None where an accelerator is found (then SGLang's own platform serves it).

    This is the entry point of the group `sglang.srt.platforms`; SGLang calls it in each of its processes.
    """
    import torch  # already loaded by whoever asks; the import stays here so that naming us costs nothing

    if torch.accelerator.is_available():
        return None
    return "engine.cpu.platform:ForewordCpuPlatform"
