"""`POST /foreword/generate` on the host: SGLang's `/generate` for a prompt that comes as bytes.

SGLang's own route has FastAPI parse the body, checks it against a contract, and validates each id; for 262,144 ids
that takes longer than finding them cached. Here they stay packed until SGLang packs them for its scheduler.
"""

from __future__ import annotations

from array import array
from typing import Any

import numpy
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from engine.endpoints.token_body import PATH, BodyError, decode

WIDE_CODE = "q"
"""64-bit integers: what SGLang's scheduler takes."""


def add_token_route(app: Any, vocabulary: int) -> None:
    """`vocabulary` is how many ids the model has."""
    from sglang.srt.entrypoints.http_server import serve_generate_request
    from sglang.srt.managers.io_struct import GenerateReqInput

    async def generate(request: Request) -> Response:
        try:
            head, ids = decode(await request.body())
        except BodyError as error:
            return refused(str(error))
        narrow = numpy.frombuffer(ids, dtype=numpy.int32)
        least, most = int(narrow.min()), int(narrow.max())
        if least < 0 or most >= vocabulary:
            return refused(f"token ids are from 0 to {vocabulary - 1}, and these from {least} to {most}")
        wide = array(WIDE_CODE)
        wide.frombytes(narrow.astype(numpy.int64).tobytes())
        asked: Any = GenerateReqInput(
            rid=head.rid,
            input_ids=wide,  # pyright: ignore[reportArgumentType]
            sampling_params=head.sampling_params,
            stream=head.stream,
            priority=head.priority,
            return_logprob=head.return_logprob is True,
        )
        answer: Response = await serve_generate_request(asked, request)
        return answer

    app.add_route(PATH, generate, methods=["POST"], include_in_schema=False)


def refused(why: str) -> Response:
    return JSONResponse({"error": {"message": why, "type": "invalid_request_error", "code": 400}}, 400)
