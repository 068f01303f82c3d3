"""The rows that every target runs: which tokens are cached, which prompts follow, how much is decoded."""

from __future__ import annotations

import msgspec

from benchmarks.engine.texts import Texts

KIBI = 1024
DECODED_TOKENS = 32
DECODE_STEP = 40
"""Decode prompts are cut from one base, each this much shorter than the one before: real code goes on
differently at each, and no cut lies in what an earlier one has written."""


class Sizes(msgspec.Struct, frozen=True):
    """Tokens."""

    short: int = 128
    small: int = 512
    middle: int = 2 * KIBI
    large: int = 6 * KIBI
    interactive: int = 600
    new: int = 40
    suffix: int = 200
    window: int = 256
    """Of the file that is typed in, a part of `large`."""
    edit_before_end: int = 100

    def places(self) -> dict[str, str]:
        """As they stand in the rows' names."""
        return {
            "short": label(self.short),
            "small": label(self.small),
            "middle": label(self.middle),
            "large": label(self.large),
            "new": str(self.new),
        }


FULL = Sizes()
QUICK = Sizes(short=64, small=128, middle=256, large=512, interactive=200, suffix=60, window=64)


class Row(msgspec.Struct, frozen=True):
    """One thing to measure, once for each prompt."""

    name: str
    prompts: list[list[int]]
    base: list[int] = []
    """Cached before the first prompt, not measured."""
    cold: bool = False
    """Nothing of a prompt may come from a cache."""
    decoded: int = 1
    """With more than one the value is seconds per token after the first; with one it is the time to the first."""


def label(tokens: int) -> str:
    """`2k` for 2,048, `512` for 512."""
    return f"{tokens // KIBI}k" if tokens % KIBI == 0 else str(tokens)


def rows(texts: Texts, sizes: Sizes, runs: int) -> list[Row]:
    """All rows, the warm ones together so that targets which hold one sequence alone need not read it twice."""
    large, middle = sizes.large, sizes.middle
    base, turns = texts.base(large), range(runs)
    held, typed = texts.keystrokes(large, sizes.suffix, sizes.window, runs)
    return [
        *(_cold(texts, size, runs) for size in (sizes.small, middle, large)),
        *(
            Row(f"warm_ttft_{label(size)}", [texts.base(size)] * runs, texts.base(size))
            for size in (sizes.small, middle, large)
        ),
        Row(
            f"warm_ttft_{label(large)}_plus_{sizes.new}",
            [[*base, *texts.fresh(sizes.new, at + 1)] for at in turns],
            base,
        ),
        Row(f"keystroke_{label(large)}", typed, held),
        Row(f"edit_{label(large)}", texts.edits(large, sizes.edit_before_end, runs), base),
        _decode(base, large, runs),
        _decode(base, middle, runs),
        # so short that each run has a text of its own
        Row(
            f"decode_{label(sizes.short)}",
            [texts.cold(sizes.short, 7 * at + 3) for at in turns],
            decoded=DECODED_TOKENS,
        ),
    ]


def _cold(texts: Texts, size: int, runs: int) -> Row:
    return Row(f"cold_ttft_{label(size)}", [texts.cold(size, at) for at in range(runs)], cold=True)


def _decode(base: list[int], size: int, runs: int) -> Row:
    cuts = [base[: size - at * DECODE_STEP] for at in range(runs)]
    return Row(f"decode_{label(size)}", cuts, base[:size], decoded=DECODED_TOKENS)
