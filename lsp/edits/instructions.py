"""Files in which a repository speaks to whoever edits it (AGENTS.md and the like), read as what they are: text that
nobody here has checked, bounded, and from within the root alone."""

from __future__ import annotations

from pathlib import Path

import msgspec

from engine.editing.prompt import Guide

GUIDE_PATHS = (
    "AGENTS.md",
    ".github/copilot-instructions.md",
    "CLAUDE.md",
    "GEMINI.md",
    ".cursorrules",
    "CONVENTIONS.md",
)
"""In the order in which they are read. The first two are what most repositories have."""

MAX_GUIDES = 2
"""Repositories that have more of them repeat one in the other."""

MAX_GUIDE_BYTES = 64_000
"""Of what is read of a file; how much of that a prompt takes its budget says."""


def guides_of(root: Path) -> list[Guide]:
    """The files that are there. Blocks for milliseconds. A link that leads out of the root is none of them."""
    found: list[Guide] = []
    for relative in GUIDE_PATHS:
        text = _read(root, relative)
        if text and all(text != other.text for other in found):
            found.append(Guide(relative, text))
    return found[:MAX_GUIDES]


def cut(guides: list[Guide], characters: int) -> list[Guide]:
    """As much of the guides, at whole lines, as `characters` allow."""
    kept: list[Guide] = []
    for guide in guides:
        text = (
            guide.text
            if len(guide.text) <= characters
            else guide.text[: guide.text.rfind("\n", 0, characters) + 1]
        )
        if text:
            kept.append(msgspec.structs.replace(guide, text=text))
        characters -= len(text)
    return kept


def _read(root: Path, relative: str) -> str:
    """Without its blank lines; empty where there is no such file, or it may not be read."""
    from indexer.files.exclusions import why_file_excluded

    path = root / relative
    try:
        if not path.is_file() or not path.resolve().is_relative_to(root.resolve()):
            return ""
        if why_file_excluded(path, root) is not None:
            return ""
        with path.open("rb") as file:
            data = file.read(MAX_GUIDE_BYTES)
    except OSError:
        return ""  # it is advice: an edit does without
    text = data.decode("utf-8-sig", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return "".join(f"{line}\n" for line in text.split("\n") if line.strip())
