"""Whether a name says that its value is a secret: `db_password` does, `password_field` and `tokenizer` do not."""

from __future__ import annotations

import functools
import re
from itertools import pairwise

_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_SECRETS = _set(
    "passwords passcode pwd pass pw secrets accesskey authkey secretkey privatekey credential credentials creds "
    "bearer authorization auth tokens dbpass"
)
_PASSWORDS = _set("passwords passcode pwd pass pw dbpass")

_ENDINGS = ("password", "passwd", "passphrase", "secret", "token", "apikey")
"""Of parts that are written as one word: `PGPASSWORD`."""

_KEYS = _set(
    "api access auth account client private priv service encryption encrypt signing sign master session shared db "
    "database storage secret subscription app consumer deploy webhook hmac jwt aes ssh rsa license admin user "
    "publishable write integration project functions host maps"
)
"""What makes a key more than a key of a dictionary when it stands before it."""

_ABOUT = _set(
    "type types url uri urls endpoint name names field fields label file filename path paths header headers hint "
    "prompt placeholder help text pattern regex regexp format algorithm alg length min max size count limit index "
    "kind class policy attribute attr column prefix suffix env var variable id ids title message msg error errors "
    "desc description doc docs docstring expiry expires expired ttl timeout lifetime budget mode method view form "
    "validator validators hasher hashers changed reset template page link user username provider backend scheme "
    "schema scope scopes manager handler helper util utils test tests fixture usage required missing invalid wrong "
    "strength generator location dir folder ref version"
)
"""What follows a secret's name when the value is something about it."""


@functools.lru_cache(maxsize=4096)
def names_a_secret(name: str) -> bool:
    """Whether what has this name (an identifier, a key, dotted or not) is a secret itself."""
    parts = [part.lower() for part in _PART.findall(name)]
    while parts and parts[-1].isdigit():
        parts.pop()
    if not parts or parts[-1] in _ABOUT:
        return False
    return (
        not _SECRETS.isdisjoint(parts)
        or any(part.endswith(_ENDINGS) for part in parts)
        or any(part in _KEYS and after in ("key", "keys") for part, after in pairwise(parts))
    )


@functools.lru_cache(maxsize=4096)
def names_a_password(name: str) -> bool:
    """Whether people choose the value themselves, so that it may hold words."""
    parts = [part.lower() for part in _PART.findall(name)]
    return names_a_secret(name) and any(
        part in _PASSWORDS or part.endswith(("password", "passwd", "passphrase")) for part in parts
    )
