"""Judges one line: which values in it are secrets.

Four kinds: what has the format of a vendor's token; the password in an address; what is assigned to a name that
tells (`password = "…"`); and a quoted value too random to be anything else. For formats and for the measure of
randomness detect-secrets is asked, without its network checks. Words, hashes, identifiers, colours, paths,
templates and examples are no secrets; a line with its comment `pragma: allowlist secret` has none either.
"""

from __future__ import annotations

import base64
import functools
import math
import re
from collections.abc import Iterator
from urllib.parse import unquote

from detect_secrets.filters import allowlist, heuristic
from detect_secrets.plugins.high_entropy_strings import Base64HighEntropyString
from detect_secrets.util.code_snippet import CodeSnippet

from indexer.secrets.names import names_a_password, names_a_secret
from indexer.secrets.shapes import (
    BASE64,
    CERTAINLY_WORDY,
    is_example,
    is_hex,
    is_placeholder,
    is_scrambled,
    is_template,
    kinds_of_characters,
    reads_like_words,
)
from indexer.secrets.tokens import Span, tokens_in

_ENTROPY = Base64HighEntropyString()

_NAMELESS_BITS = 4.3
"""Per character. detect-secrets' own 4.5 is met by half of all random values of 32 characters; these here must be
scrambled as well."""

_NAMED_BITS = 3.0
"""Per character. Of eight different characters, or of a dozen random ones."""

_NAMELESS_WORDY = 0.75
"""Share of words (see `reads_like_words`)."""

_NAMELESS_LENGTHS = range(24, 201)
"""Characters. Longer ones are data: pictures, certificates, pickles."""

_HASH_BEFORE = re.compile(
    r"sha\d|md5|integrity|checksum|digest|hash|fingerprint|etag|AAAAB3Nza|base64,|public|cert|signature|nonce|opaque",
    re.IGNORECASE,
)
"""In a value or before it on its line: what everybody may see."""

_LITERAL = re.compile(r"""(?<!\w)(?:[bBrRuUfFL@$]{0,2})(["'`])((?:\\.|(?!\1)[^\\\n])*)\1(?!\w)""")
_TRIPLE_QUOTE = re.compile(r"""\"{3}|'{3}|`{3}""")
_ESCAPED_QUOTE = re.compile(r"""\\(["'])""")
_SCHEME = re.compile(r"(?:Bearer|Basic|Token|token)\s+")
_MIN_VALUE = 8
"""Characters, as in the first sieve."""

_NAME_BEFORE = re.compile(
    r"""
    (?P<name>[A-Za-z_$][\w$.\-]*)
    (?:\[\w*\])?                                                    # char password[32] = "…"
    ["'\])]{0,3}                                                    # settings["password"] = "…"
    (?:
        (?:\s*:[^=:"'`]{1,40}|(?:\s[\w<>&*]{1,20})?)\s*             # a type or none
        (?::?={1,3}>?|[!?|]{1,2}=|\|\||or|\?\?)
      | \s*[:,(>]                                                   # arguments, pairs, elements
      | (?:["']\s+|\s)value\s*=                                     # <add key="Password" value="…"/>
    )
    \s*(?:Optional\(|Some\()?[bBrRuUfFL@$&]{0,2}$
    """,
    re.VERBOSE,
)
_NAME_REACH = 80
"""Characters before a value in which its name is looked for."""

_COMPARED_AFTER = re.compile(r"""["'`]\s*[!=]={1,2}\s*(?P<name>[A-Za-z_$][\w$.]*)""")

_BARE = re.compile(
    r"""
    (?:(?P<name>[A-Za-z_$][\w$.\-]*)["'\])]{0,3}\s?(?:=>?|:=?|>)|(?P<option>--[a-z][\w\-]*|(?:ENV|ARG)\s+\w+)\s)
    \s*["'`]?(?P<scheme>(?:Bearer|Basic|Token|token)\s+)?
    (?P<value>(?:[^\s"'`<>(){}\[\],;&|]|[&|](?![\w.\-]*=)){8,})
    """,
    re.VERBOSE,
)
_KINDS_OF_NO_CODE = 3
"""Small letters, capitals and digits, changing places as in no name."""

_COMMENT = re.compile(r"#|//|/\*|^\s*\*|--\s")

_ADDRESS = re.compile(
    r"[a-z][a-z0-9+.\-]*://(?P<user>[^\s/?#:@\"'`<>]*):(?P<password>[^\s/\"'`<>]+?)@(?P<host>[\w.\-\[\]{}$%]+)",
    re.IGNORECASE,
)
_MIN_ADDRESS_PASSWORD = 6
"""Characters: in an address even a short one is more likely a password than anything else."""

_MIN_WORDS = 12
"""Small letters that may, together, be more than one word of a language."""

_NOWHERE = re.compile(
    r"(?:^|\.)(?:example(?:\.\w+)?|localhost|test|invalid|local)$|^(?:127\.|\[?::1|host(?:name)?$)"
)
"""Hosts that are nobody's: only a password that can be no word counts there."""

_KEYWORD = re.compile("pass|pwd|secret|token|key|auth|cred", re.IGNORECASE)
"""In every name that tells."""


