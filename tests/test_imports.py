"""What files import and which files that may be, in nine languages; the others have none yet.

A line of `expected` is `module name alias`, with `-` for none; relative Python imports have their dots before
it."""

import pytest

from indexer.parsing.imports import Import, PathIndex, imports, resolve
from indexer.parsing.languages import GRAMMARS

CASES: list[tuple[str, str, list[str]]] = [
    ("python", "import a.b, c as d", ["a.b - -", "c - d"]),
    ("python", "import os", ["os - os"]),
    ("python", "from . import x as y, z", [". x y", ". z z"]),
    ("python", "from ..p.q import *", ["..p.q * -"]),
    ("python", "from m import (\n    a,  # c\n    b,\n)", ["m a a", "m b b"]),
    ("python", "def f():\n    if x:\n        from m import a", ["m a a"]),
    ("python", "from . import *", [". * -"]),
    ("python", "from .. import a", [".. a a"]),
    ("python", "from .a.b import c as d", [".a.b c d"]),
    ("python", "from . import (\n    a as b,  # why, not\n    c,\n)", [". a b", ". c c"]),
    ("python", "import a.b.c as d", ["a.b.c - d"]),
    ("python", "import a.b.c", ["a.b.c - -"]),
    ("python", "import a, \\\n  b", ["a - a", "b - b"]),
    ("python", "if TYPE_CHECKING:\n    from .m import A", [".m A A"]),
    ("python", "try:\n    import a\nexcept ImportError:\n    import b as a", ["a - a", "b - a"]),
    ("python", "class C:\n    from m import a\n    def f(self): import b", ["m a a", "b - b"]),
    ("python", "def f(:\n    from m import a", ["m a a"]),
    ("python", "from .a import b\n__all__ = ['b', \"c\"]", [".a b b", "- b b", "- c c"]),
    ("python", "__all__ = ('a',)\n__all__ += ['b']", ["- a a", "- b b"]),
    ("python", "__all__ = ['a'] + b.__all__", ["- * -"]),
    ("python", "def f():\n    __all__ = ['a']", []),
    ("python", "from __future__ import annotations", []),
    ("python", "import (", []),
    ("typescript", 'import D, { A as B, type C } from "./x"', ["./x default D", "./x A B", "./x C C"]),
    ("typescript", "import * as N from '../y'", ["../y - N"]),
    ("typescript", "import './side'", ["./side - -"]),
    ("typescript", "import type { T } from 't'", ["t T T"]),
    ("typescript", "import fs = require('fs')", ["fs - fs"]),
    ("typescript", "export { q as r } from './z'", ["./z q r"]),
    ("typescript", "export * from './w'", ["./w * -"]),
    ("typescript", "export * as ns from './w'", ["./w - ns"]),
    ("typescript", "export const a = 1", []),
    ("typescript", "import D, * as N from './x'", ["./x default D", "./x - N"]),
    ("typescript", "import { default as D } from './x'", ["./x default D"]),
    ("typescript", "import type D from './x'", ["./x default D"]),
    ("typescript", "import type * as N from './x'", ["./x - N"]),
    ("typescript", "import d from './x.json' with { type: 'json' }", ["./x.json default d"]),
    ("typescript", "export { default } from './x'", ["./x default default"]),
    ("typescript", "export { default as D, a } from './x'", ["./x default D", "./x a a"]),
    ("typescript", "export type { T } from './x'", ["./x T T"]),
    ("typescript", "export { a, b as c }", ["- a a", "- b c"]),
    ("typescript", "export default class A {}", ["- A default"]),
    ("typescript", "export default function f() {}", ["- f default"]),
    ("typescript", "const a = 1; export default a", ["- a default"]),
    ("typescript", "export default { a: 1 }", []),
    ("typescript", "export = a", ["- a default"]),
    ("typescript", "declare module 'm' { import { a } from 'n' }", ["n a a"]),
    ("typescript", "import { a } from './x'; let b = (", ["./x a a"]),
    ("javascript", "const { a } = await import('./x')", ["./x a a"]),
    ("javascript", "import('./x').then(m => m.f())", ["./x - -"]),
    ("javascript", "(await import('./x')).f()", ["./x f -"]),
    ("javascript", "let a; a = require('./x')", ["./x - a"]),
    ("javascript", "a.b = require('./x')", ["./x - -"]),
    ("javascript", "module.exports = A", ["- A default"]),
    ("javascript", "module.exports = { a, b: c, d() {} }", ["- a a", "- c b"]),
    ("javascript", "exports.a = b; module.exports.c = d", ["- b a", "- d c"]),
    ("tsx", "const Page = lazy(() => import('./page'))", ["./page - -"]),
    ("javascript", "const { a, b: c } = require('./r')", ["./r a a", "./r b c"]),
    ("javascript", "const m = await import('./dyn')", ["./dyn - m"]),
    ("javascript", "const k = require('k').foo", ["k foo k"]),
    ("javascript", "const k = require('k').foo.bar", ["k foo -"]),
    ("javascript", "const k = (await import('k')).default", ["k default k"]),
    ("javascript", "require('./side')", ["./side - -"]),
    ("javascript", "notRequire('./x')", []),
    ("go", 'package m\nimport "a/b"', ["a/b - b"]),
    ("go", 'package m\nimport (\n x "c/d"\n . "e"\n _ "f"\n)', ["c/d - x", "e * -", "f - -"]),
    ("go", 'package m\nimport ("o/yaml.v3"; "o/lib/v2")', ["o/yaml.v3 - yaml", "o/lib/v2 - lib"]),
    ("rust", "use a::b;", ["a b b"]),
    ("rust", "use foo;", ["foo - foo"]),
    (
        "rust",
        "use crate::x::{self, y as z, w::{V, *}};",
        ["crate::x - x", "crate::x y z", "crate::x::w V V", "crate::x::w * -"],
    ),
    ("rust", "use {a::b, c};", ["a b b", "c - c"]),
    ("rust", "use ::std::io;", ["std io io"]),
    ("rust", "mod foo;\nmod bar { }", ["self::foo - foo"]),
    ("rust", "extern crate baz as q;", ["baz - q"]),
    ("rust", "pub use super::*;", ["super * -"]),
    ("java", "import a.b.C;", ["a.b C C"]),
    ("java", "import a.b.*;", ["a.b * -"]),
    ("java", "import static a.b.C.f;", ["a.b.C f f"]),
    ("c", "#include <a/b.h>\n#include MACRO\n", ["a/b.h * -", "MACRO * -"]),
    ("cpp", '#include "c.hpp"\n', ["c.hpp * -"]),
    ("markdown", "import a", []),
    ("csharp", "using System;\n", []),
    ("kotlin", "import a.b.C\n", []),
    ("lua", 'local a = require("a")\n', []),
    ("php", "<?php\nuse A\\B;\n", []),
    ("ruby", 'require "a"\n', []),
    ("scala", "import a.b.C\n", []),
    ("shellscript", "source a.sh\n", []),
    ("swift", "import Foundation\n", []),
]


