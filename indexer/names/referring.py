"""Answers who refers to what."""

from __future__ import annotations

from collections.abc import Iterator

from indexer.graph import Edge
from indexer.messages import Definition, Reference, ReferenceList, References
from indexer.packing.view import IndexView


def find_references(view: IndexView, request: References) -> ReferenceList:
    """Blocks. By path and line, at most `request.limit`."""
    if not request.path:
        found = _take((_reference(edge) for edge in view.graph.named(view, request.name)), request.limit)
        return ReferenceList(found)
    meant = view.graph.meant_at(view, request.path, request.line, request.name)
    if not meant:
        where = f"{request.path}:{request.line + 1}"
        return ReferenceList(
            [], f"at {where} no `{request.name}` is defined, nor one named whose definition is known"
        )
    edges = (edge for definition in meant for edge in view.graph.references_to(view, definition))
    found = sorted({_key(edge): edge for edge in edges}.items())
    return ReferenceList([_reference(edge) for _, edge in found][: request.limit])


def _key(edge: Edge) -> tuple[str, int, int, str, int]:
    target = edge.target
    return (
        edge.path,
        edge.line,
        edge.column,
        target.path if target else "",
        target.start_line if target else -1,
    )


def _take(references: Iterator[Reference], limit: int) -> list[Reference]:
    return [reference for reference, _ in zip(references, range(limit), strict=False)]


def _reference(edge: Edge) -> Reference:
    target: Definition | None = edge.target
    if target is None:
        return Reference(edge.path, edge.name, edge.line, edge.column, edge.kind, unresolved=edge.why)
    return Reference(
        edge.path,
        edge.name,
        edge.line,
        edge.column,
        edge.kind,
        target_path=target.path,
        target_line=target.name_line,
        how=edge.why,
    )
