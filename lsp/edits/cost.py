"""What the requests of an edit have cost."""

from __future__ import annotations

import msgspec


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Of one request, or of several together."""

    model: str = ""
    prompt_tokens: int = 0
    cached_tokens: int | None = 0
    """Of the prompts; None where the engine does not tell."""
    tokens: int = 0
    """Written by the model."""
    total_s: float = 0.0
    turns: int = 0
    constrained: bool = False
    """Whether the last one stood under a grammar."""

    def with_more(self, more: Figures) -> Figures:
        """Both, one behind the other."""
        known = self.cached_tokens is not None and more.cached_tokens is not None
        return Figures(
            model=more.model or self.model,
            prompt_tokens=self.prompt_tokens + more.prompt_tokens,
            cached_tokens=(self.cached_tokens or 0) + (more.cached_tokens or 0) if known else None,
            tokens=self.tokens + more.tokens,
            total_s=self.total_s + more.total_s,
            turns=self.turns + more.turns,
            constrained=more.constrained,
        )
