"""The tools that a model may call to edit: one for each kind of block, told in the form of chat requests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from engine.editing.blocks import Block, Create, Delete, Lines, Rename, Replace, Search

_PATH = "Path of the file, below the root, with slashes."


class Tool(msgspec.Struct, frozen=True):
    description: str
    parameters: dict[str, str]
    """What each is, by its name. All of them are needed."""
    made: Callable[[Mapping[str, str]], Block]
    """Raises ValueError where a parameter is not what it should be."""
    numbers: frozenset[str] = frozenset()


def _whole_lines(text: str) -> str:
    """The form of these calls takes the last line end off, or the model leaves it out: lines are meant."""
    return text if not text or text.endswith("\n") else f"{text}\n"


def _replaced(given: Mapping[str, str]) -> Block:
    return Replace(given["path"], Search(_whole_lines(given["search"])), _whole_lines(given["replacement"]))


def _lines_replaced(given: Mapping[str, str]) -> Block:
    first, last = (_line(given, name) for name in ("first_line", "last_line"))
    if not (first >= 1 and last >= first - 1):
        raise ValueError(f"lines {first} to {last} are none: they count from 1, the first one first")
    return Replace(given["path"], Lines(first, last), _whole_lines(given["replacement"]))


def _line(given: Mapping[str, str], name: str) -> int:
    digits = given[name].strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        raise ValueError(f"{name} is to be a line's number, not {digits[:40]!r}")
    return int(digits)


TOOLS: dict[str, Tool] = {
    "replace": Tool(
        "Replaces whole lines of a file.",
        {
            "path": _PATH,
            "search": "The lines as they stand in the file, enough of them to be there once only.",
            "replacement": "The lines that are to stand there instead.",
        },
        _replaced,
    ),
    "replace_lines": Tool(
        "Replaces lines of a file by their numbers; where last_line is first_line - 1, puts lines before first_line.",
        {
            "path": _PATH,
            "first_line": "Number of the first line to replace, from 1.",
            "last_line": "Number of the last line to replace.",
            "replacement": "The lines that are to stand there instead.",
        },
        _lines_replaced,
        frozenset({"first_line", "last_line"}),
    ),
    "create": Tool(
        "Creates a file.",
        {"path": _PATH, "text": "What the file holds."},
        lambda given: Create(given["path"], _whole_lines(given["text"])),
    ),
    "delete": Tool("Deletes a file.", {"path": _PATH}, lambda given: Delete(given["path"])),
    "rename": Tool(
        "Renames a file.",
        {"path": _PATH, "new_path": "Its new path, of the same form."},
        lambda given: Rename(given["path"], given["new_path"]),
    ),
}

TOOL_NAMES = {"edit": "replace", "str_replace": "replace", "edit_file": "replace", "write_file": "create"}
"""What models that were trained on other programs call them all the same."""

PARAMETER_NAMES = {
    "file_path": "path",
    "absolute_path": "path",
    "old_string": "search",
    "old_str": "search",
    "old_text": "search",
    "new_string": "replacement",
    "new_str": "replacement",
    "new_text": "replacement",
    "content": "text",
}


def definitions() -> list[dict[str, Any]]:
    """The tools as a chat request has them (`tools`)."""
    return [
        {
            "type": "function",
            "function": {
                "name": name,
                "description": tool.description,
                "parameters": {
                    "type": "object",
                    "properties": {
                        parameter: {
                            "type": "integer" if parameter in tool.numbers else "string",
                            "description": said,
                        }
                        for parameter, said in tool.parameters.items()
                    },
                    "required": list(tool.parameters),
                },
            },
        }
        for name, tool in TOOLS.items()
    ]


def block_of(name: str, given: Mapping[str, str]) -> Block:
    """The block that a call stands for. Raises ValueError, which says what is wrong with the call."""
    tool = TOOLS.get(name)
    if tool is None:
        raise ValueError(f"{name!r} is no tool: {', '.join(TOOLS)} are")
    missing = [parameter for parameter in tool.parameters if parameter not in given]
    if missing:
        raise ValueError(f"the call of {name} lacks {', '.join(missing)}")
    return tool.made(given)
