"""Small questions of syntax for the server and the packer, bounded in size and time.

What takes a parse gives up after `PARSE_TIMEOUT_S` and for texts over `MAX_CHARACTERS`; each function says
what it answers then. Offsets, lines and columns are 0-based and count characters (code points)."""

from __future__ import annotations

import re
from collections.abc import Iterable

import tree_sitter

from indexer.keywords import KEYWORDS
from indexer.languages import has_grammar, parse
from indexer.languages import language_of as language_of
from indexer.lines import split_lines

MAX_CHARACTERS = 1_000_000
"""As with indexed files: beyond this a text is generated or data."""

PARSE_TIMEOUT_S = 0.05
"""Half a megabyte of code; a keystroke's answer may wait this long and no longer."""

_LONG_LINE_CHARACTERS = 2_000
"""Of a longer line only what is nearest to the cursor is looked at."""

_IDENTIFIER = re.compile(r"[^\W\d]\w*")

_STRINGS = re.compile(r'"(?:[^"\\\n]|\\.)*"' r"|'(?:[^'\\\n]|\\.)*'" r"|`(?:[^`\\\n]|\\.)*`")
_RUST_STRINGS = re.compile(r'"(?:[^"\\\n]|\\.)*"' r"|'(?:[^'\\\n]|\\.)'")  # 'a is a lifetime there

_HASH_COMMENTS = frozenset(
    {"python", "shellscript", "ruby", "perl", "yaml", "toml", "makefile", "r", "dockerfile"}
)


