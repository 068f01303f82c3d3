"""The body of `POST /foreword/generate`: a prompt's token ids as bytes, where JSON takes seven characters for one.

Four bytes of length (little endian), so many bytes of JSON (`TokenRequest`), then the ids as 32-bit integers, little
endian. 262,144 ids are 1 MiB, and neither side turns them into Python's integers one by one.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from typing import Any

import msgspec

PATH = "/foreword/generate"
CACHED_PATH = "/foreword/cached"
"""Takes the same body, and tells how much of the prompt is cached instead of going on with it."""
MEDIA_TYPE = "application/vnd.foreword.tokens"
LENGTH_BYTES = 4
ID_BYTES = 4
ID_CODE = "i"
"""array's code for 32-bit integers on every platform that SGLang runs on."""


class BodyError(Exception):
    """Not such a body; the message says where it goes wrong."""


class TokenRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All but the prompt; the fields are those of SGLang's `/generate`."""

    rid: str
    sampling_params: dict[str, Any]
    stream: bool = True
    priority: int = 0
    return_logprob: bool | msgspec.UnsetType = msgspec.UNSET
    """Left out where it is not wanted: hosts of before do not know it."""


def encode(request: TokenRequest, ids: Sequence[int]) -> bytes:
    """Raises OverflowError for an id that is no 32-bit integer."""
    head = msgspec.json.encode(request)
    packed = ids if isinstance(ids, array) and ids.typecode == ID_CODE else array(ID_CODE, ids)
    return b"".join((len(head).to_bytes(LENGTH_BYTES, "little"), head, _little_endian(packed).tobytes()))


def decode(body: bytes) -> tuple[TokenRequest, array[int]]:
    """Raises BodyError."""
    at = LENGTH_BYTES + int.from_bytes(body[:LENGTH_BYTES], "little")
    if len(body) < LENGTH_BYTES or at > len(body):
        raise BodyError(f"the body has {len(body)} bytes, and its first four say that the head ends at {at}")
    if (len(body) - at) % ID_BYTES or len(body) == at:
        raise BodyError(f"{len(body) - at} bytes of token ids: not one or more of {ID_BYTES} bytes each")
    try:
        request = msgspec.json.decode(body[LENGTH_BYTES:at], type=TokenRequest)
    except msgspec.DecodeError as error:
        raise BodyError(f"its head is no request: {error}") from error
    if "\0" in request.rid:
        raise BodyError("its rid holds a NUL character; an id is made of characters that can be printed")
    ids = array(ID_CODE)
    ids.frombytes(memoryview(body)[at:])
    return request, _little_endian(ids)


def _little_endian(ids: array[int]) -> array[int]:
    if sys.byteorder == "big":
        ids = ids[:]
        ids.byteswap()
    return ids
