"""What a file says that it hands on of its own: Python's `__all__`, ECMAScript's exports without `from`.

Read as imports from nowhere (`module` empty): `name` is the local name, `alias` the one that others see."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tree_sitter import Node

Found = tuple[str, str]
"""Local name and exported name."""

EVERYTHING = ("*", "")
"""Stands for names that the text alone does not tell."""

_DEFAULT = "default"


def in_all(assignment: Node, text: Callable[[Node | None], str]) -> Iterator[Found]:
    """Of `__all__ = […]` and `__all__ += […]`."""
    value = assignment.child_by_field_name("right")
    if value is None or value.type not in ("list", "tuple"):
        yield EVERYTHING
        return
    for item in value.named_children:
        content = [child for child in item.named_children if child.type == "string_content"]
        if item.type == "string" and len(content) == 1:
            yield text(content[0]), text(content[0])
        elif item.type != "comment":
            yield EVERYTHING


def in_statement(statement: Node, text: Callable[[Node | None], str]) -> Iterator[Found]:
    """Of `export {…}`, `export default …`, `export = …`, `module.exports = …` and `exports.name = …`."""
    if statement.type == "assignment_expression":
        yield from _assigned(statement, text)
        return
    for child in statement.named_children:
        if child.type == "export_clause":
            for one in child.named_children:
                name = text(one.child_by_field_name("name"))
                yield name, text(one.child_by_field_name("alias")) or name
    if any(child.type in ("default", "=") for child in statement.children):
        whole = statement.child_by_field_name("value") or statement.child_by_field_name("declaration")
        yield from _whole(whole or statement.named_children[-1], text)


def _whole(value: Node, text: Callable[[Node | None], str]) -> Iterator[Found]:
    """What a file is, taken as one: by its name, if it has one."""
    name = text(value) if value.type == "identifier" else text(value.child_by_field_name("name"))
    if name:
        yield name, _DEFAULT


def _assigned(assignment: Node, text: Callable[[Node | None], str]) -> Iterator[Found]:
    left, right = assignment.child_by_field_name("left"), assignment.child_by_field_name("right")
    target = text(left)
    if right is None:
        return
    if target == "module.exports":
        if right.type == "object":
            yield from _of_object(right, text)
        else:
            yield from _whole(right, text)
    elif target.startswith(("module.exports.", "exports.")) and right.type == "identifier":
        yield text(right), target.rpartition(".")[2]


def _of_object(value: Node, text: Callable[[Node | None], str]) -> Iterator[Found]:
    for part in value.named_children:
        if part.type == "shorthand_property_identifier":
            yield text(part), text(part)
        elif part.type == "pair":
            key, inner = text(part.child_by_field_name("key")), part.child_by_field_name("value")
            yield (text(inner) if inner is not None and inner.type == "identifier" else key), key
