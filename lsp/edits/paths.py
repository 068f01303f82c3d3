"""Which paths blocks may name: files that were sent, and new ones below the root, under names that mean the same thing
on every system and that the index would read."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Collection
from pathlib import Path

from engine.editing.blocks import Block, Create, Rename

MAX_NAME_BYTES = 255
"""Of one name, on most file systems."""

MAX_PATH_CHARS = 1_024
"""Of a path below the root: more than any repository has, less than any system takes."""

_DRIVE = re.compile(r"^[A-Za-z]:")
_DEVICE = re.compile(
    r"^(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$|clock\$)\s*(?:\..*)?$", re.IGNORECASE
)
_SHORT_GIT = re.compile(r"^git~\d+$")
_FORBIDDEN = frozenset('<>:"|?*')
"""In names of Windows; a colon names a stream of a file there."""


def why_no_path(path: str) -> str | None:
    """Why this is no path below a root, whatever there is; None where it is one."""
    if not path or len(path) > MAX_PATH_CHARS:
        return "is no path" if not path else f"is longer than {MAX_PATH_CHARS:,} characters"
    if any(unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp") for char in path):
        return "holds characters that cannot be seen"
    if path.startswith(("/", "\\", "~")) or _DRIVE.match(path):
        return "is not below the root: paths of blocks are relative to it"
    if "\\" in path:
        return "has a backslash: folders are separated by slashes"
    for name in path.split("/"):
        if name in ("", ".", ".."):
            return "leads out of its folder or nowhere ('..', '.' or an empty name)"
        if name != name.rstrip(". ") or name != name.lstrip(" "):
            return "has a name that begins with a blank or ends in a blank or a dot, which some systems leave out"
        if len(name.encode()) > MAX_NAME_BYTES:
            return f"has a name of more than {MAX_NAME_BYTES} bytes"
        if folded(name) == ".git" or _SHORT_GIT.match(name.lower()):
            return "is git's own"
    return None


def folded(name: str) -> str:
    """The same for names that some file system takes for one."""
    return unicodedata.normalize("NFKC", name).casefold()


class Guard:
    """Of one root and one edit. It looks at the disk: not for an event loop."""

    def __init__(
        self,
        root: Path,
        sent: Collection[str],
        planned: Collection[str] | None = None,
        made: Collection[str] = (),
    ) -> None:
        """`sent`: the files whose text the model was given. `planned`: new files that it may make; None for any.
        `made`: files that are there because an earlier turn of this edit has made them."""
        self._root = root
        self._sent = frozenset(sent)
        self._planned = planned
        self._made = frozenset(made)
        self._by_folded = {folded(path): path for path in self._sent}

    def why_not(self, block: Block) -> str | None:
        """Why a block may not name what it names; for `applying.apply`."""
        if isinstance(block, Create):
            return self.why_not_new(block.path)
        if isinstance(block, Rename):
            why = self.why_not_new(block.new_path)
            return self.why_not_there(block.path) or (why and f"is to be {block.new_path}, which {why}")
        return self.why_not_there(block.path)

    def why_not_there(self, path: str) -> str | None:
        """Of a file that is to be changed."""
        if (why := why_no_path(path)) is not None:
            return why
        if path not in self._sent:
            other = self._by_folded.get(folded(path))
            return f"is written {other}" if other else "is not among the files that were sent"
        if (why := self._why_led_away(path)) is not None:
            return why
        try:
            state = os.lstat(self._root / path)
        except FileNotFoundError:
            return None  # a document that was never saved
        except OSError as failed:
            return f"cannot be looked at: {failed.strerror or failed}"
        if stat.S_ISLNK(state.st_mode):
            return "is a symbolic link"
        if not stat.S_ISREG(state.st_mode):
            return "is no regular file"
        if not state.st_mode & 0o222 or not os.access(self._root / path, os.W_OK):
            return "is read-only"
        return self._why_left_out(path)

    def why_not_new(self, path: str) -> str | None:
        """Of a file that is to be made, or given another name."""
        if (why := why_no_path(path)) is not None:
            return why
        for name in path.split("/"):
            if _DEVICE.match(name):
                return f"has the name of a device ({name})"
            if not _FORBIDDEN.isdisjoint(name):
                return "has characters that names on some systems cannot have"
        if self._planned is not None and path not in self._planned:
            return "is not among the files that were planned"
        taken = None if path in self._made else self._why_taken(path)
        return self._why_led_away(path) or taken or self._why_left_out(path)

    def _why_led_away(self, path: str) -> str | None:
        """Whether a folder on the way is a link, or no folder."""
        folder = self._root
        for name in path.split("/")[:-1]:
            folder /= name
            try:
                state = os.lstat(folder)
            except FileNotFoundError:
                return None
            except OSError as failed:
                return f"cannot be looked at: {failed.strerror or failed}"
            if stat.S_ISLNK(state.st_mode):
                return "is behind a symbolic link"
            if not stat.S_ISDIR(state.st_mode):
                return f"is below {folder.name}, which is no folder"
        return None

    def _why_taken(self, path: str) -> str | None:
        """Whether it is there, or something that only differs from it in case."""
        if os.path.lexists(self._root / path):
            return "is there already"
        folder = self._root
        for name in path.split("/"):
            try:
                there = {each.name for each in folder.iterdir()}
            except FileNotFoundError:
                return None
            except OSError as failed:
                return f"cannot be made: {failed.strerror or failed}"
            twin = next((each for each in there if each != name and folded(each) == folded(name)), None)
            if twin is not None and name not in there:
                return f"differs from {twin} in nothing but case, which some systems take for the same"
            folder /= name
            if not folder.exists() and not os.access(folder.parent, os.W_OK):
                return f"cannot be made: {folder.parent.name} is read-only"
        return None

    def _why_left_out(self, path: str) -> str | None:
        """By the rules of the index: what it never reads is not edited either."""
        from indexer.files.exclusions import why_file_excluded
        from indexer.files.ignored import is_ignored

        why = why_file_excluded(self._root / path, self._root)
        if why is not None:
            return f"is left out of everything: {why}"
        return "is ignored by git" if is_ignored(self._root, path) else None
