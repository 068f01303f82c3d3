"""Fetch one file from the model hub, as a child process: `python -I -m engine.weights.hub REPO FILE FOLDER`.

A child, because huggingface_hub reads its time-outs when it is imported and because a name server that does
not answer cannot be interrupted from within.
Prints `found` once the hub has said that the file is there for us.
"""

from __future__ import annotations

import os
import sys

ANSWER_TIMEOUT_S = 5
"""For the hub's first answer: a hub in reach takes a fraction of this, and elsewhere nobody waits long."""
READ_TIMEOUT_S = 30
FOUND = "found"


def main(argv: list[str]) -> int:
    """0 when the file stands in the folder, 1 with the reason on stderr."""
    repo, name, folder = argv
    os.environ["HF_HUB_ETAG_TIMEOUT"] = str(ANSWER_TIMEOUT_S)
    os.environ["HF_HUB_DOWNLOAD_TIMEOUT"] = str(READ_TIMEOUT_S)
    # Plain HTTP writes to one file that grows, can be watched and is resumed; Xet keeps a cache of its own.
    os.environ["HF_HUB_DISABLE_XET"] = "1"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    import httpx
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled

    try:
        get_hf_file_metadata(hf_hub_url(repo, name), timeout=ANSWER_TIMEOUT_S)
        print(FOUND, flush=True)
        hf_hub_download(repo, name, local_dir=folder, etag_timeout=ANSWER_TIMEOUT_S)
    except (httpx.HTTPError, HfHubHTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled, OSError) as error:
        print(str(error).splitlines()[0] if str(error) else type(error).__name__, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
