"""What folders take on disk."""

from __future__ import annotations

from pathlib import Path


def size_of(folder: Path) -> int:
    """Bytes of all files below."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.lstat().st_size
        except FileNotFoundError:
            continue  # compacted away meanwhile
    return total
