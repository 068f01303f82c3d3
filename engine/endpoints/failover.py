"""Several endpoints in order as one: what fails before its first text goes on to the next within the same request.

After the first text a request ends with its error: nobody is shown two half answers. What is known of each
endpoint, and when it is tried again, is in `engine.endpoints.health`; `describe` tells it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

import msgspec

from engine.endpoints.endpoint import Chunk, Priority, Probed, Sampling, TellsCached
from engine.endpoints.health import Health, State, verdict
from engine.endpoints.lazy import LazyEndpoint
from engine.endpoints.patience import (
    AFTER_A_HANG_S,
    FIRST_TEXT_S,
    GIVEN_UP_COUNTS_S,
    is_text,
    limited,
    up_to_text,
)
from engine.endpoints.sse import EngineRequestError, JsonObject
from engine.prompts import Tokenizer, relaid

if TYPE_CHECKING:
    from engine.models.model import Profile
    from engine.prompts import Prompt


@runtime_checkable
class Introduced(Protocol):
    """An endpoint that wants to know for whom is asked."""

    def introduce(self, workspace: str) -> None: ...


class Member(msgspec.Struct, frozen=True):
    """One endpoint and how its model reads."""

    endpoint: Probed
    profile: Profile
    tokenizer: Tokenizer
    first_text_s: float = FIRST_TEXT_S

    @property
    def layout(self) -> object:
        """Prompts for one member are right for another with the same."""
        profile = self.profile
        control = (profile.fim, profile.repo_name_id, profile.file_sep_id)
        return profile.family, control, self.tokenizer.has_ids


class Unusable(msgspec.Struct, frozen=True):
    """An endpoint that was configured and could not even be set up."""

    name: str
    reason: str


class EndpointStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one endpoint."""

    endpoint: str
    kind: str = ""
    model: str = ""
    state: State | Literal["unusable"] = "unusable"
    reachable: bool | None = None
    """At the last look; None before the first, and where it would have to be started for that."""
    failures: int = 0
    last_error: str = ""
    tried_again_in_s: float | None = None
    context_tokens: int | None = None
    limits: list[str] = []


