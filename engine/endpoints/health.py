"""Whether one endpoint may be asked now: what a fault means for it, back-off, and the way back.

Pure: time and chance are passed in. An endpoint that failed is left alone for a time that doubles with each
failure in a row; when it is over, one request tries it again, and the others wait for what it finds.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Literal

import msgspec

from engine.endpoints.faults import NO_SUCH_PATH, EngineRequestError

BACK_OFF_S = 1.0
"""After the first failure: a server that restarts is missed for a keystroke or two."""
BACK_OFF_MAX_S = 60.0
"""A server that comes back after a night is in use a minute later."""
JITTER = 0.25
"""Share of the wait that chance adds, so that many editors do not come back in the same moment."""
MISCONFIGURED_S = 300.0
"""A wrong key or address is mended by a person: asking again soon would only fill the server's log."""
RETRY_AFTER_MAX_S = 300.0
"""What a server may ask for at most by `Retry-After`."""
FORGET_S = 60.0
"""What was waited for in vain longer ago than this says nothing about the server as it is now."""

State = Literal["untried", "ready", "waiting", "trying"]


class Verdict(msgspec.Struct, frozen=True):
    """What a fault means."""

    elsewhere: bool
    """Another endpoint may well answer the same request."""
    hold: Literal["no", "back-off", "misconfigured"]
    """How long this one is left alone."""


def verdict(error: EngineRequestError) -> Verdict:
    """Of a request that failed before the first text."""
    if error.only_here or error.fault in ("aborted", "starting"):
        return Verdict(elsewhere=True, hold="no")
    if error.fault == "refused":
        return Verdict(elsewhere=True, hold="misconfigured")
    if error.fault == "request":
        moved = error.status is not None and error.status < HTTPStatus.BAD_REQUEST
        if moved or error.status in NO_SUCH_PATH:
            return Verdict(elsewhere=True, hold="misconfigured")
        return Verdict(elsewhere=False, hold="no")
    return Verdict(elsewhere=True, hold="back-off")


class Health:
    """Of one endpoint."""

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`chance` gives numbers from 0 to 1."""
        self.failures = 0
        """In a row."""
        self.last_error = ""
        """Of the latest failure, kept when the endpoint is back."""
        self.misconfigured = False
        self.hung = False
        """The latest failure was silence."""
        self._answered = False
        self._trial_s: float | None = None
        """When the request began that tries it again."""
        self._clock, self._chance = clock, chance
        self._failed_s = float("-inf")
        self._again_s = float("-inf")
        self._waited_s = 0.0
        self._waited_until_s = float("-inf")

    @property
    def state(self) -> State:
        if self.failures == 0:
            return "ready" if self._answered else "untried"
        return "waiting" if self._trial_s is None else "trying"

    @property
    def again_in_s(self) -> float:
        """Until it is tried again; 0 when that may be now."""
        return 0.0 if self.failures == 0 else max(0.0, self._again_s - self._clock())

    @property
    def due(self) -> bool:
        """Whether a request may go there."""
        return self.failures == 0 or (self.again_in_s == 0 and self._trial_s is None)

    def began(self) -> float:
        """A request goes there. The time, for `failed`, `given_up` and `ended`."""
        began_s = self._clock()
        if self.failures > 0:
            self._trial_s = began_s
        return began_s

    def ended(self, began_s: float) -> None:
        """The request that began then is over, however it ended: if it was the trial, another may be made."""
        if self._trial_s == began_s:
            self._trial_s = None

    def answered(self) -> bool:
        """The first text came. Returns whether it had been away."""
        back = self.failures > 0
        self.failures, self._answered, self._trial_s, self._waited_s = 0, True, None, 0.0
        self.misconfigured = self.hung = False
        return back

    def failed(self, error: EngineRequestError, began_s: float) -> None:
        """A request that began then failed. Of several under way at once only the first failure counts."""
        hold = verdict(error).hold
        self.ended(began_s)
        if hold == "no":
            return
        self.last_error = str(error)
        if began_s < self._failed_s:
            return
        self.failures += 1
        self._failed_s, self._waited_s = self._clock(), 0.0
        self.misconfigured, self.hung = hold == "misconfigured", error.fault == "timeout"
        wait_s = min(BACK_OFF_MAX_S, BACK_OFF_S * 2.0 ** (self.failures - 1))
        if self.misconfigured:
            wait_s = MISCONFIGURED_S
        wait_s *= 1 + JITTER * self._chance()
        asked_for_s = min(error.retry_after_s or 0.0, RETRY_AFTER_MAX_S)
        self._again_s = self._failed_s + max(wait_s, asked_for_s)

    def given_up(self, began_s: float, *, counts_from_s: float = 0.0) -> float:
        """A request was cancelled before its first text, as a newer keystroke does. Returns how long such requests
        have waited since the last text: a server that hangs shows in nothing else. Only those count that waited
        for `counts_from_s` themselves, and time in which several waited counts once."""
        self.ended(began_s)
        now_s = self._clock()
        if now_s - began_s < counts_from_s:
            return self._waited_s
        if began_s - self._waited_until_s > FORGET_S:
            self._waited_s = 0.0
        self._waited_s += now_s - max(began_s, self._waited_until_s)
        self._waited_until_s = now_s
        return self._waited_s
