"""Words of each language that are no names."""

from __future__ import annotations

import keyword

_ECMASCRIPT = (
    "abstract as async await boolean break case catch class const continue debugger declare default "
    "delete do else enum export extends false finally for from function get if implements import in infer "
    "instanceof interface is keyof let namespace new null number of package private protected public "
    "readonly return satisfies set static string super switch this throw true try type typeof undefined "
    "unknown var void while with yield any never"
)
_C = (
    "auto bool break case char const continue default do double else enum extern false float for goto if "
    "inline int long NULL register restrict return short signed sizeof static struct switch true typedef "
    "union unsigned void volatile while define include ifdef ifndef endif elif undef pragma defined "
    "size_t"
)
_CPP = (
    "alignas alignof and catch class concept const_cast consteval constexpr constinit decltype delete "
    "dynamic_cast explicit export final friend mutable namespace new noexcept not nullptr operator or "
    "override private protected public reinterpret_cast requires static_assert static_cast std template "
    "this throw try typeid typename using virtual co_await co_return co_yield"
)
_GO = (
    "append bool break byte cap case chan close const continue copy default defer delete else error "
    "fallthrough false float64 for func go goto if import int int64 interface iota len make map new nil "
    "package panic range return rune select string struct switch true type uint uint64 var any"
)
_RUST = (
    "as async await bool box break char const continue crate dyn else enum extern f32 f64 false fn for "
    "i32 i64 if impl in let loop match mod move mut pub ref return self Self static str struct super "
    "trait true type u32 u64 u8 unsafe use usize where while Some None Ok Err"
)
_JAVA = (
    "abstract assert boolean break byte case catch char class const continue default do double else enum "
    "extends false final finally float for goto if implements import instanceof int interface long native "
    "new null package private protected public record return sealed short static strictfp super switch "
    "synchronized this throw throws transient true try var void volatile while yield"
)
_PYTHON = [*keyword.kwlist, "self", "cls", "match", "case"]

KEYWORDS: dict[str, frozenset[str]] = {
    "python": frozenset(_PYTHON),
    "javascript": frozenset(_ECMASCRIPT.split()),
    "typescript": frozenset(_ECMASCRIPT.split()),
    "tsx": frozenset(_ECMASCRIPT.split()),
    "go": frozenset(_GO.split()),
    "rust": frozenset(_RUST.split()),
    "java": frozenset(_JAVA.split()),
    "c": frozenset(_C.split()),
    "cpp": frozenset(_C.split()) | frozenset(_CPP.split()),
}