class FailoverEndpoint:
    """`members`, the preferred first. Prompts are laid out for the first one's model; those with another layout or
    a smaller window get them laid out anew."""

    def __init__(
        self,
        members: Sequence[Member],
        *,
        unusable: Sequence[Unusable] = (),
        tell: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`tell` gets a sentence when an endpoint is left and when it is back, once each."""
        self._members = [_Tracked(member, Health(clock=clock, chance=chance)) for member in members]
        self._unusable = tuple(unusable)
        self.tell = tell
        self._now = self._members[0]
        self._probes: set[asyncio.Task[None]] = set()

    @property
    def name(self) -> str:
        """Of the one that answered last."""
        return self._now.member.endpoint.name

    @property
    def model(self) -> str:
        return self._now.member.endpoint.model

    @property
    def kind(self) -> Literal["sglang", "openai"]:
        return self._now.member.endpoint.kind

    @property
    def context_tokens(self) -> int:
        return self._members[0].member.endpoint.context_tokens

    @property
    def limits(self) -> list[str]:
        return self._now.member.endpoint.limits

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`."""
        errors: list[EngineRequestError] = []
        for tracked, rest in self._in_order():
            attempt = _Attempt(tracked.health.began(), rest)
            try:
                async with aclosing(self._ask(tracked, attempt, prompt, params, priority)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                return
            except EngineRequestError as error:
                self._failed(tracked, error, attempt)
                if attempt.answered or not verdict(error).elsewhere:
                    raise
                errors.append(error)
            finally:
                tracked.health.ended(attempt.began_s)
        raise _together(errors) if errors else self._nobody_to_ask()

    def introduce(self, workspace: str) -> None:
        """See `SGLangEndpoint.introduce`."""
        for tracked in self._members:
            if isinstance(tracked.member.endpoint, Introduced):
                tracked.member.endpoint.introduce(workspace)

    def wake(self) -> None:
        """Starts what has to be started, where it is the first to be asked."""
        first = self._members[0].member.endpoint
        if isinstance(first, LazyEndpoint):
            first.wake()

    async def cached(self, ids: Sequence[int]) -> int | None:
        """See `TellsCached.cached`; of the one that answered last, unless prompts are laid out anew for it."""
        member = self._now.member
        if member.layout != self._members[0].member.layout or not isinstance(member.endpoint, TellsCached):
            return None
        return await member.endpoint.cached(ids)

    async def status(self) -> JsonObject:
        return await self._now.member.endpoint.status()

    def describe(self) -> list[EndpointStatus]:
        """Of every endpoint that is configured, in their order."""
        known = [tracked.status() for tracked in self._members]
        return known + [EndpointStatus(endpoint=each.name, last_error=each.reason) for each in self._unusable]

    async def probe(self) -> None:
        """Looks at every endpoint, one after the other. Never raises for what it finds: `describe` tells."""
        for tracked in self._members:
            await self._probe(tracked)

    async def close(self) -> None:
        for task in self._probes:
            task.cancel()
        await asyncio.gather(*self._probes, return_exceptions=True)
        await asyncio.gather(*(tracked.member.endpoint.close() for tracked in self._members))

    # ------------------------------------------------------------ one request

    def _in_order(self) -> Iterator[tuple[_Tracked, Sequence[_Tracked]]]:
        """Those to ask, each looked at when its turn comes, with those whose turn comes after it. Where all are
        left alone, the one whose time comes first is asked all the same: a person waits, and a wrong answer costs
        nothing more."""
        asked = False
        for place, tracked in enumerate(self._members):
            if tracked.health.due:
                asked = True
                yield tracked, self._members[place + 1 :]
        resting = [tracked for tracked in self._members if not tracked.health.misconfigured]
        if asked or not resting:
            return
        first = min(resting, key=lambda tracked: tracked.health.again_in_s)
        others = [tracked for tracked in self._members if tracked is not first]
        yield first, others
        for place, tracked in enumerate(others):
            if tracked.health.due:  # by now
                yield tracked, others[place + 1 :]

    async def _ask(
        self, tracked: _Tracked, attempt: _Attempt, prompt: Prompt, params: Sampling, priority: int
    ) -> AsyncGenerator[Chunk, None]:
        member, patience_s = tracked.member, self._patience_s(tracked, attempt, priority)
        try:
            fitting = await self._fitting(member, prompt, params)
            async with aclosing(member.endpoint.generate(fitting, params, priority=priority)) as stream:
                async with limited(patience_s, lambda: attempt.another_is_due):
                    began = await up_to_text(stream)
                if began and is_text(began[-1]):
                    attempt.answered = True
                    self._answered(tracked)
                for chunk in began:
                    yield chunk
                async for chunk in stream:
                    yield chunk
        except TimeoutError as late:
            raise _late(member, patience_s or 0.0) from late
        except (asyncio.CancelledError, GeneratorExit):
            if not attempt.answered:
                self._given_up(tracked, attempt, patience_s)
            raise

    def _patience_s(self, tracked: _Tracked, attempt: _Attempt, priority: int) -> float | None:
        """None where the endpoint's own time-outs have to do: nobody comes after it, or it is work that a server
        may hold back as long as it likes."""
        if not attempt.rest or priority < Priority.EDIT:
            return None
        first_text_s = tracked.member.first_text_s
        return min(first_text_s, AFTER_A_HANG_S) if tracked.health.hung else first_text_s

    async def _fitting(self, member: Member, prompt: Prompt, params: Sampling) -> Prompt:
        first = self._members[0].member
        room = member.endpoint.context_tokens - params.max_tokens
        if member is first or (member.layout == first.layout and prompt.tokens <= room):
            return prompt
        return await asyncio.to_thread(relaid, prompt, member.profile, member.tokenizer, room)

    # ------------------------------------------------------------ what is learnt

    def _answered(self, tracked: _Tracked) -> None:
        self._now = tracked
        if tracked.health.answered():
            self.tell(f"{tracked.member.endpoint.name} is back")
        tracked.told = ""
        if not tracked.probed:
            tracked.probed = True
            task = asyncio.create_task(self._probe(tracked), name=f"look at {tracked.member.endpoint.name}")
            self._probes.add(task)
            task.add_done_callback(self._probes.discard)

    def _failed(self, tracked: _Tracked, error: EngineRequestError, attempt: _Attempt) -> None:
        tracked.health.failed(error, attempt.began_s)
        if verdict(error).hold == "no":
            return
        tracked.probed = False  # whatever comes back may be another server
        if tracked.told != error.fault:
            tracked.told = error.fault
            self.tell(f"{error} (tried again in {tracked.health.again_in_s:.0f} s)")

    def _given_up(self, tracked: _Tracked, attempt: _Attempt, patience_s: float | None) -> None:
        if patience_s is None:
            return  # nobody else could be asked in its place, or it was held back
        counts_from_s = min(GIVEN_UP_COUNTS_S, patience_s / 2)
        waited_s = tracked.health.given_up(attempt.began_s, counts_from_s=counts_from_s)
        if waited_s >= patience_s and attempt.another_is_due:
            self._failed(tracked, _late(tracked.member, patience_s), attempt)

    async def _probe(self, tracked: _Tracked) -> None:
        try:
            await tracked.member.endpoint.probe()
        except EngineRequestError as error:
            tracked.reachable = None if error.fault == "starting" else False
            tracked.probe_error = str(error)
        else:
            tracked.reachable, tracked.probe_error = True, ""

    def _nobody_to_ask(self) -> EngineRequestError:
        """All are left alone, and none of them would be mended by asking again."""
        first = min((tracked.health for tracked in self._members), key=lambda health: health.again_in_s)
        return EngineRequestError("refused", f"{first.last_error} (asked again in {first.again_in_s:.0f} s)")


class _Attempt(msgspec.Struct):
    began_s: float
    rest: Sequence[_Tracked]
    """Those whose turn comes after it."""
    answered: bool = False

    @property
    def another_is_due(self) -> bool:
        return any(tracked.health.due for tracked in self.rest)


class _Tracked:
    """A member and what is known of it."""

    def __init__(self, member: Member, health: Health) -> None:
        self.member = member
        self.health = health
        self.told = ""
        """The kind of fault that was told since it last answered."""
        self.probed = False
        self.reachable: bool | None = None
        self.probe_error = ""

    def status(self) -> EndpointStatus:
        endpoint, health = self.member.endpoint, self.health
        away = health.failures > 0
        return EndpointStatus(
            endpoint=endpoint.name,
            kind=endpoint.kind,
            model=endpoint.model,
            state=health.state,
            reachable=self.reachable,
            failures=health.failures,
            last_error=self.probe_error or health.last_error,
            tried_again_in_s=round(health.again_in_s, 1) if away else None,
            context_tokens=endpoint.context_tokens,
            limits=[*endpoint.limits],
        )


def _late(member: Member, patience_s: float) -> EngineRequestError:
    return EngineRequestError(
        "timeout",
        f"{member.endpoint.name} wrote nothing for {patience_s:g} s, with another endpoint to ask instead; it may be "
        "overloaded or stuck (foreword.engine.firstTextS sets how long is waited)",
    )


def _together(errors: Sequence[EngineRequestError]) -> EngineRequestError:
    """One error of all that were asked."""
    if len(errors) == 1:
        return errors[0]
    return EngineRequestError(
        errors[-1].fault, "no endpoint answered: " + "; ".join(str(error) for error in errors)
    )
