"""What is never indexed, and what `.forewordignore` may change about it."""

import os
from pathlib import Path

import pytest

from indexer.files.exclusions import Exclusions, why_content_excluded, why_excluded, why_file_excluded

KEY_LINE = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj"


@pytest.mark.parametrize(
    ("path", "size", "reason"),
    [
        ("src/main.py", 10, None),
        ("package-lock.json", 10, None),
        ("src/environment.ts", 10, None),
        ("src/credentials.py", 10, None),
        ("keys.py", 10, None),
        (".docker/Dockerfile", 10, None),
        (".github/workflows/ci.yml", 10, None),
        (".env", 10, "environment"),
        ("app/.env.local", 10, "environment"),
        ("prod.env", 10, "environment"),
        ("a/ID_RSA", 10, "key or credentials"),
        ("tls/server.pem", 10, "key or credentials"),
        ("tls/server.KEY", 10, "key or credentials"),
        ("credentials.json", 10, "key or credentials"),
        (".docker/config.json", 10, "key or credentials"),
        ("home/.ssh/config", 10, "key or credentials"),
        (".vault-token", 10, "key or credentials"),
        (".env~", 10, "environment"),
        (".env.swp", 10, "environment"),
        ("..env.swp", 10, "environment"),
        ("secrets.yaml~", 10, "key or credentials"),
        ("id_rsa~", 10, "key or credentials"),
        ("id_rsa.bak", 10, "key or credentials"),
        (".id_rsa.swo", 10, "key or credentials"),
        ("server.key.old.bak", 10, "key or credentials"),
        ("server.pem.orig", 10, "key or credentials"),
        ("terraform.tfstate.backup", 10, "key or credentials"),
        ("prod.auto.tfvars.json", 10, "key or credentials"),
        ("home/.docker/config.json.bak", 10, "key or credentials"),
        ("main.py.bak", 10, None),
        ("docs/backup.md~", 10, None),
        ("my.docker/config.json", 10, None),
        ("terraform.tfstate", 10, "key or credentials"),
        ("web/jquery.min.js", 10, "minified"),
        ("a/logo.PNG", 10, "binary"),
        ("font.eot", 10, "binary"),
        ("x.zip", 10, "binary"),
        ("node_modules/x/index.js", 10, "node_modules"),
        ("big.py", 1_000_001, "larger than 1 MB"),
        ("big.py", 1_000_000, None),
        ("big.py", None, None),
    ],
)
def test_defaults(path: str, size: int | None, reason: str | None) -> None:
    found = why_excluded(path, size)
    assert (found is None) if reason is None else (found is not None and reason in found)


@pytest.mark.parametrize(
    ("patterns", "path", "excluded"),
    [
        ("docs/\n", "docs/a.md", True),
        ("docs/\n", "src/docs/a.md", True),
        ("/docs/\n", "src/docs/a.md", False),
        ("*.md\n!keep.md\n", "keep.md", False),
        ("*.md\n!keep*\n", "keep.md", False),
        ("!fixtures/test.pem\n", "fixtures/test.pem", False),
        ("!fixtures/test.pem\n", "fixtures/other.pem", True),
        ("!*.pem\n", "fixtures/test.pem", True),
        ("!node_modules/mine/\n", "node_modules/mine/a.js", False),
        ("!node_modules/mine/\n", "node_modules/yours/a.js", True),
        ("# a comment\n\n", "a.py", False),
    ],
)
def test_forewordignore(patterns: str, path: str, excluded: bool) -> None:
    assert (Exclusions(patterns).why_excluded(path, 10) is not None) == excluded


def test_reincluded_files_still_have_a_limit() -> None:
    rules = Exclusions("!big.py\n")
    assert rules.why_excluded("big.py", 2_000_000) is None
    assert rules.why_excluded("big.py", 9_000_000) == "larger than 8 MB"


def test_folders_are_pruned_unless_something_in_them_is_taken_back() -> None:
    assert Exclusions().why_folder_excluded("a/node_modules")
    assert Exclusions("!node_modules/mine/\n").why_folder_excluded("node_modules") is None
    assert Exclusions("gen/\n").why_folder_excluded("gen")


