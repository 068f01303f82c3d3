"""Which language a file is in, and the grammars, parsers and queries of those that are parsed.

Grammars and compiled queries are loaded at first use and kept for life (a query takes 4 to 65 ms to compile).
A parser is made anew for each parse: two threads must not share one, and it costs microseconds.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from importlib import resources
from pathlib import PurePosixPath
from typing import Literal

import msgspec
import tree_sitter

from indexer.parsing.deadline import Deadline
from indexer.parsing.macros import without_macros


class Grammar(msgspec.Struct, frozen=True):
    """Where a language's grammar comes from. `queries` are stems of files in `parsing/queries`, joined in
    order: of two patterns for one name the first counts."""

    package: str
    function: str
    queries: tuple[str, ...]


GRAMMARS: dict[str, Grammar] = {
    "python": Grammar("tree_sitter_python", "language", ("python",)),
    "javascript": Grammar("tree_sitter_javascript", "language", ("ecmascript", "javascript")),
    "typescript": Grammar("tree_sitter_typescript", "language_typescript", ("ecmascript", "typescript")),
    "tsx": Grammar("tree_sitter_typescript", "language_tsx", ("ecmascript", "typescript", "jsx")),
    "go": Grammar("tree_sitter_go", "language", ("go",)),
    "rust": Grammar("tree_sitter_rust", "language", ("rust",)),
    "java": Grammar("tree_sitter_java", "language", ("java",)),
    "c": Grammar("tree_sitter_c", "language", ("c",)),
    "cpp": Grammar("tree_sitter_cpp", "language", ("cpp", "c")),
    "csharp": Grammar("tree_sitter_c_sharp", "language", ("csharp",)),
    "kotlin": Grammar("tree_sitter_kotlin", "language", ("kotlin",)),
    "lua": Grammar("tree_sitter_lua", "language", ("lua",)),
    "php": Grammar("tree_sitter_php", "language_php", ("php",)),
    "ruby": Grammar("tree_sitter_ruby", "language", ("ruby",)),
    "scala": Grammar("tree_sitter_scala", "language", ("scala",)),
    "shellscript": Grammar("tree_sitter_bash", "language", ("bash",)),
    "swift": Grammar("tree_sitter_swift", "language", ("swift",)),
}

# `.h` is read as C++: that grammar takes nearly all C, while C's makes nothing of a class.
_EXTENSIONS: dict[str, str] = {
    extension: language
    for language, extensions in {
        "python": "py pyi pyw",
        "javascript": "js jsx mjs cjs",
        "typescript": "ts mts cts",
        "tsx": "tsx",
        "go": "go",
        "rust": "rs",
        "java": "java",
        "c": "c",
        "cpp": "cc cpp cxx c++ h hh hpp hxx h++ inl ipp tpp cu cuh",
        "csharp": "cs csx",
        "kotlin": "kt kts",
        "swift": "swift",
        "scala": "scala sc sbt",
        "groovy": "groovy gradle",
        "objective-c": "m mm",
        "ruby": "rb rake gemspec",
        "php": "php phtml",
        "perl": "pl pm",
        "lua": "lua",
        "r": "r",
        "julia": "jl",
        "dart": "dart",
        "elixir": "ex exs",
        "erlang": "erl hrl",
        "haskell": "hs lhs",
        "ocaml": "ml mli",
        "fsharp": "fs fsi fsx",
        "clojure": "clj cljs cljc edn",
        "lisp": "lisp el scm",
        "nim": "nim",
        "zig": "zig",
        "d": "d",
        "fortran": "f f90 f95 f03",
        "assembly": "s asm",
        "verilog": "v sv svh",
        "vhdl": "vhd vhdl",
        "shellscript": "sh bash zsh ksh",
        "fish": "fish",
        "powershell": "ps1 psm1 psd1",
        "bat": "bat cmd",
        "sql": "sql",
        "graphql": "graphql gql",
        "protobuf": "proto",
        "thrift": "thrift",
        "html": "html htm xhtml",
        "vue": "vue",
        "svelte": "svelte",
        "css": "css",
        "scss": "scss sass",
        "less": "less",
        "xml": "xml xsd xsl xslt svg plist csproj props targets",
        "json": "json jsonc json5 webmanifest",
        "jsonlines": "jsonl ndjson",
        "yaml": "yaml yml",
        "toml": "toml",
        "ini": "ini cfg conf properties editorconfig",
        "markdown": "md mdx markdown",
        "restructuredtext": "rst",
        "asciidoc": "adoc asciidoc",
        "latex": "tex sty cls bib",
        "plaintext": "txt text",
        "csv": "csv tsv",
        "dockerfile": "dockerfile",
        "makefile": "mk mak make",
        "cmake": "cmake",
        "bazel": "bzl bazel star",
        "terraform": "tf hcl",
        "nix": "nix",
        "tree-sitter-query": "scm",
        "vim": "vim",
        "diff": "diff patch",
        "jinja": "j2 jinja jinja2",
    }.items()
    for extension in extensions.split()
}

_NAMES: dict[str, str] = {
    "dockerfile": "dockerfile",
    "containerfile": "dockerfile",
    "makefile": "makefile",
    "gnumakefile": "makefile",
    "cmakelists.txt": "cmake",
    "build": "bazel",
    "workspace": "bazel",
    "rakefile": "ruby",
    "gemfile": "ruby",
    "jenkinsfile": "groovy",
    "vagrantfile": "ruby",
    "sconstruct": "python",
    "sconscript": "python",
    "wscript": "python",
    "go.mod": "go-module",
    "go.sum": "go-sum",
    "readme": "plaintext",
    "license": "plaintext",
    "copying": "plaintext",
    "changelog": "plaintext",
    "authors": "plaintext",
    ".gitignore": "ignore",
    ".gitattributes": "ignore",
    ".dockerignore": "ignore",
    ".forewordignore": "ignore",
    ".bashrc": "shellscript",
    ".zshrc": "shellscript",
    ".profile": "shellscript",
    ".babelrc": "json",
    ".eslintrc": "json",
    ".prettierrc": "json",
    ".clang-format": "yaml",
    "pipfile": "toml",
    "cargo.lock": "toml",
    "poetry.lock": "toml",
    "uv.lock": "toml",
}


def language_of(path: str) -> str | None:
    """By file name, then extension; None when unknown (it may be text all the same)."""
    name = PurePosixPath(path.replace("\\", "/")).name.lower()
    if name in _NAMES:
        return _NAMES[name]
    if name.startswith(("dockerfile.", "makefile.")):
        return name.split(".", 1)[0]
    _, dot, extension = name.rpartition(".")
    return _EXTENSIONS.get(extension) if dot else None


def has_grammar(language: str | None) -> bool:
    """Whether texts of this language are parsed."""
    return language in GRAMMARS


@functools.cache
def grammar_of(language: str) -> tree_sitter.Language:
    """The loaded grammar. Raises KeyError for a language that is not in GRAMMARS."""
    grammar = GRAMMARS[language]
    pointer: Callable[[], object] = getattr(importlib.import_module(grammar.package), grammar.function)
    return tree_sitter.Language(pointer())


def parser_for(language: str) -> tree_sitter.Parser:
    """A new parser, to be used by one thread. Raises KeyError for a language that is not in GRAMMARS."""
    return tree_sitter.Parser(grammar_of(language))


Purpose = Literal["definitions", "references", "imports", "bindings", "everything"]

PURPOSES: tuple[Purpose, ...] = ("definitions", "references", "imports", "bindings")
"""What there are files of queries for; `everything` is all of them in one, which goes through a tree once."""


def query_text(language: str, purpose: Purpose) -> str:
    """The query of this language as written. Raises KeyError for a language that is not in GRAMMARS."""
    folder = resources.files("indexer.parsing") / "queries"
    purposes = PURPOSES if purpose == "everything" else (purpose,)
    parts = [folder / f"{stem}.{one}.scm" for one in purposes for stem in GRAMMARS[language].queries]
    return "\n".join(part.read_text("utf-8") for part in parts if part.is_file())


@functools.cache
def query_for(language: str, purpose: Purpose) -> tree_sitter.Query:
    """The compiled query of this language. Raises KeyError for a language that is not in GRAMMARS."""
    return tree_sitter.Query(grammar_of(language), query_text(language, purpose))


_SLICE_BYTES = 64 * 1024
"""What the parser is handed at a time when a time-out is set: its callback cannot take the text as a
whole."""


_NAME_BYTES = 128
"""The same once it is done: `Node.text` and predicates of queries read names through the same callback, and would
copy what follows them too."""


def parse(source: bytes, language: str, timeout_s: float | None = None) -> tree_sitter.Tree | None:
    """The tree of `source` (UTF-8), None when parsing takes this thread longer than `timeout_s` of a processor.

    The interpreter's lock is held all the while without a time-out, and but for the callbacks with one.
    Raises KeyError for a language that is not in GRAMMARS."""
    parser = parser_for(language)
    source = without_macros(source, language)
    if timeout_s is None:
        return parser.parse(source)
    deadline = Deadline(timeout_s)
    late, size = False, _SLICE_BYTES

    def read(offset: int, _point: tree_sitter.Point) -> bytes:
        return source[offset : offset + size]

    def stop(_offset: int, _has_error: bool) -> bool:
        nonlocal late
        late = deadline.passed()
        return late

    try:
        tree = parser.parse(read, encoding="utf8", progress_callback=stop)
    except ValueError:  # what tree-sitter raises for a parse that its callback has stopped
        if late:
            return None
        raise
    size = _NAME_BYTES
    return tree
