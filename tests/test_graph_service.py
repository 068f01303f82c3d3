"""The graph as it is asked of a running service: stored texts, unsaved ones over them, and what changes on disk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from index_service import client, isolate, stop_service

from indexer.client import IndexServiceError
from indexer.messages import Reference, ReferenceList

FILES = {
    "pkg/__init__.py": "from .shapes import Circle as Round\n",
    "pkg/shapes.py": "class Shape:\n    def area(self): ...\n\nclass Circle(Shape):\n    def grow(self): ...\n",
    "main.py": "from pkg import Round\n\nRound().area()\nRound().grow()\nanything.area()\n",
    "web/tsconfig.json": '{"compilerOptions": {"paths": {"@/*": ["source/*"]}}}',
    "web/source/panel.ts": "export class Panel { show() {} }\n",
    "web/app.ts": 'import { Panel } from "@/panel";\nnew Panel().show();\n',
}


@pytest.fixture(autouse=True)
async def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[None]:
    isolate(monkeypatch, tmp_path)
    yield
    await stop_service()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in FILES.items():
        (tmp_path / "work" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "work" / path).write_text(text)
    return tmp_path / "work"


def where(answer: ReferenceList) -> list[str]:
    return [f"{one.path}:{one.line + 1}" for one in answer.references]


async def test_references_by_name_and_to_one_definition(root: Path) -> None:
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        named = await connected.references(str(root), "area")
        assert named.references == [
            Reference("main.py", "area", 2, 8, "call", "pkg/shapes.py", 1, "Circle has it from a base"),
            Reference("main.py", "area", 4, 9, "call", unresolved="`anything` is not defined in this file"),
        ]
        assert where(await connected.references(str(root), "area", path="pkg/shapes.py", line=1)) == [
            "main.py:3"
        ]
        circle = await connected.references(str(root), "Circle", path="pkg/shapes.py", line=3)
        assert where(circle) == ["main.py:1", "main.py:3", "main.py:4", "pkg/__init__.py:1"]
        assert where(await connected.references(str(root), "Round", path="main.py", line=2)) == where(circle)
        assert where(await connected.references(str(root), "show", path="web/source/panel.ts", line=0)) == [
            "web/app.ts:2"
        ]
        nothing = await connected.references(str(root), "area", path="main.py", line=0)
        assert not nothing.references and "main.py:1" in nothing.note


async def test_unsaved_texts_count_for_whom_they_belong_to(root: Path) -> None:
    async with client() as one, client() as other:
        for connected in (one, other):
            await connected.open_root(str(root), wait=True)
        await one.overlay(
            str(root / "pkg/shapes.py"), "\n\n" + FILES["pkg/shapes.py"].replace("Shape)", "Other)")
        )
        await one.overlay(str(root / "new.py"), "from pkg.shapes import Circle\nCircle().grow()\n")
        mine = await one.references(str(root), "grow", path="pkg/shapes.py", line=6)
        assert where(mine) == ["main.py:4", "new.py:2"]
        assert not (await one.references(str(root), "area", path="pkg/shapes.py", line=3)).references
        theirs = await other.references(str(root), "grow", path="pkg/shapes.py", line=4)
        assert where(theirs) == ["main.py:4"]
        assert where(await other.references(str(root), "area", path="pkg/shapes.py", line=1)) == ["main.py:3"]


async def test_what_changes_on_disk_is_followed(root: Path) -> None:
    async with client() as connected:
        await connected.open_root(str(root), wait=True)

        async def told(name: str, path: str, line: int) -> list[str]:
            return where(await connected.references(str(root), name, path=path, line=line))

        async def comes(expected: list[str], name: str, path: str, line: int) -> None:
            found: list[str] = []

            async def look() -> bool:
                found[:] = await told(name, path, line)
                return found == expected

            for _ in range(100):
                if await look():
                    return
                await connected.open_root(str(root), wait=True)
            assert found == expected

        assert await told("show", "web/source/panel.ts", 0) == ["web/app.ts:2"]
        (root / "web/tsconfig.json").write_text("{}")
        await comes([], "show", "web/source/panel.ts", 0)
        (root / "late.py").write_text("from pkg.shapes import Shape\nShape().area()\n")
        await comes(["late.py:2", "main.py:3"], "area", "pkg/shapes.py", 1)
        (root / "pkg/__init__.py").unlink()
        (root / "pkg").rename(root / "moved")
        await comes([], "area", "moved/shapes.py", 1)


async def test_workspace_symbols(root: Path) -> None:
    async with client() as connected:
        await connected.open_root(str(root), wait=True)
        found = (await connected.symbols(str(root), query="sha")).definitions
        assert [one.name for one in found] == ["Shape"]
        await connected.overlay(str(root / "new.py"), "class Shadow: ...\n")
        found = (await connected.symbols(str(root), query="sha")).definitions
        assert [one.name for one in found] == ["Shape", "Shadow"]
        with pytest.raises(IndexServiceError, match="by name, by path or by query"):
            await connected.symbols(str(root))
