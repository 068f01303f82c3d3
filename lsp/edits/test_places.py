"""Where a repository keeps the tests of a file: at the place where it has some, by the conventions of its language."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs"})
_TEST_NAME = re.compile(
    r"^(?:test_.*|.*_test|.*_spec|conftest)\.\w+$|\.(?:test|spec)\.\w+$|^\w*Tests?\.(?:java|kt|cs|scala|swift)$"
)
_SCRIPTS = ("javascript", "typescript", "tsx")


def has_tests(language: str | None) -> bool:
    """Whether a convention is known for this language."""
    return language in ("python", "go", "ruby", "java", "kotlin", *_SCRIPTS)


def is_test(path: str) -> bool:
    place = PurePosixPath(path)
    return _TEST_NAME.search(place.name) is not None or any(
        part in _TEST_FOLDERS for part in place.parts[:-1]
    )


def test_path(root: Path, path: str, language: str | None) -> str | None:
    """The test file of a source file, below the root: the one that is there, else a new one beside other tests, else
    where the language's convention puts it. None where no convention is known. Looks at a few folders."""
    candidates = list(_candidates(PurePosixPath(path), language))
    if not candidates:
        return None
    for candidate in candidates:
        if (root / candidate).is_file():
            return str(candidate)
    for candidate in candidates:
        if _has_tests_in(root / candidate.parent):
            return str(candidate)
    return str(candidates[0])


def _has_tests_in(folder: Path) -> bool:
    try:
        return any(_TEST_NAME.search(each.name) for each in folder.iterdir())
    except OSError:
        return False


def _candidates(path: PurePosixPath, language: str | None) -> Iterator[PurePosixPath]:
    """The likeliest first."""
    stem, suffix, folder = path.stem, path.suffix, path.parent
    below = [part for part in folder.parts if part not in ("src", "lib", "app")]
    match language:
        case "python":
            name = f"test_{stem}.py"
            yield PurePosixPath("tests") / name
            yield PurePosixPath("tests", *below[1:]) / name
            yield PurePosixPath("tests/unit") / name
            yield PurePosixPath("test") / name
            yield folder / "tests" / name
            yield folder / name
            yield folder / f"{stem}_test.py"
        case "go":
            yield folder / f"{stem}_test.go"
        case "ruby":
            yield PurePosixPath("spec", *below) / f"{stem}_spec.rb"
            yield PurePosixPath("test", *below) / f"{stem}_test.rb"
        case "java" | "kotlin":
            parts = ["test" if part == "main" else part for part in folder.parts]
            yield PurePosixPath(*parts) / f"{stem}Test{suffix}"
        case "javascript" | "typescript" | "tsx":
            yield folder / f"{stem}.test{suffix}"
            yield folder / "__tests__" / f"{stem}.test{suffix}"
            yield folder / f"{stem}.spec{suffix}"
            yield PurePosixPath("tests") / f"{stem}.test{suffix}"
            yield PurePosixPath("test") / f"{stem}.test{suffix}"
        case _:
            return
