"""What the model makes of each method's context: how likely the true line is to it, and which line it writes.

The prompt is the product's own, with the same window and suffix whichever the method; only the segments before them
differ."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import aclosing
from itertools import chain, zip_longest

from benchmarks.context.answers import Answer, Answers, fingerprint
from benchmarks.context.given import Given
from benchmarks.context.written import is_enough, written
from benchmarks.engine.hosted import Hosted
from benchmarks.engine.perplexity import log_probabilities
from benchmarks.targets import Say, TargetError
from engine.endpoints.client import EngineRequestError, Sampling
from engine.endpoints.endpoint import Chunk
from engine.profiles import Profile
from engine.prompts import Prompt, completion_prompt
from engine.tokens import ModelTokenizer
from lsp.completion import LINE_TOKENS

WINDOW_TOKENS, SUFFIX_TOKENS = 1024, 256
"""Of the case's own file before and behind the cursor: about what the product gives them of such a prompt."""
TELL_EVERY = 20


def prompt_of(given: Given, profile: Profile, tokenizer: ModelTokenizer) -> Prompt:
    case = given.case
    return completion_prompt(
        profile=profile,
        tokenizer=tokenizer,
        repo_name=case.repository,
        segments=given.segments,
        path=case.path,
        before=case.before,
        after=case.after,
        max_window_tokens=WINDOW_TOKENS,
        max_suffix_tokens=SUFFIX_TOKENS,
    )


Waiting = tuple[Given, Prompt]
"""What one method gives for one case, laid out."""


def unanswered(
    given: Sequence[Given], profile: Profile, tokenizer: ModelTokenizer, answers: Answers
) -> list[Waiting]:
    """Those about which the model was not asked yet, with exactly these prompts."""
    laid_out = ((each, prompt_of(each, profile, tokenizer)) for each in in_turn(given))
    return [(each, prompt) for each, prompt in laid_out if not _is_known(each, prompt, profile, answers)]


async def judge_all(
    host: Hosted, waiting: Sequence[Waiting], tokenizer: ModelTokenizer, answers: Answers, say: Say
) -> None:
    """Raises TargetError."""
    tokens = sum(prompt.tokens for _, prompt in waiting)
    say(f"quality: {len(waiting)} to ask, {tokens} tokens to read")
    began, read = time.monotonic(), 0
    for number, (each, prompt) in enumerate(waiting, 1):
        answers.add(await judge(host, each, prompt, tokenizer))
        read += prompt.tokens
        if number % TELL_EVERY == 0 or number == len(waiting):
            speed = read / (time.monotonic() - began)
            left_s = (tokens - read) / speed
            say(f"quality: {number} of {len(waiting)}, {speed:.0f} tokens/s, {left_s:.0f} s to go")


def in_turn(given: Sequence[Given]) -> Iterable[Given]:
    """One of each repository and kind in turn, all methods of a case together: half a run says half of everything."""
    groups: dict[tuple[str, str], dict[str, list[Given]]] = {}
    for each in given:
        group = groups.setdefault((each.case.repository, each.case.kind), {})
        group.setdefault(each.case.name, []).append(each)
    for turn in zip_longest(*(group.values() for group in groups.values())):
        yield from chain.from_iterable(each for each in turn if each)


async def judge(host: Hosted, given: Given, prompt: Prompt, tokenizer: ModelTokenizer) -> Answer:
    """Writes the line first: what was read for it is cached for the other question. Raises TargetError."""
    case, ids = given.case, prompt.ids
    assert ids is not None
    began = time.monotonic()
    last = await write(host, prompt)
    line = tokenizer.encode(prompt.taken_off + case.truth)
    known = await log_probabilities(host.ask, [*ids, *line], len(ids) - 1)
    if len(known) != len(line):
        raise TargetError(f"{case.name}: {len(known)} log-probabilities for {len(line)} tokens")
    ended = last.finished is not None and last.finished != "length"
    shown = written(case, last.text, ended=ended)
    return Answer(
        repository=case.repository,
        kind=case.kind,
        language=case.language,
        case=case.name,
        method=given.method,
        budget=given.budget,
        fingerprint=fingerprint(host.profile.short, case, ids),
        nll=-sum(known) / len(known),
        line_tokens=len(line),
        said=last.text,
        ended=ended,
        exact=shown.exact,
        similarity=shown.similarity,
        written=shown.line,
        reason=shown.reason,
        truth=case.truth,
        prompt_tokens=len(ids),
        cached_tokens=last.cached_tokens or 0,
        shown=given.shown,
        seconds=time.monotonic() - began,
    )


async def write(host: Hosted, prompt: Prompt) -> Chunk:
    """Greedily, somewhat more than the line."""
    last: Chunk | None = None
    try:
        async with aclosing(host.endpoint.generate(prompt, Sampling(LINE_TOKENS))) as chunks:
            async for last in chunks:
                if last.finished is not None or is_enough(last.text):
                    return last
    except EngineRequestError as error:
        raise TargetError(f"{host.name}: {error}") from error
    raise TargetError(f"{host.name} said nothing, and not why")


def _is_known(given: Given, prompt: Prompt, profile: Profile, answers: Answers) -> bool:
    known = answers.known(given.case, given.method, given.budget)
    assert prompt.ids is not None
    return known is not None and known.fingerprint == fingerprint(profile.short, given.case, prompt.ids)
