"""Fetches an embedding model from the model hub, as a child process: `python -I -m indexer.embedding.hub NAME FOLDER`.

A child, because huggingface_hub reads its time-outs when it is imported and because a name server that does not
answer cannot be interrupted from within."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

ANSWER_TIMEOUT_S = 5
"""For the hub's first answer: a hub in reach takes a fraction of this, and elsewhere nobody waits long."""

READ_TIMEOUT_S = 30

WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]
UNWANTED = ["onnx/*", "openvino/*"]
"""The same weights for other programs."""


def main(argv: list[str]) -> int:
    """0 when the whole model stands in the folder, 1 with the reason on stderr."""
    name, folder = argv
    os.environ["HF_HUB_ETAG_TIMEOUT"] = str(ANSWER_TIMEOUT_S)
    os.environ["HF_HUB_DOWNLOAD_TIMEOUT"] = str(READ_TIMEOUT_S)
    import httpx
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    target = Path(folder)
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".hub-") as scratch:
            snapshot_download(
                name,
                local_dir=Path(scratch) / "model",
                allow_patterns=WANTED,
                ignore_patterns=UNWANTED,
                etag_timeout=ANSWER_TIMEOUT_S,
            )
            (Path(scratch) / "model").rename(target)
    except (
        httpx.HTTPError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        OSError,
    ) as error:
        print(str(error).splitlines()[0] if str(error) else type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
