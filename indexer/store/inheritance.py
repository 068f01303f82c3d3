"""A new generation takes over the vectors of the one before it: they hang on texts, whatever else changed, and are
minutes of work.

Their files are never changed once they are written, so both generations may have the same ones."""

from __future__ import annotations

import logging
import os
import shutil
import time
from pathlib import Path

from indexer.store import schema
from indexer.store.claim import try_claim

_log = logging.getLogger(__name__)

_TABLES = "vectors-*.lance"
_NOTES = ("embedders.json",)

_NOTE = "inherited"
"""In the folder of a generation that took something over; its time is when."""

_SHARED_BYTES = 64 * 1024
"""Files of at least this are linked; smaller ones, among them what points to a table's last version, are
copied."""


def inherit(folder: Path) -> None:
    """Fills the folder of a generation that does not exist yet, if another of the same schema is to be had and
    nobody has it open. Blocks. What cannot be taken over is made anew, so that no failure is one."""
    if folder.exists() or not folder.parent.is_dir():
        return
    same = f"v{schema.SCHEMA_VERSION}-*"
    others = sorted(folder.parent.glob(same), key=lambda other: other.stat().st_mtime, reverse=True)
    before = next((it for it in others if "." not in it.name and any(it.glob(_TABLES))), None)
    if before is None:
        return
    held = try_claim(before)
    if held is None:
        return
    draft = folder.with_name(f"{folder.name}.new")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        for table in before.glob(_TABLES):
            shutil.copytree(table, draft / table.name, copy_function=_shared)
        for note in _NOTES:
            if (before / note).exists():
                shutil.copy2(before / note, draft / note)
        (draft / _NOTE).touch()
        draft.rename(folder)
        _log.info("the vectors of %s are taken over", before.name)
    except OSError as failed:
        _log.warning("the vectors of %s are not taken over: %s", before.name, failed)
        shutil.rmtree(draft, ignore_errors=True)
    finally:
        os.close(held)


def age_s(folder: Path) -> float | None:
    """How long ago a generation took over the vectors of another, None if it never did. Raises OSError."""
    try:
        return time.time() - (folder / _NOTE).stat().st_mtime
    except FileNotFoundError:
        return None


def _shared(source: str, target: str) -> str:
    if Path(source).stat().st_size >= _SHARED_BYTES:
        try:
            os.link(source, target)
            return target
        except OSError:  # a file system without links
            pass
    return shutil.copy2(source, target)
