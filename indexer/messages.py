"""Every message between the index service and those who ask it, and how they are framed on the socket.

A frame is a 4-byte big-endian length and one msgpack document. A client sends `Call` frames and gets, for each
id, any number of `Progress` frames and then exactly one `Reply` or `Failure`. Lines and characters are 0-based,
characters are Unicode code points, end lines are exclusive, paths are POSIX and relative to their root.
"""

from __future__ import annotations

import asyncio
import struct
from typing import Literal

import msgspec

PROTOCOL_VERSION = 3
"""Raised with every change below; a client that meets another version asks that service to make room."""

MAX_FRAME_BYTES = 64 * 1024 * 1024
"""A 256K-token pack with text and ids is about 3 MB; anything near this limit is a fault, not a message."""

Layer = Literal["base", "overlay", "retrieved"]
"""Where a segment stands in the prompt, from most stable to most volatile."""


class TokenizerRef(msgspec.Struct, frozen=True):
    """Which tokenizer counts and encodes. `file` is a Hugging Face `tokenizer.json`; without one, tokens are
    estimated as UTF-8 bytes / `bytes_per_token` and no ids are given."""

    file: str | None = None
    bytes_per_token: float = 3.0


# ---------------------------------------------------------------- requests


class Hello(msgspec.Struct, tag="hello", frozen=True):
    """First call on every connection. Answer: `Welcome`."""

    protocol: int = PROTOCOL_VERSION


class OpenRoot(msgspec.Struct, tag="open_root", frozen=True):
    """Index this folder and keep it in step for as long as this connection lives. Idempotent.
    With `wait`, answers when symbols and full text are whole and sends `Progress` until then;
    with `wait_vectors` also when every chunk has its vector. Answer: `RootStatus`."""

    root: str
    wait: bool = False
    wait_vectors: bool = False
    embedder: str = ""
    """The embedding model that this client wants, if it wants one: a folder or a name on the model hub. One service has
    one; see `indexer.embedding.settings` for whose word counts, and the status for what is used."""


class CloseRoot(msgspec.Struct, tag="close_root", frozen=True):
    root: str


class Overlay(msgspec.Struct, tag="overlay", frozen=True):
    """Unsaved text of an open document; from now on it stands instead of what is stored. `text=None` takes it away.
    It belongs to this connection and dies with it. `path` is absolute. Answer: `Done`."""

    path: str
    text: str | None
    version: int = 0


class Search(msgspec.Struct, tag="search", frozen=True):
    root: str
    query: str
    limit: int = 10


class Symbols(msgspec.Struct, tag="symbols", frozen=True):
    """Definitions by exact `name`, by what somebody types to find one (`query`: the exact name first, then names
    that begin so, then those with its letters at the beginnings of their words, or in order), or all of one file
    when `path` is given (relative to the root). With several of these, what meets all. Answer: `SymbolList`."""

    root: str
    name: str | None = None
    path: str | None = None
    limit: int = 200
    query: str | None = None


class References(msgspec.Struct, tag="references", frozen=True):
    """References by `name`; with `path` (relative to the root) and `line`, those that mean the one definition of
    that name there, or the one that a reference there means. Answer: `ReferenceList`."""

    root: str
    name: str
    limit: int = 200
    path: str = ""
    line: int = -1


class PackRequest(msgspec.Struct, tag="pack", frozen=True):
    """What should the model read before it writes at this cursor? `path` is absolute; `text` is the whole document
    as the editor has it. `header_tokens` is what the prompt adds to each segment beside its path line and text."""

    path: str
    text: str
    line: int
    character: int
    budget: int
    tokenizer: TokenizerRef
    root: str | None = None
    header_tokens: int = 1
    base_budget: int = 0
    """Tokens of the base before all else, beside `budget`; 0: none. Its segments are not in the answer: `Pack.base`."""
    base: str = ""
    """The base that whoever asks has, by its id; without one, or of a base that is not known any longer, the latest."""
    base_limit: int = -1
    """So many tokens of that base may be used, as long as the engine has not read more; -1: all."""
    unhurried: bool = False
    """Nobody waits: where the budget has grown the pack is chosen anew, not filled behind what the last one held."""


class BaseRequest(msgspec.Struct, tag="base", frozen=True):
    """The base of a root: files that hardly change, in the order in which prompts begin with them. The latest with this
    tokenizer and budget, made when there is none; with `repack`, made anew if that is due. Answer: `BaseAnswer`."""

    root: str
    tokenizer: TokenizerRef
    budget: int
    header_tokens: int = 1
    repack: bool = False
    id: str = ""
    """Of one that a pack named; the latest where it is not known any longer."""
    known: str = ""
    """A base that whoever asks has, by its id: of its segments only the places are told. One that is made for another
    tokenizer is of no use."""