def show(found: Import) -> str:
    module = "." * found.level + found.module
    return " ".join(part or "-" for part in (module, found.name, found.alias))


def test_every_grammar_is_tested() -> None:
    assert {language for language, _, _ in CASES} >= set(GRAMMARS)


@pytest.mark.parametrize(("language", "text", "expected"), CASES)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_imports(language: str, text: str, expected: list[str], newline: str) -> None:
    assert [show(found) for found in imports(text.replace("\n", newline), language)] == expected


def test_lines_and_strange_texts() -> None:
    assert [found.line for found in imports("import a\n\nimport b\n", "python")] == [0, 2]
    assert imports(b"import a\nx = '\xff'\n", "python")[0].module == "a"
    assert imports("use " + "a::{" * 5_000 + "b" + "}" * 5_000 + ";", "rust")
    assert imports("x", None) == []


FILES = {
    "python": """
        app/__init__.py app/main.py app/util.py app/sub/__init__.py app/sub/deep.py src/lib2/__init__.py
        src/lib2/core.py tools/run.py tools/helper.py other/src/far/near.py stubs.pyi""",
    "ts": """
        src/a.ts src/b/index.ts src/c.tsx src/d.js src/e.d.ts index.ts packages/ui/src/index.ts
        packages/ui/src/button.tsx app/main.ts""",
    "go": """
        main.go pkg/store/store.go pkg/store/store_test.go pkg/store/sub/x.go internal/json/j.go
        service/api/api.go""",
    "rust": """
        src/main.rs src/lib.rs src/net.rs src/net/tcp.rs src/db/mod.rs src/db/row.rs
        crates/my-core/src/lib.rs crates/my-core/src/io.rs""",
    "java": "app/src/main/java/org/x/A.java app/src/main/java/org/x/B.java app/src/test/java/org/x/T.java",
    "c": "main.c util.h inc/util.h include/lib/api.h src/net/net.c src/net/net.h vendor/z/net.h",
}


