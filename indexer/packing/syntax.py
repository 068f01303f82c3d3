"""What a completion asks about syntax: whether a block belongs at a cursor, what is open there (`lexical`), and
whether a text adds an error (`soundness`). The first two work on broken code, for they do not parse. Offsets are
0-based and count characters (code points)."""

from __future__ import annotations

import re

from indexer.packing.lexical import UNKNOWN_BRACKETS as UNKNOWN_BRACKETS
from indexer.packing.lexical import Around as Around
from indexer.packing.lexical import around as around
from indexer.packing.soundness import Soundness as Soundness
from indexer.parsing.languages import has_grammar
from indexer.parsing.languages import language_of as language_of

MAX_CHARACTERS = 1_000_000
"""As with indexed files: beyond this a text is generated or data."""

_STRINGS = re.compile(r'"(?:[^"\\\n]|\\.)*"' r"|'(?:[^'\\\n]|\\.)*'" r"|`(?:[^`\\\n]|\\.)*`")
_HASH_COMMENTS = frozenset({"python", "ruby", "shellscript"})
_RUST_STRINGS = re.compile(r'"(?:[^"\\\n]|\\.)*"' r"|'(?:[^'\\\n]|\\.)'")  # 'a is a lifetime there


def _code_of(line: str, language: str | None) -> str:
    """The line without strings, also one that is not closed, and without its comment."""
    line = (_RUST_STRINGS if language == "rust" else _STRINGS).sub(" ", line)
    if language in _HASH_COMMENTS:
        line = line.partition("#")[0]
    else:
        if line.lstrip().startswith(("*", "/*")):  # within or at the head of a block comment
            line = line.partition("*/")[2]
        line = re.sub(r"/\*.*?(?:\*/|$)", " ", line).partition("//")[0]
    return re.split('["`]' if language == "rust" else "[\"'`]", line, maxsplit=1)[0]


_PYTHON_OPENERS = re.compile(
    r"\s*(?:(?:async\s+)?(?:def|for|with)|class|if|elif|else|while|try|except|finally|match|case)\b.*:\s*$"
    r"|\s*[)\]].*:\s*$"  # the last line of a head of several lines
)
_WORD_OPENERS = {
    "ruby": re.compile(
        r".*(?:\bdo|\{)(?:\s*\|[^|]*\|)?$|.*\bthen$|\s*(?:begin|else|ensure)$|\s*def\b.*\)$|.*\{$"
    ),
    "shellscript": re.compile(r".*(?:\bthen|\bdo|\belse|\{|\bin)$"),
    "lua": re.compile(r".*(?:\bthen|\bdo|\belse|\brepeat|\{)$|.*\bfunction\b[^()]*\([^()]*\)$"),
}
"""What a line ends in that opens a block of these languages and asks for nothing more on its own line."""

_VALUE = re.compile(r"(?:(?<![=!<>])=|[\](,]|\breturn)\s*\{$")
"""A brace that begins a value; where it is closed already, on one line most likely."""

_CLOSERS_ONLY = re.compile(r"[\s)\]};,]*$")


def at_block_start(text: str, offset: int, language: str | None) -> bool:
    """Whether a block of several lines belongs at the cursor: after a line that opens one (`:` in Python, `do` and the
    like where words do, `{` elsewhere), or on an empty line inside a body. False where code follows on the cursor's
    line, in comments and strings, in languages without a grammar, and for texts over MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS or not has_grammar(language):
        return False
    offset = max(0, min(offset, len(text)))
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    before, after = text[start:offset], text[offset : end if end >= 0 else len(text)]
    if not _CLOSERS_ONLY.match(after):
        return False
    if before.strip():
        shut = bool(after.strip())
        if shut and (before[-1].isspace() or _VALUE.search(before)):
            return False
        return _opens(before, language)
    if around(text[:start], text[end:] if end >= 0 else "", language).inside:
        return False
    above = _last_line_of_code(text, start)
    if above is None:
        return False
    return _opens(above, language) or (
        not after.strip() and _inside_body(above, before, text, start, language)
    )


def _opens(line: str, language: str | None) -> bool:
    code = _code_of(line, language).rstrip()
    if language == "python":
        head = sum(map(code.count, "([{")) <= sum(
            map(code.count, ")]}")
        )  # and no annotation or slice within it
        return head and _PYTHON_OPENERS.match(code) is not None
    if language in _WORD_OPENERS:
        return _WORD_OPENERS[language].match(code) is not None
    return code.endswith("{")


_LOOK_BACK_LINES = 40
"""A run of blank lines and comments longer than this separates what stands around it."""


def _last_line_of_code(text: str, before: int) -> str | None:
    """The nearest line above that is neither blank nor a comment."""
    end = before - 1
    for _ in range(_LOOK_BACK_LINES):
        if end <= 0:
            return None
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        if line.strip() and not line.lstrip().startswith(("#", "//")):
            return line.rstrip("\r")
        end = start - 1
    return None


def _inside_body(above: str, before: str, text: str, start: int, language: str | None) -> bool:
    """Of a blank line: whether it is indented, or stands between indented lines."""
    if before:
        return True
    if not above[:1].isspace():
        return False
    if language == "python":
        following = re.compile(r"[^\S\n]*\S").search(text, start)
        return following is not None and following.group()[0].isspace()
    return True
