"""The window as one HTML page: blocks in proportion, coloured by layer, each opening to its text and reason.

The page asks nothing of a network, and without JavaScript it can still be read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from string import Template

import msgspec

from engine.tokens import well_formed
from lsp.context.window import LAYERS, ContextWindow, Part

TEMPLATE = "page.html"
MOST_BLOCKS = 120
"""In the bar: on a narrow screen they are three pixels wide. More parts than that share blocks."""
HOLDS_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
"""Control characters: HTML allows none of them, and the model read them all the same."""
CARET = '<span class="caret" title="the cursor"></span>'
IN_BACKTICKS = re.compile(r"`([^`\n]+)`")
OPEN_AT_FIRST = ("window",)
"""What one looks for first; the rest opens when it is asked for."""


def context_page(window: ContextWindow) -> str:
    """The whole page."""
    place = f"{window.path}:{window.line + 1}:{window.character + 1}"
    return _template().substitute(
        title=_text(f"{place} · Foreword"),
        place=_text(place),
        model=_text(f"{window.model}, whose window holds {window.limit:,} tokens"),
        figures="".join(_figures(window)),
        dense=" dense" if len(window.parts) > MOST_BLOCKS // 2 else "",
        bar="".join(_bar(window)),
        legend="".join(_legend(window)),
        key=_key(window),
        left_out=_left_out(window),
        parts="\n".join(_part(at, part) for at, part in enumerate(window.parts)),
        footer=_text(f"Made by foreword context. {window.cached.note}."),
    )


@cache
def _template() -> Template:
    return Template(files("lsp.context").joinpath(TEMPLATE).read_text(encoding="utf-8"))


def _text(text: str) -> str:
    """Text of anybody's as HTML, in an attribute too."""
    return escape(HOLDS_NO_TEXT.sub("\N{REPLACEMENT CHARACTER}", well_formed(text).replace("\r\n", "\n")))


# ---------------------------------------------------------------- the head


def _figures(window: ContextWindow) -> Iterator[str]:
    cached = window.cached.tokens
    figures = [("tokens read", f"{window.tokens:,}")]
    if cached is None:
        figures.append(("cached", "unknown"))
    else:
        known = min(cached, window.tokens)
        figures.append(("cached", f"{known:,} ({_share(known, window.tokens)})"))
        figures.append(("new", f"{window.tokens - known:,}"))
    figures.append(("of the repository", f"{window.used:,} of {window.budget:,}"))
    figures.append(("free for more of it", f"{window.free:,}"))
    for name, value in figures:
        yield f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"


class _Block(msgspec.Struct):
    """A part of the window in the bar, or several that follow one another in the same layer."""

    first: int
    parts: list[Part]

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)


def _blocks(window: ContextWindow) -> list[_Block]:
    """All parts in their order; small ones share a block where there are too many for the bar."""
    least = window.tokens // MOST_BLOCKS if len(window.parts) > MOST_BLOCKS else 0
    blocks: list[_Block] = []
    for at, part in enumerate(window.parts):
        last = blocks[-1] if blocks else None
        if last is not None and last.tokens < least and last.parts[0].layer == part.layer:
            last.parts.append(part)
        else:
            blocks.append(_Block(at, [part]))
    return blocks


def _bar(window: ContextWindow) -> Iterator[str]:
    for block in _blocks(window):
        first, tokens = block.parts[0], block.tokens
        known = [part.cached_tokens for part in block.parts if part.cached_tokens is not None]
        share = f";--c:{100 * sum(known) / max(1, tokens):.1f}%" if known else ""
        named = _named(first) + (f" and {len(block.parts) - 1:,} more" if len(block.parts) > 1 else "")
        states = filter(None, (first.layer, _words(sum(known), tokens) if known else ""))
        told = _text(", ".join((named, f"{tokens:,} tokens", *states)))
        yield (
            f'<a class="block {_class(first)}" href="#p{block.first}" style="--t:{max(1, tokens)}{share}" '
            f'title="{told}" aria-label="{told}"><span aria-hidden="true">{_text(_short(first))}</span></a>'
        )
    if window.free:
        told = f"{window.free:,} tokens are free"
        yield (
            f'<div class="block free" style="--t:{window.free}" title="{told}" role="img" aria-label="{told}">'
            f'<span aria-hidden="true">{window.free:,} free</span></div>'
        )


