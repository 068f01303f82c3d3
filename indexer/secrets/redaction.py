"""Takes secrets out of a text before anything of it is stored, embedded or shown to a model.

Three sieves, each finer and dearer than the one before: a look at the bytes that costs a few nanoseconds for
each and names the lines that may hold a secret; `indexer.secrets.values`, which judges such a line; and
detect-secrets, which knows the formats of vendors. A value is replaced by as many characters, so that every
line and every column outside of it stays where it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

MARK = "[redacted]"
"""What stands in the place of a value, cut or filled up with `_FILL` to its length."""

_FILL = "*"

_MIN_TOKEN = 20
"""Characters without a separator: as many as the shortest token that a vendor gives out has (AWS's key id)."""

_TOKEN_CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-+/"
_SHAPE = bytes(code in _TOKEN_CHARACTERS for code in range(256))
_LONG_RUN = b"\1" * _MIN_TOKEN

_DIGIT = re.compile(rb"[0-9]")
_CHANGE = re.compile(rb"[a-z](?=[A-Z0-9])|[A-Z](?=[a-z0-9])|[0-9](?=[A-Za-z])")
_CHARACTERS_PER_CHANGE = 8
"""Random letters and digits change between small, capital and digit at every second to fourth character,
identifiers and paths with a digit in them at every tenth."""

_WITHOUT_DIGIT = re.compile(rb"A[KS]IA|A[BC][IC]A|gh[pousr]_|gl[a-z]{2,5}-|xox[a-z]-|[sr]k[-_]|sq0|hf_")
"""Beginnings of tokens that may, now and then, have no digit."""

_BEGIN_WITHOUT_DIGIT = b"Aghxsr/"
"""How such a token, or an address that holds one, begins."""

_BLANK = 0x20

_SCHEMES = (b"Basic ", b"earer ")
"""What stands before the value of a header that lets somebody in."""

_HEX = re.compile(rb"[0-9a-f-]+|[0-9A-F-]+")
_HASH = re.compile(rb"sha\d{1,3}[-=:]|h1:")
"""Hashes stand in lock files by the thousand. Hexadecimal digits alone are a secret only under a name."""

_HASH_REACH = 7
"""Bytes before a value in which `sha512=` stands."""

_VALUE = rb"(?![a-z_./,-]*(?:[\s\"'`]|\Z))"
"""Begins what is no word of small letters only."""

_QUOTED = rb"[\"'`](?:[BT][a-z]{4,5} )?" + _VALUE + rb"[^\s\"'`]{8}"
_BEHIND_NAME = re.compile(
    rb"[^\n]{0,64}?(?:" + _QUOTED + rb"|[=:>][ \t]?" + _VALUE + rb"[^\s\"'`(){}\[\]<>,;]{8})"
)
_BEHIND_BARE_NAME = re.compile(
    rb"[^\n]{0,64}?(?:" + _QUOTED + rb"|[=:>\t ][=>]?[ \t]*" + _VALUE + rb"[^\s\"'`<>]{8})"
)
_BEFORE_NAME = re.compile(rb"[\"'`] ?[!=]==? ?[\w.]*$")
"""Values of eight characters or more around a name: shorter ones are examples, or guessed within seconds."""

_NAME_REACH = 64
"""Bytes before a value in which its name is looked for."""

_NAMES = (b"pass", b"pwd", b"secret", b"token", b"key")
"""Of what may be shorter than `_MIN_TOKEN`; what is longer is found without."""

_BEFORE_KEY = frozenset(bytes([code]) for code in b"abcdefghijklmnopqrstuvwxyz0123456789_-")
"""A `key` with nothing before it is that of a dictionary."""


_ADDRESS = re.compile(rb"://[^\s/?#\"'`<>]{0,100}:[^\s\"'`<>]{1,200}?@")

BARE_LANGUAGES = frozenset(
    {"yaml", "toml", "ini", "properties", "shellscript", "dockerfile", "makefile", "plaintext", "markdown"}
    | {"restructuredtext", "asciidoc", "xml", "html", "terraform", "powershell", "bat", "csv", "diff", "nix"}
    | {"cmake", "ignore", "jsonlines", "latex", "vim"}
)
"""And what has no language: it may be a configuration of anything."""

_LONG_LINE = 1_000
_BEFORE = 300
_AFTER = 4_000
"""Characters around a suspicious place that are judged in a line longer than `_LONG_LINE`; tokens that carry
what they say (JWT) may be thousands long."""

_KEY_HEAD = "PRIVATE KEY"
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?=[\s\S]{0,300}?[A-Za-z0-9+/=]{40})"
    r"([\s\S]{0,20000}?)(?:-----END|\Z)"
)
"""Head, body, foot; code that only names the head is no key. The longest RSA keys in use have 13,000
characters."""