class StatusRequest(msgspec.Struct, tag="status", frozen=True):
    root: str | None = None


class Forget(msgspec.Struct, tag="forget", frozen=True):
    """Remove what is stored of this root and of no other one; with `root=None`, everything. Refused while somebody
    else has it open. The folder need not be there any longer. Answer: `Done`."""

    root: str | None = None


class Shutdown(msgspec.Struct, tag="shutdown", frozen=True):
    """Finish what is being written and go."""


Request = (
    Hello
    | OpenRoot
    | CloseRoot
    | Overlay
    | Search
    | Symbols
    | References
    | PackRequest
    | BaseRequest
    | StatusRequest
    | Forget
    | Shutdown
)

# ---------------------------------------------------------------- answers


class Welcome(msgspec.Struct, tag="welcome", frozen=True):
    protocol: int
    version: str
    pid: int


class Done(msgspec.Struct, tag="done", frozen=True):
    pass


class Definition(msgspec.Struct, tag="definition", frozen=True):
    path: str
    name: str
    kind: str
    """`class`, `function`, `method`, `constant`, `interface`, `type`, `enum`, `module`, `macro`, …"""
    start_line: int
    end_line: int
    container: str = ""
    signature: str = ""
    docstring: str = ""
    """Its first paragraph in one line."""
    name_line: int = -1
    """Where the name itself stands, -1 where nothing says."""
    name_column: int = 0


class Reference(msgspec.Struct, tag="reference", frozen=True):
    """One place that refers to a name. What has several equally good targets is there once for each."""

    path: str
    name: str
    line: int
    column: int = 0
    kind: str = "name"
    """`call`, `class`, `type`, `import` or `name`."""
    target_path: str = ""
    """Where what is meant is defined; a folder ends in `/`. Empty when nothing was found."""
    target_line: int = -1
    """Of its name; -1 for a module as a whole."""
    how: str = ""
    """How it was found: `import`, `same file`, `member of C`, …"""
    unresolved: str = ""
    """Why nothing was found: `receiver unknown`, `not in this repository`, … Exactly one of this and
    `target_path` is empty."""


class SymbolList(msgspec.Struct, tag="symbol_list", frozen=True):
    definitions: list[Definition]


class ReferenceList(msgspec.Struct, tag="reference_list", frozen=True):
    references: list[Reference]
    note: str = ""
    """Why something that one would expect is not here: no such definition, the index is being built …"""


class Hit(msgspec.Struct, tag="hit", frozen=True):
    path: str
    start_line: int
    end_line: int
    score: float
    text: str
    why: str
    """`symbol`, `text`, `vector`, or several joined by `+`."""


class Hits(msgspec.Struct, tag="hits", frozen=True):
    hits: list[Hit]
    note: str = ""
    """What was not asked and why, e.g. `vectors: 120 of 900 chunks embedded`."""


class Segment(msgspec.Struct, frozen=True):
    """A run of whole lines of one file, beginning at a non-blank line and ending in exactly one newline."""

    path: str
    start_line: int
    end_line: int
    tokens: int
    """Of the text, and of its path line and `header_tokens` unless the segment before it is of the same path: what it
    takes of the budget."""
    layer: Layer
    reason: str
    text: str
    ids: list[int] = []
    """Token ids of `text` alone; empty when the tokenizer is an estimate."""


class Pack(msgspec.Struct, tag="pack_answer", frozen=True):
    budget: int
    tokens: int
    segments: list[Segment]
    repo_name: str = ""
    root: str = ""
    relative_path: str = ""
    """The cursor's file below `root`."""
    notes: list[str] = []
    """Why something that one would expect is not here: index not ready, excluded file, no budget …"""
    base: str = ""
    """The base before `segments`, by its id; empty where there is none. `IndexClient.pack` puts it there."""
    base_segments: int = 0
    """So many of its segments, from its beginning, are still true for this cursor."""


class BaseAnswer(msgspec.Struct, tag="base_answer", frozen=True):
    id: str
    """Of its content and of what it is made for: equal bases have equal ids. Empty where there is nothing to show."""
    tokens: int
    segments: list[Segment]
    repo_name: str = ""
    notes: list[str] = []
    known: str = ""
    """The base to which `places` refers; empty where all segments are here. `IndexClient.base` puts them together."""
    places: list[int] = []
    """For each segment its number in the known base, or -1 for the next of `segments`."""