@pytest.mark.parametrize(
    ("data", "reincluded", "reason"),
    [
        (b"", False, None),
        ("grüße\n".encode(), False, None),
        (b"\xef\xbb\xbfx = 1\n", False, None),
        (b"a\0b", False, "binary"),
        ("grüße".encode("utf-16"), True, "binary"),
        ("grüße".encode("latin-1"), True, "not UTF-8"),
        (f"-----BEGIN RSA PRIVATE KEY-----\n{KEY_LINE}\n".encode(), False, "private key"),
        (f"-----BEGIN PRIVATE KEY-----\r\n{KEY_LINE}\r\n".encode(), False, "private key"),
        (f'KEY = "-----BEGIN EC PRIVATE KEY-----\\n{KEY_LINE}"'.encode(), False, "private key"),
        (
            f"-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: A,B\n\n{KEY_LINE}".encode(),
            False,
            "private key",
        ),
        (f"-----BEGIN PRIVATE KEY-----\n{KEY_LINE}\n".encode(), True, None),
        (b'if line == "-----BEGIN PRIVATE KEY-----":\n    return True\n', False, None),
        (f"-----BEGIN PUBLIC KEY-----\n{KEY_LINE}\n".encode(), False, None),
        (b"x" * 10_000_000, False, "a line of more than"),
        (b"x" * 60_000 + b"\n" * 1000, False, "a line of more than"),
        (b"x" * 60_000 + b"\n", True, None),
        ((b"y" * 2_000 + b"\n") * 30, False, "on average"),
        ((b"y" * 80 + b"\n") * 3000, False, None),
    ],
)
def test_content(data: bytes, reincluded: bool, reason: str | None) -> None:
    found = why_content_excluded(data, reincluded=reincluded)
    assert (found is None) if reason is None else (found is not None and reason in found)


def test_one_file_on_disk(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x")
    assert why_file_excluded(tmp_path / "a.py", tmp_path) is None
    assert why_file_excluded(tmp_path / "not-yet-saved.py", tmp_path) is None
    assert why_file_excluded(tmp_path / ".env", tmp_path)
    assert why_file_excluded(tmp_path.parent / "b.py", tmp_path)
    (tmp_path / ".forewordignore").write_text("a.py\n")
    assert why_file_excluded(tmp_path / "a.py", tmp_path) == "named in .forewordignore"


SECRETS_AT_HOME = [".aws/config", ".aws/credentials", ".kube/config", ".docker/config.json"]
SECRETS_AT_HOME += [".ssh/config", ".gnupg/deep/notes.txt", ".config/gh/hosts.yml"]


@pytest.mark.parametrize("path", SECRETS_AT_HOME)
def test_a_secret_folder_as_root_is_no_way_in(tmp_path: Path, path: str) -> None:
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text("x")
    assert why_file_excluded(file, file.parent)
    assert Exclusions.load(file.parent).why_excluded(file.name, 1)
    (tmp_path / "link").symlink_to(file.parent)
    assert why_file_excluded(tmp_path / "link" / file.name, tmp_path / "link")
    assert why_file_excluded(tmp_path / "link" / file.name, tmp_path)
    assert why_file_excluded(tmp_path / "work" / ".." / path, tmp_path / "work")


def test_the_folder_docker_is_secret_as_a_root_and_not_in_a_project(tmp_path: Path) -> None:
    assert why_file_excluded(tmp_path / ".docker/token.txt", tmp_path / ".docker")
    assert why_file_excluded(tmp_path / ".docker/Dockerfile", tmp_path) is None


def test_other_folders_above_a_root_exclude_nothing(tmp_path: Path) -> None:
    root = tmp_path / "node_modules" / "mine"
    root.mkdir(parents=True)
    assert why_file_excluded(root / "a.js", root) is None


def test_a_link_is_judged_by_where_it_leads(tmp_path: Path) -> None:
    root = tmp_path / "work"
    root.mkdir()
    (tmp_path / "home/.aws").mkdir(parents=True)
    (root / ".forewordignore").write_text("hidden.txt\n!taken-back.txt\n")
    for name, target in {
        "notes.txt": ".env",
        "config.txt": "../home/.aws/config",
        "other.txt": "hidden.txt",
        "taken-back.txt": "../home/.aws/config",
        "harmless.txt": "../elsewhere/a.txt",
    }.items():
        (root / name).symlink_to(target)
    excluded = {link.name for link in root.iterdir() if why_file_excluded(link, root)}
    assert excluded == {"notes.txt", "config.txt", "other.txt", "taken-back.txt"}


def test_rules_that_cannot_be_read_are_a_reason(tmp_path: Path) -> None:
    (tmp_path / ".forewordignore").mkdir()
    assert "cannot be read" in (why_file_excluded(tmp_path / "a.py", tmp_path) or "")
    (tmp_path / ".forewordignore").rmdir()
    os.mkfifo(tmp_path / ".forewordignore")
    assert "not a regular file" in (why_file_excluded(tmp_path / "a.py", tmp_path) or "")
    (tmp_path / ".forewordignore").unlink()
    (tmp_path / ".forewordignore").write_text("")
    (tmp_path / ".forewordignore").chmod(0)
    if os.getuid() != 0:  # root reads everything
        assert "cannot be read" in (why_file_excluded(tmp_path / "b.py", tmp_path) or "")
