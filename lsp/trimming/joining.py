"""How what a model wrote continues the document: what stands before the cursor already is taken off again."""

from __future__ import annotations

import re

import msgspec

from lsp.trimming.blocks import begins_definition, goes_on, indent_width, is_blank
from lsp.trimming.model_noise import Cleaned
from lsp.trimming.repeats import MAX_LINE_CHARS
from lsp.trimming.site import Site

SHORT_PREFIX_CHARS = 8
"""A line's beginning that is at least this long and comes again from the model is the line written anew."""

SHORT_WORD_CHARS = 3
"""A shorter beginning of a word (`s`, `re`) comes again by chance: `s` and `size`."""

_FIRST_WORD = re.compile(r"\w+")
_PATH = re.compile(r"\w+(?:(?:\.|::|->)\w*)+$")
_LAST_OF_BLOCK = re.compile(r"\s*(?:return|raise|throw|break|continue|pass|goto|exit)\b")
_KEYWORD = re.compile(
    r"(?:^|.*[^\w.])(as|assert|async|await|class|const|def|elif|export|fn|for|from|func|function|if|import|in|let"
    r"|new|not|private|public|raise|return|struct|throw|type|var|while|with|yield)[ \t]+$"
)
"""What nobody writes twice running."""


def joined(site: Site, noise: Cleaned) -> Cleaned:
    """The text as it continues the document at its cursor."""
    text, before = noise.text, site.line_before
    if _is_endless(text):
        return Cleaned("", why="the model repeats itself")
    if before.strip():
        if not noise.ended and _may_echo(text, before):
            return msgspec.structs.replace(noise, text="")
        text = _without_echoed_word(_without_echoed_prefix(text, before), site)
        blanks = before[len(before.rstrip(" \t")) :]
        return msgspec.structs.replace(noise, text=text[_common(text, blanks) :])
    if site.around.inside:
        return msgspec.structs.replace(noise, text=text.lstrip(" \t") if noise.ended or text.strip() else "")
    if site.on_line_below_code:
        text = _below_first_line(text, site.line_before)
    while "\n" in text and is_blank(text.partition("\n")[0]):
        text = text.partition("\n")[2]
    lead = text[: len(text) - len(text.lstrip(" \t"))]
    if lead == text and not noise.ended:
        return msgspec.structs.replace(noise, text="")
    if lead.startswith(before):
        return msgspec.structs.replace(noise, text=text[len(before) :])
    if before.startswith(lead) and text.strip() and not _is_meant_here(site, text):
        return Cleaned("", why="the model would end this block here")
    return msgspec.structs.replace(noise, text=text[len(lead) :])


def _is_meant_here(site: Site, text: str) -> bool:
    """Whether a line with too little indentation is one for the cursor's block all the same. Small models often
    mistake a depth that they have not read; what must stand further out, or comes after a block's end, is not.
    A definition whose body stands below already is one for here."""
    above = site.near.above[0] if site.near.above else ""
    if site.block or goes_on(text):
        return False
    if begins_definition(text.strip()):
        return indent_width(site.near.next_line) > indent_width(site.line_before)
    return indent_width(above) < indent_width(site.line_before) or not _LAST_OF_BLOCK.match(above)


def _is_endless(text: str) -> bool:
    """Whether the text begins with what has no end: a line that nobody writes, or nothing but blanks."""
    first = text.find("\n")
    blanks = len(text) - len(text.lstrip())
    return (len(text) if first < 0 else first) > MAX_LINE_CHARS or blanks > MAX_LINE_CHARS


def _below_first_line(text: str, indent: str) -> str:
    """Without what the model added to the line above the cursor, which nobody asked for there. A model that
    writes the block's first line at once, without the break, has its indentation to show for it."""
    first, newline, rest = text.partition("\n")
    if indent and first.startswith(indent) and not is_blank(first):
        return text
    return rest if newline else ""


def _may_echo(text: str, before: str) -> bool:
    """Whether it is too early to tell the line written anew from a text that begins like it."""
    said, written = before.strip(), text.lstrip(" \t")
    return len(said) >= SHORT_PREFIX_CHARS and said != written and said.startswith(written)


def _without_echoed_prefix(text: str, before: str) -> str:
    said, written = before.strip(), text.lstrip(" \t")
    if len(said) >= SHORT_PREFIX_CHARS and written.startswith(said):
        return written[len(said) :]
    keyword = _KEYWORD.match(before)
    first = _FIRST_WORD.match(written)
    if keyword and first and first.group() == keyword.group(1) and written[first.end() :].startswith(" "):
        return written[first.end() :].lstrip(" ")
    return text


def _without_echoed_word(text: str, site: Site) -> str:
    """`fo` before the cursor and `foo_bar` from the model are one word, where the document says so: it has that
    word, or its end stands behind the cursor."""
    path = _PATH.search(site.line_before)
    if path and len(path.group()) > SHORT_WORD_CHARS and text.startswith(path.group()):
        return text[len(path.group()) :]
    begun, first = site.word_before, _FIRST_WORD.match(text)
    if not begun or first is None or not first.group().startswith(begun):
        return text
    word, rest = first.group(), site.word_after
    if rest:
        return text[len(begun) :] if word == begun + rest else text
    if len(begun) < SHORT_WORD_CHARS or not site.near.has_word(word) or site.near.has_word(begun + word):
        return text
    return text[len(begun) :]


def _common(text: str, blanks: str) -> int:
    """How many of `blanks` begin `text`."""
    length = 0
    while length < min(len(text), len(blanks)) and text[length] == blanks[length]:
        length += 1
    return length
