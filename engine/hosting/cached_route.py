"""`POST /foreword/cached` on the host: how many leading tokens of a prompt its prefix cache holds now.

The body is that of `/foreword/generate`; nothing is computed, and nothing in the cache becomes younger by it.
"""

from __future__ import annotations

from array import array
from typing import Any

import msgspec
import numpy
from starlette.requests import Request
from starlette.responses import Response

from engine.endpoints.token_body import CACHED_PATH, BodyError, decode
from engine.hosting.token_route import refused
from engine.scheduler.cached_prefix import ANSWERED, WIDE_CODE, question


def add_cached_route(app: Any, manager: Any) -> None:
    """`manager` is SGLang's tokenizer manager, which talks to the scheduler."""
    from sglang.srt.managers.io_struct import GetInternalStateReq

    async def cached(request: Request) -> Response:
        try:
            _, ids = decode(await request.body())
        except BodyError as error:
            return refused(str(error))
        wide = array(WIDE_CODE)
        wide.frombytes(numpy.frombuffer(ids, dtype=numpy.int32).astype(numpy.int64).tobytes())
        manager.auto_create_handle_loop()
        asked = GetInternalStateReq(rid=question(wide))
        (told, *others) = await manager.get_internal_state_communicator(asked)
        # several schedulers have a cache each, and which one a prompt would go to is not known before
        found = None if others else told.internal_state.get(ANSWERED)
        body = {"cached_tokens": found, "prompt_tokens": len(wide)}
        return Response(msgspec.json.encode(body), media_type="application/json")

    app.add_route(CACHED_PATH, cached, methods=["POST"], include_in_schema=False)
