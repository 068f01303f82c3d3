"""Worked edits, which stand in a prompt as turns of the conversation: small models do what they are shown, and copy
what only describes it. An edit of one place is shown edits of one place."""

from __future__ import annotations

from typing import Literal

import msgspec

from engine.editing.blocks import Block, Lines, Replace, Search

Shape = Literal["one place", "any"]
"""How much an edit is to change: one run of lines of one file, or whatever it takes."""


class Example(msgspec.Struct, frozen=True):
    path: str
    text: str
    told: str
    """The end of the question: diagnostics, and the task."""
    by_lines: tuple[Block, ...]
    by_search: tuple[Block, ...]


_AREA = "import json\n\n\ndef area(width, height):\n    return width + height\n"
_MULTIPLIED = "    return width * height\n"
_LOAD = "import json\nimport os\n\n\ndef load(path):\n    with open(path) as file:\n        return json.load(file)\n"
_SAVE = '\n\ndef save(path, value):\n    with open(path, "w") as file:\n        json.dump(value, file)\n'
_LAST = "        return json.load(file)\n"
_STACK = (
    "class Stack:\n    def push(self, item):\n        raise NotImplementedError\n\n"
    "    def size(self):\n        return len(self.items)\n"
)
_PUSHED = "        self.items.append(item)\n"

EXAMPLES: dict[Shape, tuple[Example, ...]] = {
    "one place": (
        Example(
            "stack.py",
            _STACK,
            "Task: Implement `push`.\n",
            (Replace("stack.py", Lines(3, 3), _PUSHED),),
            (Replace("stack.py", Search("        raise NotImplementedError\n"), _PUSHED),),
        ),
        Example(
            "shapes.py",
            _AREA.replace("    return width + ", "    corners = 4\n    return width * "),
            "Diagnostics:\n```\nshapes.py:5: corners is assigned and never used\n```\n"
            "Task: Fix: corners is assigned and never used\n",
            (Replace("shapes.py", Lines(5, 5), ""),),
            (Replace("shapes.py", Search("    corners = 4\n"), ""),),
        ),
    ),
    "any": (
        Example(
            "shapes.py",
            _AREA,
            "Task: area adds where it has to multiply\n",
            (Replace("shapes.py", Lines(5, 5), _MULTIPLIED),),
            (Replace("shapes.py", Search("    return width + height\n"), _MULTIPLIED),),
        ),
        Example(
            "store.py",
            _LOAD,
            "Task: Add a function `save(path, value)`, and take out the import that nothing uses.\n",
            (Replace("store.py", Lines(2, 2), ""), Replace("store.py", Lines(8, 7), _SAVE)),
            (
                Replace("store.py", Search("import os\n"), ""),
                Replace("store.py", Search(_LAST), _LAST + _SAVE),
            ),
        ),
    ),
}