def identifiers_near(
    text: str, line: int, character: int, before_lines: int, after_lines: int, language: str | None
) -> list[str]:
    """The names around the cursor, each once, the nearest first: those before it on its line, after it, then
    line by line away from it (above before below). Keywords, strings and comments of one line are left out.
    Works on broken code, for it does not parse. Empty for texts over MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS:
        return []
    lines = split_lines(text)
    if not lines:
        return []
    line = max(0, min(line, len(lines) - 1))
    keywords = KEYWORDS.get(language or "", frozenset[str]())
    found: dict[str, None] = {}

    def take(names: Iterable[str]) -> None:
        found.update(dict.fromkeys(name for name in names if name not in keywords and len(name) > 1))

    left, right = lines[line][:character], lines[line][character:]
    take(reversed(_names(left[-_LONG_LINE_CHARACTERS:], language)))
    take(_names(right[:_LONG_LINE_CHARACTERS], language))
    for distance in range(1, max(before_lines, after_lines) + 1):
        if distance <= before_lines and line - distance >= 0:
            take(_names(lines[line - distance][:_LONG_LINE_CHARACTERS], language))
        if distance <= after_lines and line + distance < len(lines):
            take(_names(lines[line + distance][:_LONG_LINE_CHARACTERS], language))
    return list(found)


def _names(line: str, language: str | None) -> list[str]:
    return _IDENTIFIER.findall(_code_of(line, language))


def _code_of(line: str, language: str | None) -> str:
    """The line without strings, also one that is not closed, and without its comment."""
    line = (_RUST_STRINGS if language == "rust" else _STRINGS).sub(" ", line)
    if language in _HASH_COMMENTS:
        line = line.partition("#")[0]
    if language is None or not has_grammar(language):
        return line
    if language != "python":
        if line.lstrip().startswith(("*", "/*")):  # within or at the head of a block comment
            line = line.partition("*/")[2]
        line = re.sub(r"/\*.*?(?:\*/|$)", " ", line).partition("//")[0]
    return re.split('["`]' if language == "rust" else "[\"'`]", line, maxsplit=1)[0]


_PYTHON_OPENERS = re.compile(
    r"\s*(?:(?:async\s+)?(?:def|for|with)|class|if|elif|else|while|try|except|finally|match|case)\b.*:\s*$"
    r"|\s*[)\]].*:\s*$"  # the last line of a head of several lines
)
_CLOSERS_ONLY = re.compile(r"[\s)\]};,]*$")


def at_block_start(text: str, offset: int, language: str | None) -> bool:
    """Whether a block of several lines belongs at the cursor: after a line that opens one (`:` in Python, `{`
    elsewhere), or on an empty line inside a body. False where code follows on the cursor's line, in languages
    without a grammar, and for texts over MAX_CHARACTERS."""
    if len(text) > MAX_CHARACTERS or not has_grammar(language):
        return False
    offset = max(0, min(offset, len(text)))
    start = text.rfind("\n", 0, offset) + 1
    end = text.find("\n", offset)
    before, after = text[start:offset], text[offset : end if end >= 0 else len(text)]
    if not _CLOSERS_ONLY.match(after):
        return False
    if before.strip():
        return _opens(before, language)
    above = _last_line_of_code(text, start)
    if above is None:
        return False
    return _opens(above, language) or (
        not after.strip() and _inside_body(above, before, text, start, language)
    )


def _opens(line: str, language: str | None) -> bool:
    code = _code_of(line, language).rstrip()
    if language == "python":
        return _PYTHON_OPENERS.match(code) is not None
    return code.endswith("{")


_LOOK_BACK_LINES = 40
"""A run of blank lines and comments longer than this separates what stands around it."""


def _last_line_of_code(text: str, before: int) -> str | None:
    """The nearest line above that is neither blank nor a comment."""
    end = before - 1
    for _ in range(_LOOK_BACK_LINES):
        if end <= 0:
            return None
        start = text.rfind("\n", 0, end) + 1
        line = text[start:end]
        if line.strip() and not line.lstrip().startswith(("#", "//")):
            return line.rstrip("\r")
        end = start - 1
    return None


def _inside_body(above: str, before: str, text: str, start: int, language: str | None) -> bool:
    """Of a blank line: whether it is indented, or stands between indented lines."""
    if before:
        return True
    if not above[:1].isspace():
        return False
    if language == "python":
        following = re.compile(r"[^\S\n]*\S").search(text, start)
        return following is not None and following.group()[0].isspace()
    return True


_SPAN_NODES = frozenset(
    # Python, C, C++
    {"decorated_definition", "function_definition", "class_definition", "class_specifier", "struct_specifier"}
    | {"enum_specifier", "namespace_definition", "template_declaration"}
    # JavaScript, TypeScript, Go, Java
    | {"function_declaration", "generator_function_declaration", "function_expression", "arrow_function"}
    | {"method_definition", "method_declaration", "constructor_declaration", "class_declaration", "class"}
    | {"abstract_class_declaration", "interface_declaration", "enum_declaration", "record_declaration"}
    | {"type_declaration"}
    # Rust
    | {"function_item", "impl_item", "struct_item", "enum_item", "trait_item", "mod_item", "macro_definition"}
)


_WRAPPERS = frozenset({"decorated_definition", "template_declaration", "export_statement"})
"""What begins before the definition right within it and belongs to it."""


def enclosing_span(text: str, offset: int, language: str | None) -> tuple[int, int] | None:
    """Lines [start, end) of the innermost function or class around the cursor. None if there is none, without
    a grammar, for texts over MAX_CHARACTERS, and when parsing takes too long."""
    tree = _tree(text, language)
    if tree is None:
        return None
    target = len(text[: max(0, offset)].encode("utf-8", "replace"))
    cursor = tree.walk()
    best: tuple[int, int] | None = None
    wrapped_from: int | None = None
    while True:
        node = cursor.node
        if node is None or not node.start_byte <= target <= node.end_byte:
            return best
        if node.is_named and node.type in _SPAN_NODES:
            end = node.end_point
            start = node.start_point.row if wrapped_from is None else wrapped_from
            best = start, end.row + (end.column > 0)
        wrapped_from = node.start_point.row if node.type in _WRAPPERS else None
        if cursor.goto_first_child_for_byte(target) is None and not cursor.goto_last_child():
            return best


def has_new_error(before: str, after: str, language: str | None) -> bool:
    """Whether `after` has more syntax errors than `before`. False when that cannot be told: no grammar, more
    than MAX_CHARACTERS, or parsing takes too long."""
    after_tree = _tree(after, language)
    if after_tree is None or not after_tree.root_node.has_error:
        return False
    before_tree = _tree(before, language)
    if before_tree is None:
        return False
    return _errors(after_tree) > _errors(before_tree)


def _errors(tree: tree_sitter.Tree) -> int:
    """Nodes that the parser could not place or had to make up."""
    cursor = tree.walk()
    count = 0
    while True:
        node = cursor.node
        inside = False
        if node is not None and node.has_error:
            count += node.is_error or node.is_missing
            inside = cursor.goto_first_child()
        while not inside and not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return count
        continue


def _tree(text: str, language: str | None) -> tree_sitter.Tree | None:
    if language is None or not has_grammar(language) or len(text) > MAX_CHARACTERS:
        return None
    return parse(text.encode("utf-8", "replace"), language, PARSE_TIMEOUT_S)
