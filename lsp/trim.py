"""Decides where a completion ends while its tokens arrive: pure functions of the place and the text so far.

At a place for one line the first whole statement is the answer (`one_line`). At a place for a block it is every
line until the text leaves the block, repeats what follows the cursor, or runs in circles (`block_end`). Models
rarely say that they are done, so nothing here waits for that. What was decided early is decided alike however the
text is cut into tokens. At the end what adds a syntax error is taken off.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING

import msgspec

from lsp.trimming.block_end import block
from lsp.trimming.blocks import body_at, is_blank
from lsp.trimming.joining import joined
from lsp.trimming.model_noise import cleaned
from lsp.trimming.one_line import line, whole
from lsp.trimming.site import Decision as Decision
from lsp.trimming.site import Place as Place
from lsp.trimming.site import site_of

if TYPE_CHECKING:
    from indexer.packing.syntax import Soundness

SYNTAX_ERROR = "what the model wrote adds a syntax error"

MAX_CUTS = 24
"""So many shorter texts are tried, the longest first, before a text that adds an error is given up."""

MIN_SHARE = 0.5
"""Of a line that adds an error: what is left of it is no less, or it was not meant."""

_TOKENS = re.compile(r"\w+|[^\w\s]")


class Trimmer:
    """Follows one stream of text at one place."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._site = site_of(place)
        self._body = functools.lru_cache(maxsize=1)(functools.partial(body_at, self._site.near))
        self._adds_error = functools.lru_cache(maxsize=256)(self._says_error)

    def prepare(self) -> None:
        """Judges what stands around the cursor, which else the first token waits for."""
        _ = self._soundness.judges

    def _says_error(self, text: str) -> bool:
        return self._soundness.adds_error(text)

    @functools.cached_property
    def _soundness(self) -> Soundness:
        from indexer.packing.syntax import Soundness

        before, after = (text.replace("\r\n", "\n") for text in (self._place.before, self._place.after))
        return Soundness(before, after, self._site.language, self._site.around)

    def feed(self, written: str) -> Decision:
        """`written` is the whole text so far; its last line may still grow."""
        return self._sound(self._decide(written, ended=False))

    def finish(self, written: str, *, cut: bool = False) -> Decision:
        """The stream is over; with `cut` it was ended by a limit, so that the last line is not whole."""
        decision = self._sound(self._decide(written, ended=not cut))
        if decision.text or decision.why:
            return msgspec.structs.replace(decision, done=True, shown="")
        why = "the model wrote no whole line within its limit" if cut else "the model had nothing to add"
        return msgspec.structs.replace(decision, done=True, why=why)

    def _decide(self, written: str, *, ended: bool) -> Decision:
        noise = cleaned(written, self._site.language, ended=ended)
        if noise.waiting:
            return Decision("", False)
        if noise.why:
            return Decision("", True, why=noise.why)
        noise = joined(self._site, noise)
        if noise.why:
            return Decision("", True, why=noise.why)
        return (
            block(self._site, noise, self._body, self._adds_error)
            if self._site.block
            else line(self._site, noise)
        )

    def _sound(self, decision: Decision) -> Decision:
        """The decision without what would add a syntax error, back to the last point where all is whole."""
        text, soundness = decision.text, self._soundness
        if not text or (self._site.block and soundness.is_whole(text, decision.replaced)):
            return decision
        wrong = soundness.adds_error(text, decision.replaced)
        if wrong or (self._site.block and soundness.judges):
            for shorter in self._shorter(text):
                if soundness.is_whole(shorter) and (
                    self._site.block or whole(self._site, shorter).text == shorter
                ):
                    return msgspec.structs.replace(decision, text=shorter, replaced=0)
        return Decision("", decision.done, why=SYNTAX_ERROR) if wrong else decision

    def _shorter(self, text: str) -> list[str]:
        if self._site.block or "\n" in text:
            lines = text.split("\n")
            tail = f"\n{lines.pop()}" if self._site.line_after.strip() else ""
            ends = ["\n".join(lines[:count]).rstrip() + tail for count in range(len(lines), 0, -1)]
        else:
            ends = [text[: found.end()] for found in _TOKENS.finditer(text)][-2::-1]
            ends = [each for each in ends if len(each) >= MIN_SHARE * len(text)]
        return [each for each in dict.fromkeys(ends) if not is_blank(each) and each != text][:MAX_CUTS]