@pytest.mark.parametrize(
    ("files", "from_path", "text", "expected"),
    [
        ("python", "app/main.py", "from . import util", ["app/util.py", "app/__init__.py"]),
        ("python", "app/main.py", "from .util import f", ["app/util.py"]),
        ("python", "app/sub/deep.py", "from ..util import f", ["app/util.py"]),
        ("python", "app/sub/deep.py", "from ...... import f", []),
        ("python", "app/main.py", "import app.sub.deep", ["app/sub/deep.py"]),
        ("python", "app/main.py", "from app import sub", ["app/sub/__init__.py", "app/__init__.py"]),
        ("python", "app/main.py", "from lib2.core import x", ["src/lib2/core.py"]),
        ("python", "tools/run.py", "import helper", ["tools/helper.py"]),
        ("python", "app/main.py", "import util", []),  # the package's own folder is not on the path
        ("python", "app/main.py", "from far.near import x", ["other/src/far/near.py"]),
        ("python", "app/main.py", "import stubs", ["stubs.pyi"]),
        ("python", "app/main.py", "import os.path", []),
        ("ts", "src/a.ts", "import './b'", ["src/b/index.ts"]),
        ("ts", "src/a.ts", "import './c'", ["src/c.tsx"]),
        ("ts", "src/a.ts", "import './d.js'", ["src/d.js"]),
        ("ts", "src/b/index.ts", "import '../a.js'", ["src/a.ts"]),
        ("ts", "src/a.ts", "import './e'", ["src/e.d.ts"]),
        ("ts", "src/a.ts", "import '..'", ["index.ts"]),
        ("ts", "src/a.ts", "import '../../..'", []),
        ("ts", "app/main.ts", "import '@/a'", ["src/a.ts"]),
        ("ts", "app/main.ts", "import '@org/ui'", ["packages/ui/src/index.ts"]),
        ("ts", "app/main.ts", "import '@org/ui/button'", ["packages/ui/src/button.tsx"]),
        ("ts", "app/main.ts", "import 'react'", []),
        ("go", "main.go", 'package m\nimport "github.com/o/r/pkg/store"', ["pkg/store/store.go"]),
        ("go", "main.go", 'package m\nimport "example.org/m/api"', ["service/api/api.go"]),
        ("go", "main.go", 'package m\nimport "encoding/json"', []),
        ("rust", "src/main.rs", "mod net;", ["src/net.rs"]),
        ("rust", "src/net.rs", "mod tcp;", ["src/net/tcp.rs"]),
        ("rust", "src/db/row.rs", "use crate::net::tcp::Stream;", ["src/net/tcp.rs", "src/net.rs"]),
        ("rust", "src/db/row.rs", "use super::Table;", ["src/db/mod.rs"]),
        ("rust", "src/main.rs", "use my_core::io::Read;", ["crates/my-core/src/io.rs"]),
        ("rust", "src/main.rs", "use std::io::Read;", []),
        ("java", "app/src/test/java/org/x/T.java", "import org.x.A;", ["app/src/main/java/org/x/A.java"]),
        (
            "java",
            "app/src/main/java/org/x/A.java",
            "import org.x.B.Inner;",
            ["app/src/main/java/org/x/B.java"],
        ),
        ("java", "app/src/main/java/org/x/A.java", "import java.util.List;", []),
        ("c", "main.c", '#include "util.h"', ["util.h", "inc/util.h"]),
        ("c", "src/net/net.c", '#include "net.h"', ["src/net/net.h", "vendor/z/net.h"]),
        ("c", "main.c", "#include <lib/api.h>", ["include/lib/api.h"]),
        ("c", "src/net/net.c", '#include "../../util.h"', ["util.h", "inc/util.h"]),
        ("c", "main.c", "#include <stdio.h>", []),
    ],
)
def test_resolve(files: str, from_path: str, text: str, expected: list[str]) -> None:
    language = {"ts": "typescript"}.get(files, files)
    (found,) = imports(text + "\n", language)
    paths = set(FILES[files].split())
    answer = resolve(found, from_path, paths)
    # What a language lists further on is of less interest than what comes first.
    assert answer[: len(expected)] == expected and (expected or not answer)
    assert resolve(found, from_path, PathIndex(paths)) == answer


def test_java_star_gives_the_package() -> None:
    (found,) = imports("import org.x.*;", "java")
    paths = set(FILES["java"].split())
    own = "app/src/main/java/org/x/A.java"
    assert resolve(found, own, paths)[:2] == [own, "app/src/main/java/org/x/B.java"]


def test_other_files_have_no_imports() -> None:
    assert resolve(Import("a", None, "a", 0, 0), "README.md", {"a.py"}) == []
