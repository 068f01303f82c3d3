"""A server that only chats: `/v1/chat/completions`, streamed, for edits and, in words, for completions.

A conversation has no fill in the middle by tokens: the model is told to write what belongs at a mark in the text,
and often repeats what stands before it or wraps its answer in a fence; `insertion` takes both off again.
Source: OpenAI API reference, "Chat completions"; `response_format` as there.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

import msgspec

from engine.endpoints.endpoint import Chunk, Sampling
from engine.endpoints.openai import COMMON_LIMITS, OpenAIEndpoint
from engine.endpoints.sse import EngineRequestError, JsonObject
from engine.prompts import Message, defused, path_line

if TYPE_CHECKING:
    from engine.prompts import Prompt

NO_FIM = (
    "it has no fill in the middle by tokens: completions are asked for in words, which takes longer and is wrong "
    "more often"
)
SCHEMAS_ONLY = "of grammars it takes JSON schemas only"

MARK = "<|cursor|>"
"""Where the completion belongs. Models know marks of this form; no programming language has it."""

INSTRUCTION = (
    "You complete source code. Somewhere in the last file stands the mark "
    f"{MARK}. Answer with the text that belongs in its place and nothing else: no explanation, no Markdown fence, "
    "nothing of what stands before or after the mark. Stop after one statement, or after one block where a block "
    "begins."
)

FENCE = "```"


class ChatEndpoint(OpenAIEndpoint):
    """A server with `/v1/chat/completions`."""

    path = "/v1/chat/completions"

    def interface_limits(self) -> list[str]:
        return [*COMMON_LIMITS, NO_FIM, SCHEMAS_ONLY]

    async def generate(
        self, prompt: Prompt, params: Sampling, *, priority: int = 0
    ) -> AsyncGenerator[Chunk, None]:
        """See `Endpoint.generate`. A prompt that brings `messages` gets its answer as it is written."""
        stream = super().generate(prompt, params, priority=priority)
        async with aclosing(stream):
            if prompt.messages:
                async for chunk in stream:
                    yield chunk
                return
            line = prompt.window.rpartition("\n")[2]
            shown = ""
            async for chunk in stream:
                text = insertion(chunk.text, line, whole=chunk.finished is not None)
                if not text.startswith(shown):
                    text = shown  # it turned out to be the beginning of a fence that closes
                if text != shown or chunk.finished is not None:
                    yield msgspec.structs.replace(chunk, text=text, delta=text[len(shown) :])
                shown = text

    def refuse_grammar(self, params: Sampling) -> None:
        if params.regex is not None or params.ebnf is not None:
            raise EngineRequestError(
                "request",
                f"{self.name} takes no grammar but JSON schemas; use an SGLang endpoint for this",
                only_here=True,
            )

    def request(self, prompt: Prompt, params: Sampling) -> JsonObject:
        request = self.common(params)
        # servers read control tokens that a message spells as such: a file could end its turn and begin another
        request["messages"] = [
            {"role": each.role, "content": defused(each.content)}
            for each in prompt.messages or in_words(prompt)
        ]
        if params.json_schema is not None:
            schema = {"name": "answer", "schema": _schema(params.json_schema), "strict": True}
            request["response_format"] = {"type": "json_schema", "json_schema": schema}
        return request


def in_words(prompt: Prompt) -> tuple[Message, ...]:
    """A completion prompt as a conversation, from most stable to most volatile like the prompt itself."""
    files: list[str] = []
    path = "the file\n"
    if prompt.sources is not None:
        path = path_line(prompt.sources.path)
        files = [f"{path_line(each.path)}{each.text}" for each in prompt.sources.segments]
    files.append(f"{path}{prompt.window}{MARK}{prompt.suffix}")
    return (Message("system", INSTRUCTION), Message("user", "\n".join(f"=== {file}" for file in files)))


def insertion(written: str, line: str, *, whole: bool) -> str:
    """Of what a chat model has written so far, the part that is surely the text to insert. `line` is what stands
    before the cursor on its line; `whole`: nothing more comes."""
    text, fenced = _unfenced(written, whole=whole)
    if text is None:
        return ""
    text = _without_repetition(text, line, whole=whole)
    if not fenced or text is None:
        return text or ""
    closing = text.find(f"\n{FENCE}")
    if closing >= 0:
        return text[:closing]
    return text if whole else re.sub(r"\n`{0,2}$", "", text)  # what may become the closing fence


def _unfenced(written: str, *, whole: bool) -> tuple[str | None, bool]:
    """The text without the line of an opening fence, None while that is not sure; and whether there was one."""
    start = written.lstrip()
    if start.startswith(FENCE):
        opening, newline, rest = start.partition("\n")
        if newline:
            return rest, True
        return (opening.removeprefix(FENCE) if whole else None), True
    if FENCE.startswith(start) and not whole:
        return None, False
    return written, False


def _without_repetition(text: str, line: str, *, whole: bool) -> str | None:
    """The text without the line's beginning, which chat models like to repeat; None while that is not sure."""
    before = line.strip()
    if not before:
        return text
    start = text.lstrip()
    if start.startswith(before):
        return start[len(before) :]
    return None if before.startswith(start) and not whole else text


def _schema(text: str) -> JsonObject:
    """Raises EngineRequestError where the schema is none."""
    try:
        return json.loads(text)
    except ValueError as error:
        raise EngineRequestError("request", f"the JSON schema for the answer is no JSON: {error}") from error
