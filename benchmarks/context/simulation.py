"""The editing simulation: commits typed into the product as an editor would send them, each prompt put through SGLang's
prefix cache, and which part of each had to be computed anew."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from benchmarks.context.base_share import BaseShare, Kept
from benchmarks.context.editor import Editor
from benchmarks.context.history import BRANCH, Commit, git, past_of, tree
from benchmarks.context.layers import Asked, Layers, recomputed
from benchmarks.context.prefix_cache import PrefixCache
from benchmarks.context.replay import Committed, Edited, Event, Saved, is_text, replay
from benchmarks.targets import Say, TargetError
from engine.profiles import QWEN_SMALL
from engine.prompts import ContextSegment, front_ids
from engine.tokens import ModelTokenizer
from indexer.messages import BaseRequest, TokenizerRef
from indexer.packing.syntax import language_of
from lsp.completion import read
from lsp.links.base_keeper import IDLE_S, BaseInUse
from lsp.links.budget import Clock, Speed, base_tokens
from lsp.settings import Settings

ASK_AFTER_S = 0.3
"""Editors ask when nothing was typed for so long; those that ask sooner find the more cached."""
CONTEXT_TOKENS = 32_768
"""The window of the smallest models."""
PACK_TIMEOUT_S = 30.0
"""A prompt without its pack, because this machine was busy, would tell nothing."""
WORK_BRANCH = "work"
TOLD_EVERY = 10
"""Commits."""
_WORD = re.compile(r"\w{6,}")


class Setting(msgspec.Struct, frozen=True):
    """Of what size the prompts are, how many tokens the prefix cache has room for, and how fast the engine reads."""

    name: str
    prompt_tokens: int
    pool_tokens: int
    tokens_s: float

    @property
    def base_tokens(self) -> int:
        """As the server shares a window of `prompt_tokens` out; 0 for an engine that is too slow to have a base."""
        return base_tokens(Speed(self.tokens_s), self.prompt_tokens, self.pool_tokens)


SETTINGS = (Setting("4k", 4_096, 28_672, 1_000.0), Setting("32k", 32_768, 229_376, 8_000.0))
"""The small model on two cores and a large one on a GPU, with what one workspace may count on of pools of 32,768 and
262,144 tokens (`engine.scheduler.workspaces`)."""


class Future:
    """Words that only later text has: none of them may be in a prompt before it is typed."""

    def __init__(self, past: Iterable[str], commits: Sequence[Commit]) -> None:
        self._words: set[str] = set()
        for commit in commits:
            for change in commit.changes:
                self._words |= _words((change.new or b"").decode(errors="replace"))
        for text in past:
            self.happened(text)

    def happened(self, text: str) -> None:
        self._words -= _words(text)

    def seen_in(self, text: str) -> set[str]:
        return self._words & _words(text)

    def __len__(self) -> int:
        return len(self._words)


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text))


def prepare(repository: Path, commits: Sequence[Commit], folder: Path) -> Path:
    """A work tree as it was before the first of `commits`, on a branch of its own; what came later is nowhere in it."""
    past_of(repository, commits[0].parent, folder)
    git(folder, "checkout", "--quiet", "-b", WORK_BRANCH)
    return folder


class Simulation:
    """One pass over the commits with prompts of one size."""

    def __init__(
        self, editor: Editor, setting: Setting, tokenizer: ModelTokenizer, cache: PrefixCache
    ) -> None:
        self._editor = editor
        self._setting = setting
        self._tokenizer = tokenizer
        self._cache = cache
        self._layers = Layers(tokenizer)
        self._now_s = 0.0
        self._clock = Clock(lambda: self._now_s)
        self._speed = Speed(setting.tokens_s)
        self._base: BaseInUse | None = None
        self._share: BaseShare | None = None
        self._last: tuple[str, int] = ("", 0)
        """Path and offset of the last prompt, moved along with what is typed there."""
        self._after: set[str] = set()
        self.asked: list[Asked] = []
        self.kept: list[Kept] = []
        """Of the base, at each prompt that there was one for."""
        self.idle_tokens = 0
        """Read while nobody waited."""
        self.kept_first: list[Kept] = []
        """The same of the first base, as if it were never made anew."""
        self.bases: list[BaseShare] = []
        """In the order in which they were made."""

    async def run(self, commits: Sequence[Commit], say: Say, most: int) -> list[Asked]:
        """At most `most` prompts. Raises TargetError where one has what was not typed yet."""
        await self._editor.open()
        root = self._editor.root
        past = await asyncio.to_thread(tree, root)
        future = Future((content.decode(errors="replace") for content in past.values()), commits)
        shown = [path for path, content in past.items() if language_of(path) and is_text(content)]
        for number, commit in enumerate(commits, 1):
            for event in replay(commit, [path for path in shown if (root / path).is_file()]):
                await self._editor.carry_out(event)
                await self._follow(event, future)
                if len(self.asked) >= most:
                    return self.asked
            if number % TOLD_EVERY == 0:
                say(f"{self._setting.name}: {number} of {len(commits)} commits, {len(self.asked)} prompts")
            if commit.message.startswith("Release "):
                await asyncio.to_thread(git, root, "branch", "--force", BRANCH, WORK_BRANCH)
        return self.asked

    async def _follow(self, event: Event, future: Future) -> None:
        if isinstance(event, Edited):
            self._note(event)
            if event.typed and event.then_s >= ASK_AFTER_S:
                await self._ask(event.path, event.start + len(event.text), future)
        elif isinstance(event, Saved):
            self._after.add("saved")
        elif isinstance(event, Committed):
            self._after.add("committed")
        await self._editor.rest(event.then_s)
        self._now_s += event.then_s
        base_s = self._setting.base_tokens / self._setting.tokens_s
        if self._setting.base_tokens and event.then_s >= IDLE_S + base_s:
            await self._read_ahead()

    async def _read_ahead(self) -> None:
        """What the server does when nothing is asked for a while (`lsp.links.base_keeper`)."""
        client = self._editor.link.client
        if client is None:
            raise TargetError("the connection to the index service was lost")
        budget, root = self._setting.base_tokens, str(self._editor.root)
        reference = TokenizerRef(str(self._tokenizer.file))
        base = await client.base(BaseRequest(root, reference, budget, repack=True))
        if not base.segments:
            raise TargetError(f"there is no base: {'; '.join(base.notes)}")
        if self._share is not None and self._share.name == base.id:
            return
        segments = [ContextSegment(each.path, each.text, each.ids) for each in base.segments]
        ids = front_ids(QWEN_SMALL, self._tokenizer, base.repo_name or "workspace", segments)
        self.idle_tokens += len(ids) - await self._cache.found(ids)
        self._base = BaseInUse(base.id, budget, len(ids))
        self._share = BaseShare(base.id, base.segments, self._editor.content)
        self.bases.append(self._share)

    def _note(self, event: Edited) -> None:
        path, at = self._last
        if path != event.path:
            self._after.add("switched")
        elif at != event.start:
            self._after.add("jumped")
        if not event.typed:
            self._after.add("removed")
        elif "\n" in event.text:
            self._after.add("new line")
        self._last = (event.path, event.start + len(event.text))

    def _budget(self, path: str) -> int:
        """Of the prompt beside its base: what a setting says, or, where there is a base, what the server works out."""
        if not self._setting.base_tokens:
            return self._setting.prompt_tokens
        return self._clock.budget(self._speed, path, self._setting.prompt_tokens)

    async def _ask(self, path: str, offset: int, future: Future) -> None:
        snapshot = self._editor.document(path)
        await self._editor.link.flush(leave=snapshot.path)
        budget = self._budget(path)
        reading = await read(
            snapshot,
            self._editor.link.client,
            self._tokenizer,
            QWEN_SMALL,
            Settings(budget_tokens=budget),
            offset=offset,
            root=str(self._editor.root),
            context_tokens=CONTEXT_TOKENS,
            base=self._base,
            pack_timeout_s=PACK_TIMEOUT_S,
        )
        if reading.pack is None:
            raise TargetError(f"{path}: there is no pack: {reading.note}")
        self._clock.read(path, budget)
        future.happened(snapshot.text)
        if early := future.seen_in(reading.prompt.text):
            raise TargetError(f"{path}: the prompt has what is typed later: {', '.join(sorted(early)[:5])}")
        assert reading.prompt.ids is not None
        cached = await self._cache.found(reading.prompt.ids)
        tokens = self._layers.of(reading)
        if self._share is not None:
            self.kept.append(self._share.kept(path))
            self.kept_first.append(self.bases[0].kept(path))
        after = ", ".join(sorted(self._after)) or "typed"
        self._after.clear()
        self.asked.append(Asked(path, offset, after, cached, tokens, recomputed(tokens, cached)))
