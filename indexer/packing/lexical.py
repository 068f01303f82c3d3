"""Strings, comments and brackets of a text, told without a tree: it works on code that is half written.

One regular expression for each way of writing strings and comments goes over the text once; what it cannot know
(heredocs, macros, quotes within templates) costs a completion nothing but a check.
"""

from __future__ import annotations

import functools
import re

import msgspec

OPENERS = {")": "(", "]": "[", "}": "{"}
CLOSERS = {opener: closer for closer, opener in OPENERS.items()}

REACH_CHARACTERS = 20_000
"""So much before the cursor, and half of it after, is gone over: some 500 lines, 2 ms."""

UNKNOWN_BRACKETS = frozenset(
    {None, "shellscript", "markdown", "plaintext", "latex", "restructuredtext", "html"}
)
"""Where a closing bracket need not have an opening one (`a)` of a case), or where nothing is known."""


_DOUBTFUL = frozenset({"ruby", "shellscript", "sql", "php", "perl", "r", "elixir", "nix"})
"""Where an apostrophe in a heredoc looks like the beginning of a string of many lines."""


class Opened(msgspec.Struct, frozen=True):
    """An opening bracket, string or comment, and where it stands."""

    mark: str
    offset: int


class Scan(msgspec.Struct, frozen=True):
    """What a text leaves open at its end, the outermost first, and what it closes that it has not opened."""

    open: tuple[Opened, ...]
    closed: tuple[Opened, ...]
    inside: Opened | None
    """The string or comment (`#`, `//`, `/*`) that the text ends in."""
    broken: tuple[int, ...] = ()
    """Where strings begin that their line's end leaves open."""

    @property
    def in_comment(self) -> bool:
        return self.inside is not None and self.inside.mark in COMMENTS

    @property
    def in_string(self) -> bool:
        return self.inside is not None and self.inside.mark not in COMMENTS


COMMENTS = frozenset({"#", "//", "/*", "--", "--[[", "<!--"})

_HASH = r"(?P<line>\#)[^\n]*"
_SHELL_HASH = r"(?:^|(?<=[\s;&|(]))(?P<line>\#)[^\n]*"
_SLASHES = r"(?P<line>//)[^\n]*"
_SLASHES_OR_HASH = r"(?P<line>//|\#)[^\n]*"
_DASHES = r"(?P<line>--)(?!\[\[)[^\n]*"
_BLOCK = r"(?P<block>/\*)(?:.*?(?P<block_end>\*/)|.*)"
_LUA_BLOCK = r"(?P<block>--\[\[)(?:.*?(?P<block_end>\]\])|.*)"
_TRIPLE = r"(?P<triple>\"\"\"|''')(?:(?:\\.|(?!(?P=triple)).)*(?P<triple_end>(?P=triple))?)"
_JAVA_TRIPLE = r'(?P<triple>""")(?:(?:\\.|(?!""").)*(?P<triple_end>""")?)'
_STRING = r"(?P<string>[\"'])(?:\\.|(?!(?P=string))[^\\\n])*(?P<string_end>(?P=string))?"
_LONG_STRING = r"(?P<string>[\"'])(?:\\.|(?!(?P=string))[^\\])*(?P<string_end>(?P=string))?"
_RUST = r"'(?:\\.[^'\n]*|[^'\\\n])'|(?P<string>\")(?:\\.|[^\"\\])*(?P<string_end>\")?"
_BACKTICK = r"(?P<tick>`)(?:\\.|[^`\\])*(?P<tick_end>`)?"
_RAW = r"(?P<tick>`)[^`]*(?P<tick_end>`)?"
_REGEX = r"(?:(?<=[=(,:!&|?])|(?<=[=(,:!&|?]\s)|(?<=return\s))/(?![*/\s])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n\[])+/\w*"
_BRACKET = r"(?P<bracket>[()\[\]{}])"

_WAYS: dict[str, tuple[str, ...]] = {
    "python": (_HASH, _TRIPLE, _STRING),
    "javascript": (_SLASHES, _BLOCK, _REGEX, _BACKTICK, _STRING),
    "go": (_SLASHES, _BLOCK, _RAW, _STRING),
    "rust": (_SLASHES, _BLOCK, _RUST),
    "java": (_SLASHES, _BLOCK, _JAVA_TRIPLE, _STRING),
    "c": (_SLASHES, _BLOCK, _STRING),
    "ruby": (_HASH, _LONG_STRING),
    "shellscript": (r"\\.", _SHELL_HASH, _LONG_STRING),
    "lua": (_LUA_BLOCK, _DASHES, _STRING),
    "sql": (_DASHES, _BLOCK, _LONG_STRING),
    "php": (_SLASHES_OR_HASH, _BLOCK, _LONG_STRING),
    "plain": (_STRING,),
}
_WAY_OF = {
    **{name: "javascript" for name in ("javascript", "typescript", "tsx", "dart")},
    **{name: "java" for name in ("java", "kotlin", "scala", "swift", "groovy", "csharp")},
    **{name: "c" for name in ("c", "cpp", "objective-c", "zig", "protobuf", "css", "scss")},
    **{name: "python" for name in ("python", "bazel", "toml")},
    **{name: "ruby" for name in ("ruby", "yaml", "elixir", "r", "perl", "nix", "terraform", "graphql")},
    **{name: name for name in ("go", "rust", "shellscript", "lua", "sql", "php")},
}


