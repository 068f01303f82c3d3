"""The folders that an agent may ask about: their index, the paths in them, and texts as a model may read them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from indexer.client import IndexClient, IndexServiceError, IndexUnavailable
from indexer.files.exclusions import why_file_excluded
from indexer.messages import RootStatus
from indexer.parsing.languages import language_of
from indexer.parsing.lines import split_lines
from indexer.secrets.redaction import redact

WAIT_FOR_INDEX_S = 40.0
"""Agents give a tool a minute as a rule; whoever gets an answer sooner can do something else meanwhile."""
LOOK_S = 0.1
_T = TypeVar("_T")
OnProgress = Callable[[RootStatus], Awaitable[None]]


class Refused(Exception):
    """A question that cannot be answered; the message says why, and what to do."""


class Repositories:
    """Opened when first asked about, kept in step by the index service, let go with the connection."""

    def __init__(self, roots: list[Path]) -> None:
        self.roots = roots
        self._client: IndexClient | None = None
        self._connecting = asyncio.Lock()

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()

    # ------------------------------------------------------------ the index

    async def ask(self, root: Path, question: Callable[[IndexClient], Awaitable[_T]]) -> _T:
        """The answer to a question about an indexed folder, asked again where the service went away. Raises Refused."""
        try:
            try:
                return await question(await self._connected())
            except IndexUnavailable:
                return await question(await self._connected())
        except IndexUnavailable as gone:
            raise Refused(f"{gone}. Ask again; if it stays so, run `foreword doctor`") from gone
        except IndexServiceError as failed:
            raise Refused(f"the index of {root} did not answer: {failed}") from failed

    async def status(self, root: Path) -> RootStatus:
        """What the index service knows of a folder. Raises Refused."""

        async def known(client: IndexClient) -> RootStatus:
            return await client.open_root(str(root))

        return await self.ask(root, known)

    async def ready(self, root: Path, on_progress: OnProgress) -> None:
        """Waits, but not for long, until `root` is indexed. Raises Refused."""
        status = await self.status(root)
        try:
            async with asyncio.timeout(WAIT_FOR_INDEX_S):
                while status.state in ("listing", "indexing"):
                    await on_progress(status)
                    await asyncio.sleep(LOOK_S)
                    status = await self.status(root)
        except TimeoutError as late:
            done = f"{status.files_done:,} of {status.files:,} files"
            raise Refused(f"{root} is being indexed, {done} so far. Ask again in a minute") from late
        if status.state == "failed":
            raise Refused(
                f"{root} could not be indexed: {status.error}. Run `foreword doctor` on this machine"
            )

    async def _connected(self) -> IndexClient:
        async with self._connecting:
            if self._client is None or not self._client.connected:
                self._client = await IndexClient.connect()
            return self._client

    # ------------------------------------------------------------ paths

    def root_named(self, folder: str) -> Path:
        """The folder that is meant; the only one, or the first, where none is. Raises Refused."""
        if not folder:
            return self.roots[0]
        wanted = Path(os.path.abspath(self.roots[0] / folder))  # noqa: PTH100 - links stay as they were given
        for root in self.roots:
            if wanted == root:
                return root
        raise Refused(f"{folder} is none of the folders that may be asked about: {self.named_roots()}")

    def file(self, path: str) -> tuple[Path, Path]:
        """(root, file) of a path that an agent names, absolute or below a root. Raises Refused where it leads outside
        or names what no model is shown."""
        roots = [root for root in self.roots if (root / path).exists()] or self.roots
        for root in roots:
            file = Path(os.path.abspath(root / path))  # noqa: PTH100 - links are judged by `why_file_excluded`
            if file.is_relative_to(root):
                return root, self._allowed(root, file)
        raise Refused(f"{path} is outside of the folders that may be asked about: {self.named_roots()}")

    def named_roots(self) -> str:
        return ", ".join(str(root) for root in self.roots)

    def _allowed(self, root: Path, file: Path) -> Path:
        try:
            why = why_file_excluded(file, root)
        except OSError as failed:
            raise Refused(f"whether {file} may be read cannot be told: {failed}") from failed
        if why is not None:
            raise Refused(f"{file} is never shown to a model: {why}")
        return file

    # ------------------------------------------------------------ texts

    async def lines(self, root: Path, path: str) -> list[str]:
        """The lines of a file below `root`, without secrets. Raises Refused."""
        return await asyncio.to_thread(self._lines, root, path)

    def _lines(self, root: Path, path: str) -> list[str]:
        file = self._allowed(root, root / path)
        return split_lines(redact(read_text(file), language_of(path)).text)


def read_text(file: Path) -> str:
    """Raises Refused."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as gone:
        raise Refused(f"{file} does not exist") from gone
    except UnicodeDecodeError as other:
        raise Refused(f"{file} is not UTF-8") from other
    except OSError as failed:
        raise Refused(f"{file} cannot be read: {failed.strerror}") from failed
