"""Which embedder the service uses, and who said so.

One service serves every client of a user, so there is one answer: the environment variable FOREWORD_EMBEDDER if the
service was started with it; else `index.json` in Foreword's configuration folder; else the first client that names one,
for as long as the service lives; else the default. Whoever names another is told by the status."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import platformdirs

NONE = "none"
"""Named instead of a model: no vectors."""

ENVIRONMENT = "FOREWORD_EMBEDDER"


class EmbedderSettings(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    model: str = ""
    """An absolute folder with a sentence-transformers model, or its name on the model hub, or `none`; empty: the
    default."""
    query_prefix: str | None = None
    document_prefix: str | None = None
    """What stands before each text; None: what the model itself says."""
    max_tokens: int = 0
    """Of a text; 0: as many as the model reads, but no more than a chunk is worth."""

    def suffix(self) -> str:
        """Of a model's fingerprint: what of these changes its vectors of documents."""
        if self.document_prefix is None and not self.max_tokens:
            return ""
        said = f"{self.document_prefix}\0{self.max_tokens}".encode()
        return "-" + hashlib.blake2b(said, digest_size=3).hexdigest()


class _File(msgspec.Struct, frozen=True):
    embedder: EmbedderSettings = EmbedderSettings()


def configuration_file() -> Path:
    return platformdirs.user_config_path("foreword") / "index.json"


class EmbedderRule:
    """Whose word counts. Belongs to one service."""

    def __init__(self) -> None:
        self.settings = EmbedderSettings()
        self.fault = ""
        """Why what was configured cannot be read."""
        self._by = ""
        self._refused: dict[str, None] = {}
        named = os.environ.get(ENVIRONMENT, "")
        if named:
            self.settings, self._by = EmbedderSettings(model=named), ENVIRONMENT
            return
        file = configuration_file()
        try:
            self.settings = msgspec.json.decode(file.read_bytes(), type=_File).embedder
            self._by = str(file)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as failed:
            self.fault = f"{file} cannot be read: {failed}"
            self._by = str(file)

    def ask(self, model: str) -> bool:
        """A client names a model; gives whether this changes what is used."""
        if not model or model == self.settings.model:
            return False
        if self._by:
            self._refused[model] = None
            return False
        self.settings, self._by = EmbedderSettings(model=model), "the first client that named one"
        return True

    @property
    def note(self) -> str:
        """For the status: which wishes are not followed, and why."""
        if not self._refused:
            return ""
        return f"{', '.join(self._refused)} is not used: {self._by} says {self.settings.model or 'otherwise'}"
