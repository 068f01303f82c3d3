"""Chooses which lines of which candidates a pack holds: whole runs of lines, never over the budget, and as far as they
still serve those of the last pack in their place."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import msgspec

from indexer.messages import Segment
from indexer.packing.evidence import Candidate, Chances, Evidence, Weights, told
from indexer.packing.filling import Filling, Prices, Thing, Way
from indexer.packing.spans import Span, inside, without
from indexer.packing.texts import Texts
from indexer.packing.weights import LIKE_BUDGET, LIKE_OF_SEARCH, NEEDED

DEAREST_SHARE = 2
"""One step may take at most this part (1/2) of the budget: no single thing is worth all others."""

APPENDED_FROM = 0.02
"""What is less likely to be needed is not added to a pack that is kept: it would come and go with every line."""

TOKENS_PER_CANDIDATE = 30
"""Of budget: so many candidates are looked at, the likeliest. Twice as many took twice as long and showed nothing more
of what was needed, at 4,096 and 8,192 tokens."""

LEAST_CANDIDATES = 85
"""In a small budget, where 1,024 tokens hold so many single lines."""

ROOM_FOR_MORE = 40
"""Tokens of budget for each candidate that is looked at in more than its smallest version; the others would hardly get
it."""

SINGLE_LINES_UP_TO = 2_048
"""Tokens. In a larger budget nothing is shown by one line of several: a small model writes worse below many lines that
begin something and do not go on, more than it gains by the names in them."""

WORTH_READING = 0.25
"""Of what is needed now, so much (in definitions: the sum of their chances) must be missing from the last pack before
it is touched: everything behind a change is read anew, the text before the cursor included."""

MOST_ADDED = 4
"""At most one part in so many of the budget is added to a pack that is kept."""

SLACK = 8
"""One part in so many is left free of what is unlikely (`APPENDED_FROM`): what a moving cursor adds shall find room
behind what is kept."""

MOST_FREE = 3
"""A pack that leaves one part in so many of the budget free is filled up."""

KEPT_VALUE = 0.75
"""A pack is kept while it can be made to show at least this share of what one that is chosen anew shows."""

LEFT_OUT_FROM = 0.2
"""What is likelier to be needed than this, or imported and used near, and has found no room, is told."""

MOST_REASONS = 3
"""That one segment is shown with."""

OWNER = "its members are here"
"""Why a line is shown that names a class and nothing else."""


class Chosen(msgspec.Struct, frozen=True):
    """What one pack holds."""

    segments: list[Segment]
    left_out: int
    """Definitions that are likely to be needed and have found no room."""
    needed: float
    """Of the definitions that the next line may name, so many (the sum of their chances) are shown. What is here only
    because it is like what is being written does not count: it comes and goes with every line."""


class Choice:
    """Of these candidates, in a budget of tokens. `base` is read anyway and costs nothing here."""

    def __init__(
        self,
        candidates: Sequence[Candidate],
        texts: Texts,
        budget: int,
        base: Sequence[Segment] = (),
        weights: Weights = NEEDED,
    ) -> None:
        self._texts = texts
        self._budget = budget
        self._base = base
        self._prices = Prices(texts.exact, texts.roughly, texts.header)
        self._candidates: list[Candidate] = []
        self._chances: list[float] = []
        self._worth: list[float] = []
        """Of each thing: what it is worth whole."""
        self._things: list[Thing] = []
        self._named: list[tuple[float, ...]] = []
        """Of each thing, what each version is worth because it may be named."""
        chances = Chances(weights)
        ranked = sorted(
            (
                (chances.of(one.evidence), _likeness(one, budget), number, one)
                for number, one in enumerate(candidates)
            ),
            key=lambda each: (-each[0] - each[1], each[2]),
        )
        for chance, like, _, candidate in ranked[: max(budget // TOKENS_PER_CANDIDATE, LEAST_CANDIDATES)]:
            versions = texts.versions(candidate)
            least = int(
                candidate.definition is not None and len(versions) > 1 and budget > SINGLE_LINES_UP_TO
            )
            if len(self._things) >= budget // ROOM_FOR_MORE:
                versions = versions[: least + 1]
            ways = tuple(
                Way(version.span, chance * version.worth.named + like * version.worth.like)
                for version in versions
            )
            if ways:
                self._candidates.append(candidate)
                self._chances.append(chance)
                self._worth.append(chance + like)
                self._things.append(Thing(candidate.path, ways, least))
                self._named.append(tuple(chance * version.worth.named for version in versions))

    def anew(self) -> Chosen:
        """For the most value."""
        held = Held(self._base)
        filling = self._filled(self._budget - self._budget // SLACK, held)
        self._put_owners(filling, held, self._budget)
        filling.fill_up(self._budget, self._likely(APPENDED_FROM))
        return self._chosen([], filling, held)

    def keeping(self, kept: Sequence[Segment], anew: Chosen, *, unhurried: bool = False) -> Chosen:
        """The segments of the last pack in their order, as they are where that is nearly as good as `anew`; else what
        is needed now is added behind them, in place of the last of them where room is short; else `anew`. A budget that
        has grown is filled behind what is there, which leaves definitions in pieces; `unhurried` it is `anew`."""
        free = self._budget - sum(segment.tokens for segment in kept)
        if free > self._budget // MOST_FREE:
            if unhurried:
                return anew
            held = Held([*self._base, *kept])
            filling = self._filled(free - self._budget // SLACK, held)
            self._put_owners(filling, held, free)
            return self._chosen(kept, filling, held)
        as_it_is = self._chosen(kept, None, Held(self._base))
        if as_it_is.needed >= anew.needed - WORTH_READING:
            return as_it_is
        held = Held([*self._base, *kept])
        wanted = self._filled(self._budget // MOST_ADDED, held, APPENDED_FROM).tokens
        stay = fitting(kept, self._budget - wanted)
        held = Held([*self._base, *stay])
        room = self._budget - sum(segment.tokens for segment in stay)
        filling = self._filled(room, held, APPENDED_FROM)
        self._put_owners(filling, held, room)
        added = self._chosen(stay, filling, held)
        best = max(added, as_it_is, key=lambda one: one.needed)
        return best if best.needed >= KEPT_VALUE * anew.needed else anew

    def _likely(self, least: float) -> list[bool]:
        return [chance >= least for chance in self._chances]

    def _filled(self, budget: int, held: Held, least: float = 0.0) -> Filling:
        """`least`: what is less likely to be needed is not taken."""
        dearest = max(budget // DEAREST_SHARE, 1)
        likely = self._likely(least)
        filling = Filling(self._things, self._prices, budget, dearest=dearest, held=held, wanted=likely)
        filling.fill()
        return filling

    def _put_owners(self, filling: Filling, held: Held, budget: int) -> None:
        """The line that names its class before each member: by itself the member says nothing of whose it is."""
        for candidate, way in zip(self._candidates, filling.chosen, strict=True):
            own = candidate.definition
            if way < 0 or own is None or not own.container:
                continue
            owner = self._texts.owner(own)
            if owner is not None and not held(own.path, owner):
                filling.put(own.path, owner, budget)

    def _chosen(self, stay: Sequence[Segment], filling: Filling | None, held: Held) -> Chosen:
        segments = [*stay, *(self._laid_out(filling, held) if filling is not None else ())]
        if stay:  # what follows may be of the file that it ends with
            segments = self._texts.recounted(segments)
        if filling is None or stay:  # what stays counts as well
            there = Held([*self._base, *segments])
            filling = Filling(self._things, self._prices, 0, dearest=0, held=there)
        missing = sum(
            way < 0 and _is_missed(candidate.evidence, chance)
            for way, candidate, chance in zip(filling.chosen, self._candidates, self._chances, strict=True)
        )
        needed_here = sum(
            named[way] for named, way in zip(self._named, filling.chosen, strict=True) if way >= 0
        )
        return Chosen(segments, missing, needed_here)

    def _laid_out(self, filling: Filling, held: Held) -> list[Segment]:
        """File by file: unsaved ones first, then the worthiest last, next to the cursor's file: what a model has read
        last counts most."""
        why: dict[str, list[tuple[float, Span, list[str]]]] = {}
        worthiest: dict[str, float] = {}
        for candidate, chance, worth, thing, way in zip(
            self._candidates, self._chances, self._worth, self._things, filling.chosen, strict=True
        ):
            if way >= 0 and thing.path in filling.runs:
                why.setdefault(thing.path, []).append((-chance, thing.ways[way].span, told(candidate)))
                worthiest[thing.path] = max(worthiest.get(thing.path, 0.0), worth)
        found: list[Segment] = []
        texts = self._texts

        def place(path: str) -> tuple[bool, float, str]:
            return texts.layer(path) != "overlay", worthiest.get(path, 0.0), path

        for path in sorted(filling.runs, key=place):
            lines = texts.lines(path)
            runs = [part for run in filling.runs[path] for part in without(run, held.of(path), lines)]
            for segment in texts.segments(path, runs):
                span = segment.start_line, segment.end_line
                here = [reasons for _, part, reasons in sorted(why[path]) if _touch(part, span)]
                told_once = dict.fromkeys(reason for reasons in here for reason in reasons)
                why_here = "; ".join(list(told_once)[:MOST_REASONS]) or OWNER
                found.append(msgspec.structs.replace(segment, reason=why_here))
        return found


class Held:
    """Lines that the reader has anyway."""

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._spans: dict[str, list[Span]] = {}
        for segment in segments:
            self._spans.setdefault(segment.path, []).append((segment.start_line, segment.end_line))

    def __call__(self, path: str, span: Span) -> bool:
        runs = self._spans.get(path)
        return runs is not None and any(inside(span, run) for run in runs)

    def of(self, path: str) -> list[Span]:
        return self._spans.get(path, [])


def _is_missed(evidence: Evidence, chance: float) -> bool:
    return chance >= LEFT_OUT_FROM or evidence.imported_near > 0.0 or evidence.attribute > 0.0


def _likeness(candidate: Candidate, budget: int) -> float:
    """What its lines are worth because they are like those that are being written."""
    if candidate.definition is not None:
        return 0.0
    return LIKE_OF_SEARCH * candidate.evidence.search * min(1.0, budget / LIKE_BUDGET)


def _touch(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def fitting(kept: Sequence[Segment], budget: int) -> list[Segment]:
    """The first of these that fit: what stands before them may have grown."""
    tokens = accumulate(segment.tokens for segment in kept)
    return [segment for segment, so_far in zip(kept, tokens, strict=True) if so_far <= budget]
