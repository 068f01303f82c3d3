"""Takes off what a model says around its code: control tokens, code fences and sentences to the user."""

from __future__ import annotations

import re

import msgspec

FENCE = "```"

_CONTROL = re.compile(
    r"<\|(?:fim_\w+|endoftext|file_sep|repo_name|im_start|im_end|cursor|end_of_text|eot_id|user|assistant)\|>"
    r"|<(?:fim_\w+|file_sep|repo_name|filename|reponame|EOT|PRE|SUF|MID|EOM|think)>|</s>"
    r"|<｜(?:fim▁\w+|end▁of▁sentence)｜>|\[(?:PREFIX|SUFFIX|MIDDLE)\]"
)
_PROSE = re.compile(
    r"(?:Here(?:'s| is| are)|Sure|Certainly|Of course|Below is"
    r"|The (?:completed|following|complete|missing|code)|To complete|I'(?:ll|ve)|You can)\b",
)
MAX_TALK_CHARS = 600
"""A model that has talked for so long without a fence writes no code any more."""

_FENCED_LANGUAGES = frozenset({"markdown", "mdx", "rst", "asciidoc"})
"""Where a fence is text like any other."""


class Cleaned(msgspec.Struct, frozen=True):
    """`ended`: no more text of the completion will come. `waiting`: too early to tell code from talk."""

    text: str
    ended: bool = False
    waiting: bool = False
    why: str = ""


def cleaned(written: str, language: str | None, *, ended: bool) -> Cleaned:
    """The code within what the model has written so far."""
    text = written.replace("\r\n", "\n")
    if not ended:
        text = text.removesuffix("\r")
    control = _CONTROL.search(text)
    if control is not None:
        text, ended = text[: control.start()], True
    if language in _FENCED_LANGUAGES:
        return Cleaned(text, ended)
    return _unfenced(text, ended)


def _unfenced(text: str, ended: bool) -> Cleaned:
    start = text.lstrip()
    if _PROSE.match(start):
        talk, fence, code = start.partition(FENCE)
        if not fence or len(talk) > MAX_TALK_CHARS:
            return _only_talk(talk, text, ended)
        start = fence + code
    if not start.startswith(FENCE):
        if not ended and start and FENCE.startswith(start):
            return Cleaned("", waiting=True)
        return _until_fence(text, ended)
    _, newline, code = start.partition("\n")
    if not newline:
        return Cleaned("", ended=True, why="the model wrote no code") if ended else Cleaned("", waiting=True)
    return _until_fence(code, ended)


def _only_talk(talk: str, text: str, ended: bool) -> Cleaned:
    """A sentence so far. One that ends its line with a colon announces code; any other could be a comment's
    text."""
    first, newline, _ = talk.partition("\n")
    if not newline and not ended:
        return Cleaned("", waiting=True)
    if not first.rstrip().endswith(":") or first.count(" ") < 2:
        return Cleaned(text, ended)
    if ended or len(talk) > MAX_TALK_CHARS:
        return Cleaned("", ended=True, why="the model wrote no code")
    return Cleaned("", waiting=True)


def _until_fence(code: str, ended: bool) -> Cleaned:
    lines = code.split("\n")
    for index, line in enumerate(lines):
        if line.lstrip().startswith(FENCE):
            return Cleaned("\n".join(lines[:index]), ended=True)
    if not ended and lines[-1] and FENCE.startswith(lines[-1]):
        return Cleaned("\n".join([*lines[:-1], ""]))
    return Cleaned(code, ended)
