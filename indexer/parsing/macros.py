"""Blanks the macros of C and C++ that no grammar can read without knowing what they stand for.

`class EXPORT Name {…}` looks like a function, and `API int f(void)` has a type too many: the one loses all of a
class, the other the result. What such macros stand for (visibility, linkage, attributes) says nothing that the index
wants to know, so the parser gets blanks in their place: every byte keeps its place."""

from __future__ import annotations

import re

_WORD = rb"[A-Z][A-Z0-9_]{2,}(?:[ \t]*\([^()\n]*\))?"
"""A macro by its looks; types of one's own are rarely written like that."""

_BEFORE_NAME = re.compile(
    rb"\b(?:class|struct|union)\s+("
    + _WORD
    + rb")(?=\s+[A-Za-z_][\w:]*(?:<[^;{}]*>)?\s*(?:final\s*)?(?:\{|:[^:]))"
)
"""Between `class` and a name of which the body follows."""

_BEFORE_TYPE = re.compile(
    rb"^[ \t]*(?:(?:extern|static|inline|virtual|friend)[ \t]+)*"
    rb"([A-Z][A-Z0-9_]*_(?:API|DECL|EXPORT|EXTERN|FUNC|IMPORT|INLINE|PUBLIC|NODISCARD|NOINLINE|NORETURN|CONSTEXPR"
    rb"|LOCAL|HIDDEN|VISIBLE|DEPRECATED))(?=[ \t]+[\w:~])",
    re.MULTILINE,
)
"""At the beginning of a line, by its last word, before what may be a declaration."""

_OF_LANGUAGE = {"c": (_BEFORE_NAME, _BEFORE_TYPE), "cpp": (_BEFORE_NAME, _BEFORE_TYPE)}


def without_macros(source: bytes, language: str) -> bytes:
    """The same number of bytes, for the parser."""
    for expression in _OF_LANGUAGE.get(language, ()):
        source = expression.sub(_blank, source)
    return source


def _blank(found: re.Match[bytes]) -> bytes:
    start, end = found.start(1) - found.start(), found.end(1) - found.start()
    whole = found.group()
    return whole[:start] + b" " * (end - start) + whole[end:]