def _legend(window: ContextWindow) -> Iterator[str]:
    for layer in dict.fromkeys((*LAYERS, *(part.layer for part in window.parts))):
        parts = [part for part in window.parts if part.layer == layer]
        tokens = sum(part.tokens for part in parts)
        known = [part.cached_tokens for part in parts if part.cached_tokens is not None]
        cached = f"{sum(known):,}" if parts and len(known) == len(parts) else "–"
        if parts and not known:
            cached = "unknown"
        yield (
            f'<tr><th scope="row"><span class="swatch {_class_of(layer)}"></span>{_text(layer)}</th>'
            f'<td class="what">{_text(LAYERS.get(layer, ""))}</td><td class="n">{len(parts):,}</td>'
            f'<td class="n">{tokens:,}</td><td class="n">{_share(tokens, window.tokens)}</td>'
            f'<td class="n">{cached}</td></tr>'
        )


def _key(window: ContextWindow) -> str:
    if window.cached.tokens is None:
        return _text(f"Whether a part is cached is not known: {window.cached.note}.")
    return (
        '<span class="swatch old"></span>cached: the engine has read it '
        '<span class="swatch new"></span>new: the next completion here has to read it, '
        "and all that follows its first token"
    )


def _left_out(window: ContextWindow) -> str:
    if not window.notes:
        return ""
    notes = "".join(f"<li>{_text(note)}</li>" for note in window.notes)
    return f'<h2>What was left out, and why</h2>\n<ul class="notes">{notes}</ul>'


# ---------------------------------------------------------------- the parts


def _part(at: int, part: Part) -> str:
    opened = " open" if part.layer in OPEN_AT_FIRST else ""
    return (
        f'<details id="p{at}" class="{_class(part)}"{opened}><summary>'
        f'<span class="place">{_text(part.path or part.layer)}<span class="lines">{lines_of(part)}</span></span>'
        f'<span class="size">{part.tokens:,} tokens</span><span class="why">{_names_marked(part.reason)}</span>'
        f'<span class="state">{" · ".join(map(_text, _states(part)))}</span></summary>'
        f'<div class="text">{_numbers(part)}<pre tabindex="0">\n{_text(part.text)}{_caret(part)}</pre></div></details>'
    )


def _numbers(part: Part) -> str:
    """Beside the text and no part of it, so that what is copied is the text alone."""
    first = part.start_line
    if first is None:
        return "<pre></pre>"
    lines = part.text.removesuffix("\n").count("\n") + 1
    numbers = "\n".join(str(first + 1 + line) for line in range(lines))
    return f'<pre class="numbers" aria-hidden="true">{numbers}</pre>'


def _caret(part: Part) -> str:
    return CARET if part.layer == "window" else ""


def lines_of(part: Part, dash: str = "–") -> str:
    """`:3–7`, from 1 and with the last one, as people count; empty of what has no lines."""
    if part.start_line is None or part.end_line is None:
        return ""
    first = part.start_line + 1
    return f":{first}{dash}{part.end_line}" if part.end_line > first else f":{first}"


def _names_marked(reason: str) -> str:
    """A reason in which `names` look like what they are."""
    return IN_BACKTICKS.sub(r"<code>\1</code>", _text(reason))


def _states(part: Part) -> list[str]:
    return list(filter(None, (part.layer, cached_words(part))))


def cached_words(part: Part) -> str:
    """Whether the part is cached, for people; empty where nobody knows."""
    return "" if part.cached_tokens is None else _words(part.cached_tokens, part.tokens)


def _words(cached: int, tokens: int) -> str:
    if cached >= tokens:
        return "cached"
    return f"{cached:,} of {tokens:,} cached" if cached else "new"


def _named(part: Part) -> str:
    return f"{part.path}{lines_of(part)}" if part.path else part.layer


def _short(part: Part) -> str:
    return part.path.rpartition("/")[2] if part.layer not in ("header", "suffix") else part.layer


def _class(part: Part) -> str:
    return _class_of(part.layer)


def _class_of(layer: str) -> str:
    return layer if layer in LAYERS else "other"


def _share(tokens: int, whole: int) -> str:
    """Rounded down, so that only the whole is 100%."""
    return f"{100 * tokens // whole}%" if whole else "0%"
