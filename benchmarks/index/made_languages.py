"""How each language of the made repository writes the same few things: data, no logic."""

from __future__ import annotations

import msgspec


class Language(msgspec.Struct, frozen=True):
    """Templates for `str.format`. Names come in the case that the language has: `{module}` of a file, `{type}`,
    `{function}`, `{value}`; `{number}` is a literal; `{area}/{topic}` is where a file lies."""

    extension: str
    share: int
    """Of one hundred files."""
    head: str
    """Stands first; `{doc}` is a sentence."""
    imported: str
    """One import of `{type}` and `{function}` of the file `{area}/{topic}/{module}`."""
    type_open: str
    method: str
    """With `{doc}`, `{body}`."""
    type_close: str
    function: str
    constant: str
    statements: tuple[str, ...]
    """Each uses some of `{value}`, `{other}`, `{number}`, `{text}`, `{call}`."""
    result: str
    call: str
    """Of an imported function."""
    camel: bool
    """Whether functions and values are written in camelCase."""
    type_outside: bool = False
    """Whether the type is closed before its methods come."""


PYTHON = Language(
    extension="py",
    share=40,
    head='"""{doc}"""\n\nfrom __future__ import annotations\n\nimport logging\nfrom dataclasses import dataclass\n',
    imported="from {area}.{topic}.{module} import {type}, {function}\n",
    type_open='\n\n@dataclass\nclass {type}:\n    """{doc}"""\n\n'
    '    {value}: int = {number}\n    {other}: str = "{text}"\n',
    method='\n    def {function}(self, {value}: int, {other}: list[str]) -> int:\n        """{doc}"""\n{body}',
    type_close="",
    function='\n\ndef {function}({value}: int, {other}: list[str]) -> int:\n    """{doc}"""\n{body}',
    constant="\n{CONSTANT} = {number}\n",
    statements=(
        "{value} = {value} * {number} + len({other})\n",
        "if {value} > {number}:\n    {value} -= {number}\n",
        "for entry in {other}:\n    {value} += len(entry) % {number}\n",
        "{value} = max({value}, {call})\n",
        'logging.debug("{text} %d", {value})\n',
    ),
    result="return {value}\n",
    call="{function}({value}, {other})",
    camel=False,
)
TYPESCRIPT = Language(
    extension="ts",
    share=22,
    head="/** {doc} */\n",
    imported='import {{ {type}, {function} }} from "../../{area}/{topic}/{module}";\n',
    type_open="\n/** {doc} */\nexport class {type} {{\n  private {value} = {number};\n"
    "  constructor(readonly {other}: string[]) {{}}\n",
    method="\n  /** {doc} */\n  {function}({value}: number, {other}: string[]): number {{\n{body}  }}\n",
    type_close="}}\n",
    function="\n/** {doc} */\nexport function {function}({value}: number, {other}: string[]): number {{\n{body}}}\n",
    constant="\nexport const {CONSTANT} = {number};\n",
    statements=(
        "{value} = {value} * {number} + {other}.length;\n",
        "if ({value} > {number}) {{\n  {value} -= {number};\n}}\n",
        "for (const entry of {other}) {{\n  {value} += entry.length % {number};\n}}\n",
        "{value} = Math.max({value}, {call});\n",
        'console.debug("{text}", {value});\n',
    ),
    result="return {value};\n",
    call="{function}({value}, {other})",
    camel=True,
)
GO = Language(
    extension="go",
    share=12,
    head="// Package {topic}: {doc}\npackage {topic}\n\n",
    imported='import {module} "example.org/made/{area}/{topic}"\n',
    type_open="\n// {type}: {doc}\ntype {type} struct {{\n\t{value} int\n\t{other} []string\n",
    method="\n// {function}: {doc}\nfunc (it *{type}) {function}({value} int, {other} []string) int {{\n{body}}}\n",
    type_close="}}\n",
    function="\n// {function}: {doc}\nfunc {function}({value} int, {other} []string) int {{\n{body}}}\n",
    constant="\nconst {CONSTANT} = {number}\n",
    statements=(
        "{value} = {value}*{number} + len({other})\n",
        "if {value} > {number} {{\n\t{value} -= {number}\n}}\n",
        "for _, entry := range {other} {{\n\t{value} += len(entry) % {number}\n}}\n",
        "{value} += {module}.{call}\n",
        'log.Printf("{text} %d", {value})\n',
    ),
    result="return {value}\n",
    call="{function}({value}, {other})",
    camel=True,
    type_outside=True,
)
JAVA = Language(
    extension="java",
    share=12,
    head="package made.{area}.{topic};\n\nimport java.util.List;\n",
    imported="import made.{area}.{topic}.{type};\n",
    type_open="\n/** {doc} */\npublic final class {type} {{\n    private int {value} = {number};\n"
    "    private List<String> {other};\n",
    method="\n    /** {doc} */\n    public int {function}(int {value}, List<String> {other}) {{\n{body}    }}\n",
    type_close="}}\n",
    function="",
    constant="",
    statements=(
        "{value} = {value} * {number} + {other}.size();\n",
        "if ({value} > {number}) {{\n    {value} -= {number};\n}}\n",
        "for (String entry : {other}) {{\n    {value} += entry.length() % {number};\n}}\n",
        "{value} = Math.max({value}, new {imported_type}().{call});\n",
        'System.out.println("{text} " + {value});\n',
    ),
    result="return {value};\n",
    call="{function}({value}, {other})",
    camel=True,
)
RUST = Language(
    extension="rs",
    share=8,
    head="//! {doc}\n\n",
    imported="use crate::{area}::{topic}::{module}::{{{type}, {function}}};\n",
    type_open="\n/// {doc}\npub struct {type} {{\n    {value}: usize,\n    {other}: Vec<String>,\n",
    method="\n    /// {doc}\n"
    "    pub fn {function}(&self, mut {value}: usize, {other}: &[String]) -> usize {{\n{body}    }}\n",
    type_close="}}\n",
    function="\n/// {doc}\npub fn {function}(mut {value}: usize, {other}: &[String]) -> usize {{\n{body}}}\n",
    constant="\npub const {CONSTANT}: usize = {number};\n",
    statements=(
        "{value} = {value} * {number} + {other}.len();\n",
        "if {value} > {number} {{\n    {value} -= {number};\n}}\n",
        "for entry in {other} {{\n    {value} += entry.len() % {number};\n}}\n",
        "{value} = {value}.max({call});\n",
        'log::debug!("{text} {{}}", {value});\n',
    ),
    result="{value}\n",
    call="{function}({value}, {other})",
    camel=False,
    type_outside=True,
)
C = Language(
    extension="c",
    share=6,
    head="/* {doc} */\n#include <stdio.h>\n",
    imported='#include "{area}/{topic}/{module}.h"\n',
    type_open="\n/* {doc} */\nstruct {type} {{\n    int {value};\n    char **{other};\n",
    method="",
    type_close="}};\n",
    function="\n/* {doc} */\nint {function}(int {value}, char **{other}) {{\n{body}}}\n",
    constant="\n#define {CONSTANT} {number}\n",
    statements=(
        "{value} = {value} * {number} + 1;\n",
        "if ({value} > {number}) {{\n    {value} -= {number};\n}}\n",
        "while ({value} > {number} && *{other}) {{\n    {value} /= 2;\n}}\n",
        "{value} += {call};\n",
        'printf("{text} %d\\n", {value});\n',
    ),
    result="return {value};\n",
    call="{function}({value}, {other})",
    camel=False,
    type_outside=True,
)

LANGUAGES = (PYTHON, TYPESCRIPT, GO, JAVA, RUST, C)
