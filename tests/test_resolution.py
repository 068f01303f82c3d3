"""What project files say about where imports lead, and that nothing in them can do harm."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.modules.layouts import PROJECT_FILES, Layouts
from indexer.modules.python import module_of
from indexer.parsing.imports import Import, PathIndex, resolve


def layouts(files: dict[str, str]) -> tuple[PathIndex, Layouts]:
    index = PathIndex(files)
    return index, Layouts(index, files.get)


def leads_to(files: dict[str, str], from_path: str, module: str, name: str | None = None) -> list[str]:
    index, said = layouts(files)
    return resolve(Import(module, name, "", 0, 0), from_path, index, said)


TSCONFIG = {
    "tsconfig.json": """{
        "extends": "./config/base",
        "compilerOptions": {"paths": {"#/*": ["gen/*", "src/*"], "exact": ["src/x.ts"]}},
    }""",
    "config/base.json": '{"extends": ["./loop.json"], "compilerOptions": {"baseUrl": "../lib"}}',
    "config/loop.json": '{"extends": "./base.json", "compilerOptions": {"paths": {"old": ["old.ts"]}}}',
    "sub/jsconfig.json": '{"compilerOptions": {"baseUrl": "."}} // the end',
    **dict.fromkeys(
        ("src/x.ts", "lib/gen/y.ts", "lib/src/z.ts", "lib/src/x.ts", "lib/deep/d.ts", "sub/own/o.js"), ""
    ),
}


@pytest.mark.parametrize(
    ("from_path", "module", "expected"),
    [
        ("app.ts", "#/y", "lib/gen/y.ts"),
        ("app.ts", "#/z", "lib/src/z.ts"),  # the second target
        ("app.ts", "exact", "lib/src/x.ts"),
        ("app.ts", "exactly", ""),
        ("app.ts", "deep/d", "lib/deep/d.ts"),  # by the base of what is extended
        ("app.ts", "old", ""),  # paths that are overridden
        ("sub/app.js", "own/o", "sub/own/o.js"),  # the nearest file counts
        ("sub/app.js", "#/y", ""),
    ],
)
def test_typescript_paths(from_path: str, module: str, expected: str) -> None:
    assert leads_to(TSCONFIG, from_path, module)[:1] == [expected][: bool(expected)]


PACKAGES = {
    "packages/a/package.json": json.dumps(
        {
            "name": "@o/a",
            "exports": {
                ".": {"node": {"import": "./dist/node.mjs"}, "default": "./dist/index.js"},
                "./feature/*": ["./missing/*.js", "./lib/feature/*.js"],
                "./blocked": None,
            },
        }
    ),
    "packages/b/package.json": '{"name": "b", "main": "./out/main", "types": "./out/main.d.ts"}',
    "packages/c/package.json": '{"name": "c"}',
    "packages/d/package.json": '{"name": "d", "exports": "./source/d.ts"}',
    **dict.fromkeys(
        (
            "packages/a/src/index.ts",
            "packages/a/lib/feature/x.js",
            "packages/a/src/blocked.ts",
            "packages/b/src/main.ts",
            "packages/b/inner/i.ts",
            "packages/c/index.js",
            "packages/d/source/d.ts",
        ),
        "",
    ),
}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("@o/a", "packages/a/src/index.ts"),
        ("@o/a/feature/x", "packages/a/lib/feature/x.js"),
        ("b", "packages/b/src/main.ts"),
        ("b/inner/i", "packages/b/inner/i.ts"),
        ("c", "packages/c/index.js"),
        ("d", "packages/d/source/d.ts"),
        ("e", ""),
        ("@o/none", ""),
    ],
)
def test_packages_of_the_repository(module: str, expected: str) -> None:
    assert leads_to(PACKAGES, "packages/c/app.js", module)[:1] == [expected][: bool(expected)]


GO = {
    "go.mod": "// the module\nmodule example.org/all // here\n\nrequire example.org/other v1.2.3\n",
    "tools/go.mod": 'module "example.org/all/tools"\n',
    **dict.fromkeys(
        (
            "root.go",
            "pkg/p.go",
            "pkg/p_test.go",
            "tools/t.go",
            "tools/pkg/q.go",
            "vendor/example.org/other/o.go",
        ),
        "",
    ),
}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("example.org/all", ["root.go"]),
        ("example.org/all/pkg", ["pkg/p.go"]),
        ("example.org/all/tools", ["tools/t.go"]),
        ("example.org/all/tools/pkg", ["tools/pkg/q.go"]),  # the longest module path counts
        ("example.org/other", ["vendor/example.org/other/o.go"]),
        ("example.org/elsewhere/pkg", []),  # the end of the path alone is no reason
        ("fmt", []),
    ],
)
def test_go_modules(module: str, expected: list[str]) -> None:
    assert [path for path in leads_to(GO, "root.go", module) if path.endswith(".go")] == expected


CARGO = {
    "Cargo.toml": "[workspace]\nmembers = ['a', 'b']\n",
    "a/Cargo.toml": "[package]\nname = 'crate-a'\n",
    "b/Cargo.toml": "[package]\nname = 'b'\n[lib]\nname = 'other_name'\npath = 'code/start.rs'\n",
    **dict.fromkeys(("a/src/lib.rs", "a/src/io.rs", "b/code/start.rs", "b/src/main.rs"), ""),
}


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("crate_a::io", "a/src/io.rs"),
        ("crate_a", "a/src/lib.rs"),
        ("other_name", "b/code/start.rs"),
        ("std::io", ""),
    ],
)
def test_crates(module: str, expected: str) -> None:
    assert leads_to(CARGO, "b/src/main.rs", module)[:1] == [expected][: bool(expected)]


@pytest.mark.parametrize(
    ("files", "from_path", "module", "level", "expected"),
    [
        ("a/__init__.py a/b.py", "a/x.py", "a.b", 0, "a/b.py"),
        ("src/a/b.py", "tests/t.py", "a.b", 0, "src/a/b.py"),
        ("src/a/b.py", "tests/t.py", "a", 0, "src/a/"),  # a namespace package
        ("docs/a/readme.md", "t.py", "a", 0, None),
        ("a/__init__.py a.py", "t.py", "a", 0, "a/__init__.py"),  # a package comes before a module
        ("a.pyi", "t.py", "a", 0, "a.pyi"),
        ("a.py a.pyi", "t.py", "a", 0, "a.py"),
        ("p/__init__.py p/x.py p/q/__init__.py", "p/q/y.py", "x", 2, "p/x.py"),
        ("p/__init__.py", "p/x.py", "", 1, "p/__init__.py"),
        ("p/__init__.py", "p/x.py", "", 3, None),
        (
            "p/__init__.py p/logging.py",
            "p/x.py",
            "logging",
            0,
            None,
        ),  # a package's own folder is not on the path
        ("deep/er/far/near.py", "main.py", "far.near", 0, "deep/er/far/near.py"),
        ("deep/er/near.py", "main.py", "near", 0, None),  # one word matches no end
    ],
)
def test_python_modules(files: str, from_path: str, module: str, level: int, expected: str | None) -> None:
    assert module_of(module, level, from_path, PathIndex([*files.split(), from_path])) == expected


STRANGE = [
    "",
    "{",
    "[]",
    "null",
    "3",
    '"x"',
    "\x00",
    "[" * 5_000,
    '{"a": ' * 5_000,
    "module",
    "[package]\nname = 3",
    "🦀",
]

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(["", ".", "..", "../..", "/", "*", "./*", "a", "**", "#a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["", ".", "./*", "#a", "*", "x"]), inner)
    ),
    max_leaves=8,
)
fields = st.sampled_from(
    [
        "extends",
        "compilerOptions",
        "baseUrl",
        "paths",
        "name",
        "exports",
        "imports",
        "main",
        "types",
        "dependencies",
    ]
)


def ask_everything(files: dict[str, str]) -> None:
    for path in ("app.ts", "sub/app.ts", "main.go", "src/main.rs", "a.py"):
        for module in ("a", "#a", "./a", "a/b", "@a/b", "*", ".", "..", "a::b", "crate::a", "x.y"):
            found = leads_to(files, path, module, "b")
            assert all(one in files for one in found)


@pytest.mark.parametrize("name", PROJECT_FILES)
@pytest.mark.parametrize("text", STRANGE)
def test_strange_project_files_say_nothing(name: str, text: str) -> None:
    ask_everything({name: text, f"sub/{name}": text, "a.ts": "", "a/b.go": "", "src/a.rs": ""})


@given(st.dictionaries(fields, values), st.dictionaries(fields, values))
def test_whatever_json_says_only_paths_of_the_root_are_given(
    first: dict[str, object], second: dict[str, object]
) -> None:
    options = {"compilerOptions": second, **first}
    files = {name: json.dumps(first) for name in ("package.json", "sub/package.json", "tsconfig.json")}
    ask_everything(
        {**files, "sub/tsconfig.json": json.dumps(options), "a.ts": "", "src/a/index.ts": "", "b": ""}
    )


def test_an_unreadable_project_file_says_nothing() -> None:
    index = PathIndex(["tsconfig.json", "package.json", "go.mod", "Cargo.toml", "a.ts"])
    said = Layouts(index, lambda path: None)
    assert resolve(Import("./a", None, "", 0, 0), "b.ts", index, said) == ["a.ts"]
    assert not said.packages().get("a") and not said.go_modules() and not said.crates()
