"""The completion that follows the acceptance of a suggestion, asked for while that is looked at.

Where an accepted suggestion ends its line and nothing follows on it, that is what follows on the next line. Only where
it is likely to be accepted, whoever types has paused and nothing else is under way; behind everybody else in the
engine, and no longer than the document is on the way there: whoever types something else ends it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import msgspec

from lsp.documents import Snapshot, line_around, line_ending
from lsp.links.engine_link import EngineLink
from lsp.offers.offered import Offered
from lsp.offers.suggestions import Suggestion, plain, typed_between
from lsp.requests.asking import Question, Written
from lsp.requests.inflight import InFlight

AFTER_S = 0.15
"""A suggestion that was shown for so long may be accepted; nobody reads faster."""

LIKELY = 0.5
"""The chance of what is followed: what is rather wrong than right is not accepted, and nobody needs what follows it."""

PASSED = "what it would have followed was not accepted"

_INDENTATION = re.compile(r"[ \t]*")


class _Place(msgspec.Struct, frozen=True):
    snapshot: Snapshot
    offset: int

    @property
    def before(self) -> str:
        return self.snapshot.text[: self.offset]

    @property
    def after(self) -> str:
        return self.snapshot.text[self.offset :]


class _Way(msgspec.Struct):
    """From a suggestion to the document in which it is accepted, and from there to the next line."""

    shown: Suggestion
    places: list[_Place]
    walking: asyncio.Task[None] | None = None
    flight: InFlight | None = None

    def is_on(self, text: str) -> bool:
        if any(text == place.snapshot.text for place in self.places):
            return True
        whole = plain(self.shown.text)
        return any(
            whole.startswith(each) for each in typed_between(text, self.shown.before, self.shown.after)
        )

    def leads_to(self, places: list[_Place]) -> bool:
        """The same texts, at whatever version of the document."""
        return [each.snapshot.text for each in self.places] == [each.snapshot.text for each in places]

    def end(self) -> None:
        if self.walking is not None:
            self.walking.cancel()
        if self.flight is not None:
            self.flight.end(PASSED)


class Ahead:
    """Of one server. `begin` asks the engine, `busy` tells whether somebody waits for it, `paused_in_s` how long until
    whoever types in a document has paused, if no key comes."""

    def __init__(
        self,
        begin: Callable[[Question], InFlight],
        busy: Callable[[], bool],
        paused_in_s: Callable[[str], float],
        engine: EngineLink,
    ) -> None:
        self._begin = begin
        self._busy = busy
        self._paused_in_s = paused_in_s
        self._engine = engine
        self._ways: dict[str, _Way] = {}

    def shown(self, key: str, snapshot: Snapshot, suggestion: Suggestion, offered: Offered) -> None:
        """The user of this document sees `suggestion`, which was made for `snapshot`."""
        places = _places(snapshot, suggestion)
        way = self._ways.get(key)
        if way is not None and way.leads_to(places):
            return
        self.end(key)
        likely = suggestion.chance is None or suggestion.chance >= LIKELY
        if likely and self._may_read_ahead():
            way = self._ways[key] = _Way(suggestion, places)
            way.walking = asyncio.create_task(self._walk(key, way, offered), name=f"ahead of {key}")

    def changed(self, key: str, text: str) -> None:
        """The document has another text."""
        way = self._ways.get(key)
        if way is not None and not way.is_on(text):
            self.end(key)

    def taken(self, key: str, before: str, after: str) -> InFlight | None:
        """What is under way for this place, from now on its document's own; what does not lead there is ended."""
        self.changed(key, before + after)
        way = self._ways.get(key)
        flight = None if way is None else way.flight
        if way is None or flight is None or not flight.under_way or flight.typed_at(before, after) is None:
            return None
        way.flight = None
        return flight

    def under_way(self, key: str) -> bool:
        return key in self._ways

    def end(self, key: str) -> None:
        way = self._ways.pop(key, None)
        if way is not None:
            way.end()

    def end_all(self) -> None:
        """Somebody waits for the engine."""
        for key in tuple(self._ways):
            self.end(key)

    def _may_read_ahead(self) -> bool:
        """Never at a server that takes no priorities: there it would be in the way, and may cost money."""
        engine = self._engine.engine
        return engine is not None and engine.endpoint.kind == "sglang"

    async def _walk(self, key: str, way: _Way, offered: Offered) -> None:
        try:
            await asyncio.sleep(max(AFTER_S, self._paused_in_s(key)))
            for place in way.places:
                known = offered.knows(place.before, place.after)
                if known is None:
                    if self._busy() or not self._may_read_ahead():
                        break
                    known = await self._asked(way, place)
                if known:
                    break
        finally:
            if self._ways.get(key) is way:
                del self._ways[key]

    async def _asked(self, way: _Way, place: _Place) -> bool:
        """Whether there is something to offer."""
        flight = way.flight = self._begin(Question(snapshot=place.snapshot, offset=place.offset, ahead=True))
        await asyncio.wait({flight.task})
        written = None if flight.task.cancelled() else flight.task.result()
        return not isinstance(written, Written) or bool(written.completion.text)


def _places(snapshot: Snapshot, suggestion: Suggestion) -> list[_Place]:
    """Where the cursor is when `suggestion` is accepted, and on the line below if that ends its line."""
    before, after = suggestion.before + suggestion.text, suggestion.after[suggestion.replaced :]
    accepted = _Place(msgspec.structs.replace(snapshot, text=before + after), len(before))
    line, rest = line_around(before + after, len(before))
    indentation = _INDENTATION.match(line)
    if rest.strip() or not line.strip() or indentation is None:
        return [accepted]
    below = f"{before}{line_ending(snapshot.text)}{indentation.group()}"
    return [accepted, _Place(msgspec.structs.replace(snapshot, text=below + after), len(below))]
