"""How many tokens of a prompt belong to which layer, and which of them a prefix cache did not have."""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate

import msgspec

from benchmarks.targets import TargetError
from engine.prompts import path_line
from engine.tokens import ModelTokenizer
from lsp.completion import Reading

LAYERS = ("base", "overlay", "retrieved", "window", "suffix")
"""From the most stable to the most volatile."""


class Asked(msgspec.Struct, frozen=True):
    """One prompt."""

    path: str
    offset: int
    after: str
    """What the user did since the prompt before: see `benchmarks.context.simulation`."""
    cached: int
    tokens: dict[str, int]
    """Layer → its tokens."""
    recomputed: dict[str, int]
    """Layer → those of them that were not cached."""

    @property
    def prompt(self) -> int:
        return sum(self.tokens.values())

    @property
    def first_miss(self) -> str:
        return next(layer for layer in LAYERS if self.recomputed[layer])


class Layers:
    """The layers of one tokenizer's prompts."""

    def __init__(self, tokenizer: ModelTokenizer) -> None:
        self._tokenizer = tokenizer
        self._path_tokens = lru_cache(maxsize=None)(self._count_path_line)

    def of(self, reading: Reading) -> dict[str, int]:
        """Raises TargetError where the parts do not make up the whole."""
        prompt, pack = reading.prompt, reading.pack
        if prompt.ids is None or prompt.sources is None:
            raise TargetError("a prompt without token ids cannot be looked up in a prefix cache")
        found: dict[str, int] = dict.fromkeys(LAYERS, 0)
        found["base"] += 1 + self._path_tokens(prompt.sources.repo_name)
        last = None
        for segment in pack.segments if pack is not None else ():
            named = 0 if segment.path == last else 1 + self._path_tokens(segment.path)
            found[segment.layer] += named + len(segment.ids)
            last = segment.path
        count = self._tokenizer.count
        found["window"] = 1 + self._path_tokens(prompt.sources.path) + 1 + count(prompt.window)
        found["suffix"] = 1 + count(prompt.suffix) + 1
        if sum(found.values()) != len(prompt.ids):
            raise TargetError(
                f"{prompt.sources.path}: layers of {found} do not make up {len(prompt.ids)} tokens"
            )
        return found

    def _count_path_line(self, path: str) -> int:
        return self._tokenizer.count(path_line(path))


def recomputed(tokens: dict[str, int], cached: int) -> dict[str, int]:
    """Of each layer, what lies behind the first `cached` tokens."""
    ends = accumulate(tokens[layer] for layer in LAYERS)
    return {layer: min(tokens[layer], max(0, end - cached)) for layer, end in zip(LAYERS, ends, strict=True)}
