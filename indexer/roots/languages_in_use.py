"""Which languages this user's repositories are in, remembered from one service to the next."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from indexer import paths
from indexer.parsing.languages import has_grammar

_log = logging.getLogger(__name__)

_DEFAULT = ("python",)
_MOST = 4
"""Each costs memory and up to 80 ms when the fork server starts; few repositories are in more."""


def languages_in_use() -> list[str]:
    """Languages with a grammar, the most used first."""
    try:
        named = _file().read_text(encoding="utf-8").split()
    except (
        OSError,
        UnicodeDecodeError,
    ):  # the first time, or not ours to read: then children load what they need
        named = list(_DEFAULT)
    return [language for language in named if has_grammar(language)][:_MOST]


def remember(languages: Iterable[str]) -> None:
    """Takes these, the most used first, for the next time. Blocks on the disk."""
    wanted = [language for language in dict.fromkeys(languages) if has_grammar(language)][:_MOST]
    if not wanted or wanted == languages_in_use():
        return
    try:
        _file().write_text(" ".join(wanted) + "\n", encoding="utf-8")
    except OSError as failed:
        _log.warning("the languages in use are not remembered: %s", failed)


def _file() -> paths.Path:
    return paths.cache_folder() / "languages"
