"""The files of an edit without an editor: read from disk, and written back all or none."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from lsp.edits.applying import FileChange
from lsp.edits.files import SourceFile, encoded, read

MAX_NAME_BYTES = 200
"""Of a file's name in the one under which it is kept: systems take 255 in all."""


class NotWritten(Exception):
    """Nothing was changed, or all that was changed is as it was before; the message says why."""


class OnDisk(msgspec.Struct, frozen=True):
    """See `lsp.edits.reading.Reads`."""

    root: Path

    async def read(self, path: str) -> SourceFile | str:
        return await asyncio.to_thread(readable, self.root, path)


def readable(root: Path, path: str) -> SourceFile | str:
    """The file, or why a model may not read it or it cannot be edited."""
    return why_hidden(root, path) or read(root, path)


def why_hidden(root: Path, path: str) -> str:
    """Why no model may read this file; empty where one may."""
    from indexer.files.exclusions import why_file_excluded

    try:
        why = why_file_excluded(root / path, root)
    except FileNotFoundError:
        return ""
    except OSError as failed:
        return f"whether {path} may be read cannot be told: {failed}"
    return "" if why is None else f"{path} is never shown to a model: {why}"


def write_all(root: Path, changes: Sequence[FileChange]) -> None:
    """Puts changes into the files. What has changed on disk since it was read stops all of it. Raises NotWritten."""
    for change in changes:
        _still_as_read(root, change)
    made: list[tuple[Path, Path]] = []
    done = _Done()
    try:
        for change in changes:
            if change.after is not None:
                made.append((_beside(root, change), _place(root, change.new_path)))  # noqa: PERF401 — as far as it came
        for change in changes:
            if change.after is None or change.path != change.new_path:
                done.take_away(_place(root, change.path))
        for temporary, path in made:
            done.put(temporary, path)
    except OSError as failed:
        left = done.undo()
        state = f"what was there is kept in {', '.join(map(str, left))}" if left else "nothing is changed"
        raise NotWritten(
            f"{failed.filename or root} could not be written: {failed.strerror or failed}; {state}"
        ) from failed
    else:
        done.forget()
    finally:
        for temporary, _ in made:
            temporary.unlink(missing_ok=True)


def _still_as_read(root: Path, change: FileChange) -> None:
    if change.before is not None:
        now = read(root, change.path)
        if not isinstance(now, SourceFile) or (now.text, now.marked) != (
            change.before.text,
            change.before.marked,
        ):
            raise NotWritten(f"{change.path} has changed on disk since the model read it; nothing is changed")
    if change.before is None or change.path != change.new_path:
        there = root / change.new_path
        if there.exists() or there.is_symlink():
            raise NotWritten(f"{change.new_path} is there already; nothing is changed")


def _beside(root: Path, change: FileChange) -> Path:
    """The new content in a file of the same folder, with the mode of the old one: to be renamed in one step."""
    assert change.after is not None
    target = _place(root, change.new_path)
    target.parent.mkdir(parents=True, exist_ok=True)
    data = encoded(change.before, change.after) if change.before is not None else change.after.encode()
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".foreword-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        mode = (root / change.path).stat().st_mode if change.before is not None else 0o666 & ~_umask()
        temporary.chmod(mode & 0o7777)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _place(root: Path, path: str) -> Path:
    """Where the file itself is: a link stays one, and leads nowhere else even where it was put there meanwhile."""
    place = (root / path).resolve()
    if not place.is_relative_to(root.resolve()):
        raise OSError(errno.EXDEV, f"it leads out of {root} now", str(root / path))
    return place


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


class _Done:
    """What was done so far, and how it is taken back. What was there is kept under another name until all is done."""

    def __init__(self) -> None:
        self._kept: list[tuple[Path, Path]] = []
        self._put: list[Path] = []

    def take_away(self, path: Path) -> None:
        name = os.fsdecode(os.fsencode(path.name)[:MAX_NAME_BYTES]).encode(errors="ignore").decode()
        kept = path.with_name(f".foreword-{os.getpid()}-{len(self._kept)}-{name}")
        path.rename(kept)
        self._kept.append((kept, path))

    def put(self, temporary: Path, path: Path) -> None:
        if path.exists():
            self.take_away(path)
        temporary.rename(path)
        self._put.append(path)

    def undo(self) -> list[Path]:
        """Files that could not be put back, by the names under which they are kept."""
        left: list[Path] = []
        for path in self._put:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        for kept, path in reversed(self._kept):
            try:
                kept.rename(path)
            except OSError:
                left.append(kept)
        return left

    def forget(self) -> None:
        for kept, _ in self._kept:
            with suppress(OSError):
                kept.unlink(missing_ok=True)
