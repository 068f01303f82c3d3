"""From what was typed and shown to figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from benchmarks.figures import P95, Figure, high, percentile
from benchmarks.lsp.ours_side import DEBOUNCE_S, Blocked
from benchmarks.lsp.overhead import EDITS_PER_S, LINES, Overhead
from benchmarks.lsp.scoring import Score

OURS, LLAMAVIM, DEBOUNCED = "foreword", "llamavim", "debounced"
MEDIAN = 0.5


def overhead_figures(found: Overhead) -> Iterator[Figure]:
    told = f"index, engine and pauses taken off; {EDITS_PER_S} keys a second in {LINES} lines; at the client"
    own, echo, whole = found.own_s, found.echo_s, found.with_engine_s
    yield high("overhead_p95_s", own, "s", told)
    yield _at(MEDIAN, "overhead_p50_s", own, "s", told)
    script = f"a scripted engine's HTTP included, {found.asked} requests at it"
    yield high("overhead_with_engine_p95_s", whole, "s", script)
    yield high("echo_p95_s", echo, "s", "a bare pygls server, the same keys half an interval later")
    ratio = percentile(own, P95) / percentile(echo, P95)
    yield Figure("overhead_over_pygls", ratio, "ratio", "p95 of a bare pygls echo", len(own), ratio, ratio)


def blocked_figures(found: Sequence[Blocked]) -> Iterator[Figure]:
    """None where nothing was watched."""
    if not found:
        return
    worst = max(found, key=lambda each: each.seconds)
    at = f"; at {' > '.join(_ours(worst.stack))}" if worst.stack else ""
    told = f"its thread computed {worst.cpu_s:.3f} s of it, the collector took {worst.collected_s:.3f} s{at}"
    yield _highest("loop_blocked_max_s", [each.seconds for each in found], told)
    yield _highest(
        "loop_late_max_s",
        [each.latest_s for each in found],
        "with the time in which other processes had the processors",
    )


def trace_figures(scores: Mapping[str, Score], told: str) -> Iterator[Figure]:
    """Of our own side, and beside each of the others that is there."""
    ours = scores[OURS]
    share = ours.inside_without_engine / max(1, ours.inside)
    inside = f"keys along a text on screen; {told}"
    yield Figure("answered_without_engine", share, "share", inside, ours.inside, share, share)
    yield from _beside_llamavim(ours, scores.get(LLAMAVIM))
    debounced = scores.get(DEBOUNCED)
    if debounced is not None and debounced.wasted > 0:
        wasted = ours.wasted / debounced.wasted
        policy = f"the same server asked anew {DEBOUNCE_S} s after each key, nothing kept, joined or ahead"
        yield Figure("wasted_over_debounce", wasted, "ratio", policy, ours.keys, wasted, wasted)
    for name, score in scores.items():
        yield from _absolute(name, score, told)


def _beside_llamavim(ours: Score, theirs: Score | None) -> Iterator[Figure]:
    against = "llama.vim's method at llama-server, the same weights and keys"
    if theirs is None:
        return
    for name, at in (("p50", MEDIAN), ("p95", P95)):
        ratio = percentile(ours.waits, at) / percentile(theirs.waits, at)
        yield Figure(f"ghost_over_llamavim_{name}", ratio, "ratio", against, len(ours.waits), ratio, ratio)
    if any(theirs.exact):
        ratio = _share(ours.exact) / _share(theirs.exact)
        yield Figure("em_over_llamavim", ratio, "ratio", against, len(ours.exact), ratio, ratio)
        ratio = (sum(ours.exact) / ours.keys) / (sum(theirs.exact) / theirs.keys)
        each_key = f"{against}; of all keys, with and without a text"
        yield Figure("em_of_keys_over_llamavim", ratio, "ratio", each_key, ours.keys, ratio, ratio)
    both = [
        (one, other)
        for one, other in zip(ours.exact_by_key, theirs.exact_by_key, strict=True)
        if one is not None and other is not None
    ]
    if any(other for _, other in both):
        ratio = sum(one for one, _ in both) / sum(other for _, other in both)
        same = f"{against}; of keys at which both have a text"
        yield Figure("em_where_both_over_llamavim", ratio, "ratio", same, len(both), ratio, ratio)


def _absolute(name: str, score: Score, told: str) -> Iterator[Figure]:
    keys = score.keys
    until = "from each key to the next text on screen, to the end of the run where none came"
    yield _at(MEDIAN, f"{name}_ghost_p50_s", score.waits, "s", until)
    yield high(f"{name}_ghost_p95_s", score.waits, "s", until)
    if score.latencies:
        before = f"of keys with text before the next one; {told}"
        yield _at(MEDIAN, f"{name}_answer_p50_s", score.latencies, "s", before)
        yield high(f"{name}_answer_p95_s", score.latencies, "s", before)
    if score.exact:
        yield _mean(f"{name}_em", [float(each) for each in score.exact], "share", "of texts on screen")
        yield _mean(f"{name}_es", score.similar, "share", "of texts on screen")
    counts = {
        "shown": (len(score.latencies) / keys, "share", "of keys, a text on screen before the next one"),
        "inside_without_engine": (
            score.inside_without_engine / max(1, score.inside),
            "share",
            f"of {score.inside} keys along a text on screen",
        ),
        "requests": (float(score.asked), "requests", "at the engine, those ahead included"),
        "tokens": (float(score.tokens), "tokens", "generated, shown or not"),
        "ahead": (float(score.ahead_tokens), "tokens", "of them, asked before anybody waited for them"),
        "wasted": (float(score.wasted), "tokens", "of them, not on screen before they were typed"),
        "stale": (float(score.stale), "answers", "with text, for a version that was gone"),
        "repeats_suffix": (float(score.repeats), "texts", "that say the first line of their suffix again"),
    }
    for what, (value, unit, against) in counts.items():
        yield Figure(f"{name}_{what}", value, unit, against, keys, value, value)


def _ours(stack: Sequence[str]) -> list[str]:
    """The innermost frame, behind the innermost one that is no library's."""
    own = [each for each in stack if "site-packages" not in each and "/lib/python" not in each]
    return list(dict.fromkeys((*own[-1:], stack[-1])))


def _share(values: Sequence[bool]) -> float:
    return sum(values) / max(1, len(values))


def _at(share: float, name: str, values: Sequence[float], unit: str, told: str) -> Figure:
    return Figure(name, percentile(values, share), unit, told, len(values), min(values), max(values))


def _highest(name: str, values: Sequence[float], told: str) -> Figure:
    return Figure(name, max(values), "s", told, len(values), min(values), max(values))


def _mean(name: str, values: Sequence[float], unit: str, told: str) -> Figure:
    return Figure(name, sum(values) / len(values), unit, told, len(values), min(values), max(values))
