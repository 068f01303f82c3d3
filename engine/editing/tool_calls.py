"""Reads tool calls in the form that Qwen3-Coder writes (`qwen3_coder` in engines) into blocks, while they arrive.

    <tool_call>
    <function=replace>
    <parameter=path>
    src/app.py
    </parameter>
    …
    </function>
    </tool_call>

A value ends at the first `</parameter>` behind which a further parameter or the function's end follows. A text that
holds such tags itself cannot be told from the call around it: what is left over is then told as malformed."""

from __future__ import annotations

import re
from typing import Literal

from engine.editing.blocks import Begun, Event, Finished, Growing, Kind, Malformed, Rename, kind_of
from engine.editing.parser import MAX_ANSWER_CHARS, MAX_BLOCK_CHARS, MAX_BLOCKS
from engine.editing.tools import PARAMETER_NAMES, TOOL_NAMES, block_of

_FUNCTION = re.compile(r"<function=([^<>\n]{1,100})>|</parameter>|</function>|<parameter=")
_PARAMETER = re.compile(r"<parameter=([^<>\n]{1,100})>")
_OVER = re.compile(r"</function>")
_VALUE_END = re.compile(r"</parameter>(?=\s*(?:<parameter=|</function>))")
_LONGEST_TAG = 120
"""Characters: a tag with a name as long as a name may be."""
_AFTER_VALUE = 64
"""So much white space may stand between a value's end and the next tag before nothing is expected of it."""

_KINDS: dict[str, Kind] = {
    "replace": "replace",
    "replace_lines": "replace",
    "create": "create",
    "delete": "delete",
    "rename": "rename",
}


class ToolCallParser:
    """Of one answer; the same events as `BlockParser`."""

    def __init__(self) -> None:
        self._buffer = ""
        self._part: Literal["outside", "call", "value", "full"] = "outside"
        self._number = 0
        self._name = ""
        self._given: dict[str, str] = {}
        self._parameter = ""
        self._searched = 0
        """So much of the buffer holds no end of the value."""
        self._lines = 0
        self._begun = False
        self._chars = 0
        self._all_chars = 0

    @property
    def full(self) -> bool:
        return self._part == "full"

    def feed(self, chunk: str) -> list[Event]:
        events: list[Event] = []
        if self._part == "full":
            return events
        self._buffer += chunk
        if self._part != "outside":
            self._count(chunk, events)
        while self._step(events):
            pass
        if self._begun and self._part in ("call", "value") and (lines := chunk.count("\n")):
            self._lines += lines
            events.append(Growing(self._number, self._lines))
        return events

    def end(self, cut: str = "") -> list[Event]:
        events: list[Event] = []
        if self._part in ("call", "value"):
            self._fail(f"the answer ends in the middle of a call: {cut or 'its end is missing'}", events)
        return events

    def _count(self, chunk: str, events: list[Event]) -> None:
        self._chars += len(chunk)
        self._all_chars += len(chunk)
        if self._all_chars > MAX_ANSWER_CHARS:
            self._fail(f"the answer holds more than {MAX_ANSWER_CHARS:,} characters", events)
            self._part = "full"
        elif self._chars > MAX_BLOCK_CHARS:
            self._fail(f"the call holds more than {MAX_BLOCK_CHARS:,} characters", events)

    def _step(self, events: list[Event]) -> bool:
        """Reads on by one tag; False where the next one has not arrived."""
        match self._part:
            case "outside":
                return self._outside(events)
            case "call":
                return self._call(events)
            case "value":
                return self._value(events)
            case "full":
                self._buffer = ""
                return False

    def _outside(self, events: list[Event]) -> bool:
        found = _FUNCTION.search(self._buffer)
        if found is None:
            self._buffer = self._buffer[-_LONGEST_TAG:]
            return False
        self._buffer = self._buffer[found.end() :]
        if self._number >= MAX_BLOCKS:
            events.append(Malformed(self._number, "", f"the answer holds more than {MAX_BLOCKS:,} calls"))
            self._part = "full"
        elif found[1] is None:
            self._fail(
                f"{found[0]} stands outside of a call: a text of the one before holds tags itself", events
            )
        else:
            self._part, self._name = "call", TOOL_NAMES.get(found[1].strip(), found[1].strip())
            self._given, self._begun, self._lines, self._chars = {}, False, 0, len(self._buffer)
        return True

    def _call(self, events: list[Event]) -> bool:
        self._buffer = self._buffer.lstrip()  # else endless white space is read again with every chunk
        if (found := _PARAMETER.match(self._buffer)) is not None:
            name = found[1].strip()
            self._parameter = PARAMETER_NAMES.get(name, name)
            if self._parameter in self._given:
                self._fail(f"{self._parameter} is given twice", events)
            else:
                self._part, self._searched = "value", 0
        elif (found := _OVER.match(self._buffer)) is not None:
            self._finish(events)
        elif len(self._buffer) < _LONGEST_TAG and self._may_go_on():
            return False
        else:
            self._fail(f"a parameter is expected, not {self._buffer[:40]!r}", events)
            return True
        self._buffer = self._buffer[found.end() :]
        return True

    def _may_go_on(self) -> bool:
        rest = self._buffer
        return (
            "</function>".startswith(rest) or rest.startswith("<parameter=") or "<parameter=".startswith(rest)
        )

    def _value(self, events: list[Event]) -> bool:
        found = _VALUE_END.search(self._buffer, self._searched)
        if found is None:
            self._searched = max(self._searched, len(self._buffer) - _LONGEST_TAG - _AFTER_VALUE)
            return False
        value = self._buffer[: found.start()].removeprefix("\n").removesuffix("\n")
        self._given[self._parameter] = value
        self._buffer = self._buffer[found.end() :]
        self._part = "call"
        if not self._begun and self._parameter == "path" and self._name in _KINDS:
            self._begun = True
            events.append(Begun(self._number, _KINDS[self._name], value.strip()))
        return True

    def _finish(self, events: list[Event]) -> None:
        given = {
            name: value.strip() if name.endswith("path") else value for name, value in self._given.items()
        }
        try:
            block = block_of(self._name, given)
        except ValueError as wrong:
            self._fail(str(wrong), events)
            return
        if not block.path or (isinstance(block, Rename) and not block.new_path):
            self._fail("the call names no path", events)
            return
        if not self._begun:
            events.append(Begun(self._number, kind_of(block), block.path))
        events.append(Finished(self._number, block))
        self._over()

    def _fail(self, reason: str, events: list[Event]) -> None:
        events.append(Malformed(self._number, self._given.get("path", "").strip(), reason))
        self._over()

    def _over(self) -> None:
        self._number += 1
        self._part = "outside"
        self._given = {}