_KEY_PIECE = re.compile(r"(?:(?<=\\n)|(?<=\\r)|(?<!\\))[A-Za-z0-9+/=]{16,}")


class Redaction(msgspec.Struct, frozen=True):
    """A text without its secrets."""

    text: str
    found: list[tuple[int, str]] = []
    """(line, 0-based; what kind of secret), in the order of the text."""


def redact(text: str, path_language: str | None) -> Redaction:
    """`text` with as many lines and characters as before. `path_language`: see `languages.language_of`."""
    spans = list(_secrets_in(text, path_language))
    if not spans:
        return Redaction(text)
    pieces: list[str] = []
    found: list[tuple[int, str]] = []
    done = line = 0
    for start, end, kind in sorted(spans):
        if start < done:  # two judges saw the same
            start = min(done, end)
        if start == end:
            continue
        pieces += text[done:start], MARK.ljust(end - start, _FILL)[: end - start]
        line += text.count("\n", done, start)
        found.append((line, kind))
        done = end
    return Redaction("".join([*pieces, text[done:]]), found)


def _secrets_in(text: str, language: str | None) -> Iterator[tuple[int, int, str]]:
    """(start, end, kind) of each, in no order; they may overlap, but hold no line break."""
    data = text.encode("latin-1", "replace")  # one byte for each character, so that places are the same
    bare = language is None or language in BARE_LANGUAGES
    places = sorted(suspicious_places(data, bare=bare))
    if places:
        from indexer.secrets.values import secrets_of_line

        for start, end in _windows(data, places):
            before = text[text.rfind("\n", 0, max(0, start - 1)) + 1 : start]
            for first, last, kind in secrets_of_line(text[start:end], before, bare=bare):
                yield start + first, start + last, kind
    if _KEY_HEAD in text:
        for key in _PRIVATE_KEY.finditer(text):
            for piece in _KEY_PIECE.finditer(text, *key.span(1)):
                yield *piece.span(), "Private Key"


def suspicious_places(data: bytes, *, bare: bool) -> Iterator[int]:
    """Offsets of what may belong to a secret; the one part of this that looks at everything. `bare`: in a language
    in which values need no quotes."""
    yield from _long_tokens(data)
    behind = _BEHIND_BARE_NAME if bare else _BEHIND_NAME
    lowered = data.lower()
    for name in _NAMES:
        for place in _places_of(name, lowered):
            if name == b"key" and lowered[place - 1 : place] not in _BEFORE_KEY:
                continue
            if behind.match(data, place) or _BEFORE_NAME.search(data, max(0, place - _NAME_REACH), place):
                yield place
    for place in _places_of(b"://", data):
        if _ADDRESS.match(data, place):
            yield place


def _places_of(word: bytes, data: bytes) -> Iterator[int]:
    place = data.find(word)
    while place >= 0:
        yield place
        place = data.find(word, place + len(word))


def _long_tokens(data: bytes) -> Iterator[int]:
    shape = data.translate(_SHAPE)
    start = shape.find(_LONG_RUN)
    while start >= 0:
        end = shape.find(b"\0", start)
        end = len(shape) if end < 0 else end
        if _token_like(data, start, end):
            yield start
        start = shape.find(_LONG_RUN, end)


def _token_like(data: bytes, start: int, end: int) -> bool:
    if _DIGIT.search(data, start, end) is None:
        # nearly all that comes here is a name of something, so only the first byte is looked at
        return (data[start] in _BEGIN_WITHOUT_DIGIT or data[start - 1] == _BLANK) and _is_known(
            data, start, end
        )
    if len(_CHANGE.findall(data, start, end)) * _CHARACTERS_PER_CHANGE < end - start:
        return _is_known(data, start, end)
    if _HASH.search(data, max(0, start - _HASH_REACH), min(end, start + _HASH_REACH)):
        return False
    return _HEX.fullmatch(data, start, end) is None or _named(data, start)


def _is_known(data: bytes, start: int, end: int) -> bool:
    """Whether it is a token for what it begins with or what stands before it."""
    begins = max(start, data.rfind(b"/", start, end) + 1)
    return _WITHOUT_DIGIT.match(data, begins, end) is not None or data[max(0, start - 6) : start] in _SCHEMES


def _named(data: bytes, place: int) -> bool:
    before = data[max(0, place - _NAME_REACH) : place].lower()
    return any(name in before for name in _NAMES)


def _windows(data: bytes, places: list[int]) -> Iterator[tuple[int, int]]:
    """The lines around these places, in order, each once; of long lines only what is near."""
    done = -1
    for place in places:
        if place < done:
            continue
        start = data.rfind(b"\n", 0, place) + 1
        end = data.find(b"\n", place)
        end = len(data) if end < 0 else end
        if end - start > _LONG_LINE:
            start, end = max(start, place - _BEFORE), min(end, place + _AFTER)
        yield start, end
        done = end