class Skipped(msgspec.Struct, frozen=True):
    path: str
    reason: str


class RootStatus(msgspec.Struct, tag="root_status", frozen=True):
    root: str
    state: Literal["listing", "indexing", "ready", "failed"]
    files: int = 0
    files_done: int = 0
    symbols: int = 0
    references: int = 0
    chunks: int = 0
    vectors: int = 0
    counted: int = 0
    """Distinct contents whose token ids are stored, by the tokenizer that was last asked for in this root."""
    source_bytes: int = 0
    seconds: float = 0.0
    """Of the last full pass, without vectors."""
    stage: str = ""
    """What is under way, as in `ProgressNote`; empty when nothing is."""
    rate: float = 0.0
    """Of that, files or chunks per second; 0 while nobody can tell."""
    seconds_left: float = 0.0
    """The same."""
    files_read: int = 0
    """Files whose facts were taken out since this root was opened; what the store knew is not among them."""
    skipped: dict[str, int] = {}
    """Reason → number of files."""
    skipped_examples: list[Skipped] = []
    redacted: int = 0
    """Lines of which a value was replaced, since it looks like a secret."""
    error: str = ""
    """Why the state is `failed`, or what went wrong since the index was whole."""
    note: str = ""
    """What a person should know of an index that works: git refused, changes are polled …"""
    watching: str = ""
    """`events`, `polling`, or empty while nothing is watched."""


class ServiceStatus(msgspec.Struct, tag="service_status", frozen=True):
    version: str
    pid: int
    store: str
    store_bytes: int
    """Of all that it holds, for all roots."""
    rss_bytes: int
    embedder: str
    """Name and state of the embedder, or why there is none."""
    roots: list[RootStatus]
    store_kinds: dict[str, int] = {}
    """`store_bytes` by table: `files`, `references`, `chunks`, `manifest`, `vectors-…`, `token_ids-…`, `other`."""
    store_note: str = ""
    """What a person should know of it: that it was damaged and is made anew."""


Answer = Welcome | Done | SymbolList | ReferenceList | Hits | Pack | BaseAnswer | RootStatus | ServiceStatus

# ---------------------------------------------------------------- envelopes


class Call(msgspec.Struct, tag="call", frozen=True):
    id: int
    request: Request


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    """Nobody waits for `id` any longer. No answer is sent for it."""

    id: int


class Reply(msgspec.Struct, tag="reply", frozen=True):
    id: int
    answer: Answer


class Failure(msgspec.Struct, tag="failure", frozen=True):
    id: int
    message: str
    """What happened, to what, and what to do; fit to be shown to a person."""


class ProgressNote(msgspec.Struct, tag="progress", frozen=True):
    """Progress of call `id`."""

    id: int
    stage: Literal["listing", "parsing", "writing", "embedding", "counting"]
    done: int
    total: int
    rate: float = 0.0
    """Per second; 0 while nobody can tell."""
    seconds_left: float = 0.0
    """The same."""


Inbound = Call | Cancel
Outbound = Reply | Failure | ProgressNote

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_inbound = msgspec.msgpack.Decoder(Inbound)
_outbound = msgspec.msgpack.Decoder(Outbound)


class ProtocolError(Exception):
    """The other side sent something that is no frame of this protocol."""


def frame(message: Inbound | Outbound) -> bytes:
    """The bytes of one message as they go over the socket."""
    body = _encoder.encode(message)
    return _LENGTH.pack(len(body)) + body


async def read_frame(reader: asyncio.StreamReader) -> bytes | None:
    """The body of the next frame, None at a clean end. Raises ProtocolError for an oversize or cut frame."""
    try:
        head = await reader.readexactly(_LENGTH.size)
        (length,) = _LENGTH.unpack(head)
        if length > MAX_FRAME_BYTES:
            raise ProtocolError(f"a frame of {length} bytes is over the limit of {MAX_FRAME_BYTES}")
        return await reader.readexactly(length)
    except asyncio.IncompleteReadError as cut:
        if cut.partial:
            raise ProtocolError("the connection ended inside a frame") from cut
        return None


def decode_inbound(body: bytes) -> Inbound:
    """Raises msgspec.DecodeError when `body` is not a message that a client may send."""
    return _inbound.decode(body)


def decode_outbound(body: bytes) -> Outbound:
    """Raises msgspec.DecodeError when `body` is not a message that the service may send."""
    return _outbound.decode(body)
