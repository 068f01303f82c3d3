"""What was shown while keys were typed, beside what was typed: how soon, how right, at what cost."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence

import msgspec

from benchmarks.lsp.keystrokes import Run


class Ghost(msgspec.Struct, frozen=True):
    """Text that stood at the cursor after a key."""

    after_s: float
    """From the key to the text."""
    text: str


class Played(msgspec.Struct):
    """One run, as one side has shown and paid for it."""

    run: Run
    before: str
    """The text up to the cursor as the run begins, and after it as it stood behind the cursor."""
    after: str
    ghosts: list[Ghost | None]
    """By key: what was on screen before the next one came, None for nothing."""
    without_engine: list[bool]
    """By key: the engine was not asked between the key and its text."""
    tokens: int = 0
    """That were generated, shown or not."""
    ahead: int = 0
    """Of them, what was asked before anybody waited for it."""
    asked: int = 0
    """Requests at the engine, those ahead included."""
    stale: int = 0
    """Answers with text for a version that had gone when they were given."""


class Score(msgspec.Struct, frozen=True):
    """Of one side over all runs."""

    waits: tuple[float, ...]
    """Of every key: the seconds until text is on screen."""
    latencies: tuple[float, ...]
    """The same of those keys alone that had text before the next one came."""
    keys: int
    exact_by_key: tuple[bool | None, ...]
    """Whether the first line of what was shown is what was typed next on that line; None where nothing was shown, or
    nothing was typed next."""
    similar: tuple[float, ...]
    inside: int
    """Keys that went along a text on screen, with some of it left."""
    inside_without_engine: int
    tokens: int
    ahead_tokens: int
    """Of them, asked before anybody waited for them."""
    kept_tokens: int
    """Of the final text, those that were on screen before they were typed. Each counts once, however often it was
    generated."""
    asked: int
    stale: int
    repeats: int
    """Texts shown that say the first line behind the cursor over again."""

    @property
    def exact(self) -> tuple[bool, ...]:
        """Of texts shown."""
        return tuple(each for each in self.exact_by_key if each is not None)

    @property
    def wasted(self) -> int:
        return self.tokens - self.kept_tokens


def score(played: Sequence[Played], count_tokens: Callable[[str], int]) -> Score:
    latencies: list[float] = []
    exact: list[bool | None] = []
    similar: list[float] = []
    inside = inside_without = repeats = kept = 0
    for each in played:
        for number, ghost in enumerate(each.ghosts):
            exact.append(None)
            if ghost is None:
                continue
            latencies.append(ghost.after_s)
            rest = each.run.rest(number)
            line, truth = ghost.text.partition("\n")[0].rstrip(), rest.partition("\n")[0].rstrip()
            if rest:
                exact[-1] = line == truth
                similar.append(difflib.SequenceMatcher(None, line, truth, autojunk=False).ratio())
            typed = "".join(key.text for key in each.run.keys[: number + 1])
            repeats += repeats_suffix(each.before + typed, ghost.text, each.after, rest)
        along = list(keys_inside(each))
        inside += len(along)
        inside_without += sum(
            each.ghosts[number] is not None and each.without_engine[number] for number in along
        )
        kept += sum(count_tokens(text) for text in shown_before(each))
    return Score(
        tuple(wait for each in played for wait in waits(each)),
        tuple(latencies),
        sum(len(each.run.keys) for each in played),
        tuple(exact),
        tuple(similar),
        inside,
        inside_without,
        sum(each.tokens for each in played),
        sum(each.ahead for each in played),
        kept,
        sum(each.asked for each in played),
        sum(each.stale for each in played),
        repeats,
    )


def waits(played: Played) -> list[float]:
    """From each key to the next text on screen, over the keys between as well; where none comes any more, to the end of
    the run: it took that long at least. Who seldom shows anything would else be measured at what it knew by heart."""
    found: list[float] = []
    until = 0.0
    for key, ghost in zip(reversed(played.run.keys), reversed(played.ghosts), strict=True):
        until = key.then_s + until if ghost is None else ghost.after_s
        found.append(until)
    return found[::-1]


def keys_inside(played: Played) -> Iterator[int]:
    """Keys that went along what was on screen, and did not end it."""
    for number in range(1, len(played.run.keys)):
        ghost, typed = played.ghosts[number - 1], played.run.keys[number].text
        if ghost is not None and ghost.text.startswith(typed) and len(ghost.text) > len(typed):
            yield number


def shown_before(played: Played) -> Iterator[str]:
    """The parts of the final text that were on screen before they were typed."""
    typed = played.run.typed
    seen = [False] * len(typed)
    at = 0
    for key, ghost in zip(played.run.keys, played.ghosts, strict=True):
        at += len(key.text)
        if ghost is None:
            continue
        for number in range(at, at + common(ghost.text, typed[at:])):
            seen[number] = True
    start = 0
    while start < len(typed):
        end = start
        while end < len(typed) and seen[end]:
            end += 1
        if end > start:
            yield typed[start:end]
        start = max(end, start + 1)


def common(one: str, other: str) -> int:
    """Characters that both begin with."""
    same = 0
    while same < min(len(one), len(other)) and one[same] == other[same]:
        same += 1
    return same


def repeats_suffix(before: str, shown: str, after: str, rest: str) -> bool:
    """Whether a line of the whole text with `shown` in it is the first line of code behind the cursor, and a line that
    was really written is not. Lines without a letter or digit are nobody's: brackets end many things."""
    suffix = next((line for line in after.splitlines()[1:] if any(map(str.isalnum, line))), "")
    line_before = before.rpartition("\n")[2]
    written = [line.strip() for line in (line_before + rest).split("\n")]
    said = [line.strip() for line in (line_before + shown).split("\n")]
    return bool(suffix) and suffix.strip() in said and suffix.strip() not in written