def secrets_of_line(line: str, before: str, *, bare: bool) -> Iterator[Span]:
    """Of `line` (no line break in it), with the line before it. `bare`: values need no quotes here."""
    if "pragma" in line or "pragma" in before:
        context = CodeSnippet([before.rstrip("\r\n"), line], 0, 1)
        if allowlist.is_line_allowlisted("", line, context):
            return
    yield from tokens_in(line)
    yield from _addresses(line)
    yield from _literals(line)
    yield from _assigned_bare(line, bare)


def _addresses(line: str) -> Iterator[Span]:
    for match in _ADDRESS.finditer(line):
        if _is_address_password(unquote(match["password"]), match["user"], match["host"].lower()):
            yield *match.span("password"), "Basic Auth Credentials"


def _is_address_password(password: str, user: str, host: str) -> bool:
    if len(password) < _MIN_ADDRESS_PASSWORD or password == user:
        return False
    if is_template(password) or password[0] == "$" or is_example(password):
        return False
    if not reads_like_words(password) or kinds_of_characters(password) >= 3:
        return True
    return not (_NOWHERE.search(host) or _names_itself(password)) and (
        kinds_of_characters(password) == 2 or len(password) >= _MIN_WORDS
    )


def _names_itself(value: str) -> bool:
    """`password`, `secret1`, `my_token`: what documentation writes where a secret goes."""
    return _KEYWORD.search(value) is not None


def _literals(line: str) -> Iterator[Span]:
    if _KEYWORD.search(line) is None and len(line) < min(_NAMELESS_LENGTHS):
        return
    line = _TRIPLE_QUOTE.sub("   ", line)
    yield from _in_literals(line)
    if _ESCAPED_QUOTE.search(line):  # code within a string, as in a notebook
        yield from _in_literals(_ESCAPED_QUOTE.sub(r" \1", line))


def _in_literals(line: str) -> Iterator[Span]:
    for match in _LITERAL.finditer(line):
        start, end = match.span(2)
        scheme = _SCHEME.match(line, start, end)
        start = scheme.end() if scheme else start
        value = line[start:end]
        if len(value) < _MIN_VALUE or any(map(str.isspace, value)):
            continue
        before = line[max(0, match.start() - _NAME_REACH) : match.start()]
        named = _NAME_BEFORE.search(before) if _KEYWORD.search(before) else _COMPARED_AFTER.match(line, end)
        if named is not None and _is_named_secret(named["name"], value, scheme):
            yield start, end, "Secret Keyword"
        elif scheme is None and _is_random(value, before):
            yield start, end, "Base64 High Entropy String"


def _assigned_bare(line: str, bare: bool) -> Iterator[Span]:
    for match in _BARE.finditer(line):
        start = match.start("value")
        value, name = match["value"], match["name"] or match["option"].split()[-1]
        if not (bare or _in_literal_or_comment(line[:start]) or _is_no_code(match)):
            continue
        if heuristic.is_indirect_reference(line[match.start() :]):
            continue
        if _is_named_secret(name, value, _SCHEME.match(match["scheme"] or "")):
            yield start, match.end("value"), "Secret Keyword"


def _is_no_code(match: re.Match[str]) -> bool:
    """Whether a value without quotes is hardly an expression: within a docstring, a line alone does not tell."""
    value, after = match["value"], match.string[match.end() :][:1]
    return after not in ("(", "[") and kinds_of_characters(value) >= _KINDS_OF_NO_CODE and is_scrambled(value)


def _in_literal_or_comment(before: str) -> bool:
    return (
        _TRIPLE_QUOTE.search(before) is not None
        or any(before.count(quote) % 2 for quote in "\"'`")
        or _COMMENT.search(before) is not None
    )


def _is_named_secret(name: str, value: str, scheme: re.Match[str] | None = None) -> bool:
    """Whether this value of a name that says so is the secret itself, and no word, example or template."""
    if not names_a_secret(name) or heuristic.is_not_alphanumeric_string(value):
        return False
    if is_placeholder(value) or heuristic.is_templated_secret(value) or "://" in value:
        return False
    if is_example(value) and reads_like_words(value):
        return False
    if is_hex(value):
        return True
    if scheme is not None and scheme[0].startswith("Basic"):
        user, _, value = _decoded(value).partition(":")
        return _is_address_password(value, user, "")
    kinds = kinds_of_characters(value)
    if reads_like_words(value, CERTAINLY_WORDY) or (reads_like_words(value) and _names_itself(value)):
        return kinds == 4 and names_a_password(name)
    return kinds >= 2 and _entropy(value) >= _NAMED_BITS


def _decoded(value: str) -> str:
    """Of base64; what is none stands for itself."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except ValueError:
        return value


def _is_random(value: str, before: str) -> bool:
    """Whether nothing but chance can have made this value."""
    return (
        len(value) in _NAMELESS_LENGTHS
        and BASE64.issuperset(value)
        and kinds_of_characters(value) >= 3
        and is_scrambled(value)
        and not reads_like_words(value, _NAMELESS_WORDY)
        and not is_placeholder(value)
        and not heuristic.is_sequential_string(value)
        and not heuristic.is_potential_uuid(value)
        and _ENTROPY.calculate_shannon_entropy(value) >= _NAMELESS_BITS
        and _HASH_BEFORE.search(before) is None
        and _HASH_BEFORE.match(value) is None
    )


@functools.lru_cache(maxsize=256)
def _entropy(value: str) -> float:
    """Bits per character, whatever the characters."""
    counts = [value.count(it) / len(value) for it in set(value)]
    return -sum(share * math.log2(share) for share in counts)