@functools.cache
def _pattern(way: str) -> re.Pattern[str]:
    return re.compile("|".join((*_WAYS[way], _BRACKET)), re.DOTALL | re.MULTILINE)


def scan(text: str, language: str | None) -> Scan:
    """What `text` leaves open, read as if it began outside of strings and comments."""
    opened: list[Opened] = []
    closed: list[Opened] = []
    broken: list[int] = []
    inside: Opened | None = None
    for match in _pattern(_WAY_OF.get(language or "", "plain")).finditer(text):
        found = match.groupdict()
        bracket = found["bracket"]
        if bracket is None:
            unended = _unended(found)
            if unended is None:
                continue
            if match.end() == len(text):
                inside = Opened(unended, match.start())
            elif unended not in COMMENTS:
                broken.append(match.start())
        elif bracket in CLOSERS:
            opened.append(Opened(bracket, match.start()))
        elif opened and opened[-1].mark == OPENERS[bracket]:
            opened.pop()
        else:
            closed.append(Opened(bracket, match.start()))
    return Scan(tuple(opened), tuple(closed), inside, tuple(broken))


def _unended(found: dict[str, str | None]) -> str | None:
    """The mark of a string or comment that has not come to its end; a comment to the line's end never has."""
    if found.get("line"):
        return found["line"]
    for kind in ("block", "triple", "string", "tick"):
        if found.get(kind) and not found.get(f"{kind}_end"):
            return found[kind]
    return None


class Around(msgspec.Struct, frozen=True):
    """What is open at a cursor."""

    open: tuple[str, ...]
    """Brackets opened before the cursor and not closed before it, the outermost first."""
    unclosed: tuple[str, ...]
    """Those of them that nothing after the cursor closes."""
    surplus: tuple[str, ...]
    """Closing brackets after the cursor for which nothing is open: the text that is missing here opened them."""
    whole: bool
    """Whether the file's beginning was within reach: else there may be more that is open."""
    line_opens: tuple[str, ...]
    """Those of `open` that stand on the cursor's line."""
    inside: str
    """The mark of the string or comment that the cursor stands in."""
    lead: str
    """That string or comment up to the cursor; elsewhere what tells a regular expression from a division."""

    @property
    def in_comment(self) -> bool:
        return self.inside in COMMENTS

    @property
    def in_string(self) -> bool:
        return bool(self.inside) and not self.in_comment

    def scan(self, text: str, language: str | None) -> Scan:
        """Of text written at the cursor: what it leaves open and what it closes, offsets counted in it."""
        skip = len(self.lead)
        found = scan(self.lead + text, language)
        return Scan(
            tuple(Opened(each.mark, each.offset - skip) for each in found.open),
            tuple(Opened(each.mark, each.offset - skip) for each in found.closed),
            found.inside and Opened(found.inside.mark, found.inside.offset - skip),
            tuple(offset - skip for offset in found.broken),
        )


def around(before: str, after: str, language: str | None) -> Around:
    """What is open at the cursor between `before` and `after`."""
    whole = len(before) <= REACH_CHARACTERS
    near = before if whole else _from_outermost_line(before[-REACH_CHARACTERS:])
    found = scan(near, language)
    line = near.rfind("\n") + 1
    if found.inside and found.inside.offset < line and language in _DOUBTFUL:
        return Around((), (), (), False, (), "", "")
    lead = near[found.inside.offset :] if found.inside else _before_a_value(near)
    behind = (lead if found.inside else "") + after[: REACH_CHARACTERS // 2]
    unclosed, surplus = _matched(found, scan(behind, language))
    return Around(
        open=tuple(each.mark for each in found.open),
        unclosed=unclosed,
        surplus=surplus,
        whole=whole,
        line_opens=tuple(each.mark for each in found.open if each.offset >= line),
        inside=found.inside.mark if found.inside else "",
        lead=lead,
    )


def _before_a_value(text: str) -> str:
    found = re.search(r"(?:[=(,:!&|?]|\breturn)[ \t]?$", text)
    return found.group().replace("(", ",") if found else ""


def _from_outermost_line(text: str) -> str:
    """From the first line that is not indented: most likely not within a string or bracket."""
    match = re.search(r"\n(?=[A-Za-z@#/])", text)
    return text[match.end() :] if match else text.partition("\n")[2]


def _matched(before: Scan, after: Scan) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is opened before and not closed after, and what is closed after and not opened before."""
    left = [each.mark for each in before.open]
    unclosed: list[str] = []
    surplus: list[str] = []
    for closer in after.closed:
        opener = OPENERS[closer.mark]
        if opener not in left:
            surplus.append(closer.mark)
            continue
        while left[-1] != opener:
            unclosed.append(left.pop())
        left.pop()
    return (*left, *reversed(unclosed)), tuple(surplus)
