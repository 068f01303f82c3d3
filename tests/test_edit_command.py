"""`foreword edit` as a person runs it: a diff on stdout, files only with --apply, exit codes as the README has them.

The real command and a real index service; what the model writes is scripted, by a real HTTP server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest
from misbehaving import EVENTS, Exchange, served

from engine.editing.blocks import Replace, Search, write_all

FOREWORD = str(Path(sys.executable).with_name("foreword"))
SHOP = "def total(items):\n    result = 0\n    for item in items:\n        result = item\n    return result\n"
FIXED = SHOP.replace("result = item\n", "result += item\n")
ANSWER = write_all([Replace("shop.py", Search("        result = item\n"), "        result += item\n")])


@pytest.fixture
def shop(tmp_path) -> Path:
    root = tmp_path / "shop"
    root.mkdir()
    (root / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (root / "shop.py").write_text(SHOP)
    for name in ("run", "cache"):
        (tmp_path / name).mkdir(mode=0o700)
    return root


async def foreword(root: Path, answer: str | list[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `foreword edit` with a model that answers so, one after the other."""
    answers = [answer] if isinstance(answer, str) else list(answer)

    async def behave(exchange: Exchange) -> None:
        if not exchange.path.endswith("/completions") or "chat" in exchange.path:
            await exchange.answer(404, b"{}")
            return
        await exchange.send(EVENTS)
        text = answers.pop(0) if len(answers) > 1 else answers[0]
        await exchange.event({"choices": [{"index": 0, "text": text, "finish_reason": None}]})
        await exchange.event({"choices": [{"index": 0, "text": "", "finish_reason": "stop"}]})
        await exchange.send(b"data: [DONE]\n\n")

    own = {"XDG_RUNTIME_DIR": str(root.parent / "run"), "XDG_CACHE_HOME": str(root.parent / "cache")}
    quiet = {"FOREWORD_EMBEDDER": "none", "FOREWORD_SERVICE_IDLE_S": "2", "COLUMNS": "200"}
    async with served(behave) as (url, _):
        process = await asyncio.create_subprocess_exec(
            FOREWORD,
            "edit",
            *arguments,
            *("--url", url, "--model", "big-30b"),
            cwd=root,
            env={**os.environ, **own, **quiet},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_diff_and_then_the_change(shop):
    code, out, err = await foreword(shop, ANSWER, "-m", "Sum up.", "shop.py")
    assert code == 0, err
    assert out.startswith("diff --git a/shop.py b/shop.py\n--- a/shop.py\n+++ b/shop.py\n@@ ")
    assert "-        result = item\n+        result += item\n" in out
    assert "not written" in err and "parses" in err and (shop / "shop.py").read_text() == SHOP

    code, out, err = await foreword(shop, ANSWER, "-m", "Sum up the total.", "--apply", "--json")
    assert code == 0, err
    told = json.loads(out)
    assert told["applied"] and told["files"][0]["path"] == "shop.py", "search has found the file"
    assert told["figures"]["model"] == "big-30b" and (shop / "shop.py").read_text() == FIXED


async def test_nothing_is_changed(shop, tmp_path):
    code, out, err = await foreword(shop, "I will not.", "-m", "Sum up.", "shop.py", "--apply")
    assert (code, out) == (3, "") and "no block" in err and (shop / "shop.py").read_text() == SHOP
    code, out, err = await foreword(shop, ANSWER, "-m", " ", "shop.py")
    assert code == 2 and "empty" in err
    (tmp_path / "elsewhere.py").write_text("x = 1\n")
    code, out, err = await foreword(shop, ANSWER, "-m", "x", "shop.py", str(tmp_path / "elsewhere.py"))
    assert code == 1 and "is not below" in err


PAGE = "from shop import total\n\n\ndef show(items):\n    print(total(items))\n"
PLAN = "change shop.py: total\nchange page.py: show\n"
SHOWN = write_all(
    [Replace("page.py", Search("    print(total(items))\n"), "    print(total(items), 'in all')\n")]
)


async def test_an_edit_of_several_files_is_planned(shop):
    (shop / "page.py").write_text(PAGE)
    asked = ("-m", "Let `total` sum up, and say so.", "shop.py")
    code, out, err = await foreword(shop, PLAN, *asked, "--plan")
    assert (code, out) == (0, PLAN), err
    code, out, err = await foreword(shop, PLAN, *asked, "--plan", "--json")
    assert [each["path"] for each in json.loads(out)["plan"]] == ["shop.py", "page.py"]

    code, out, err = await foreword(shop, [PLAN, ANSWER, "I will not.", *["No."] * 2], *asked, "--apply")
    assert code == 3 and "missing: page.py" in err and "nothing is written without --part" in err
    assert "a/shop.py" in out and (shop / "shop.py").read_text() == SHOP, "it is shown, and not written"

    code, out, err = await foreword(shop, [PLAN, ANSWER, SHOWN], *asked, "--apply")
    assert code == 0 and f"The plan:\n{PLAN}" in err and "a/page.py" in out and "a/shop.py" in out
    assert (shop / "shop.py").read_text() == FIXED and "in all" in (shop / "page.py").read_text()

    (shop / "shop.py").write_text(SHOP)
    code, out, err = await foreword(shop, [PLAN, ANSWER, "I will not."], *asked, "--apply", "--part")
    assert code == 0 and "missing: page.py" in err and (shop / "shop.py").read_text() == FIXED


WRONG = write_all([Replace("shop.py", Search("        result = item\n"), "        result -= item\n")])
CHECK = f"{sys.executable} -c \"from shop import total; n = total([1, 2]); print('total', n); assert n == 3\""


async def test_a_check_after_the_change(shop):
    code, out, err = await foreword(shop, ANSWER, "-m", "Sum up.", "shop.py", "--apply", "--check", CHECK)
    assert code == 0, err
    assert "check passed" in err and "+        result += item\n" in out

    (shop / "shop.py").write_text(SHOP)
    code, out, err = await foreword(shop, WRONG, "-m", "Sum up.", "shop.py", "--apply", "--check", CHECK)
    assert code == 1 and "check failed: exit status 1" in err and "total -3" in err
    assert "-=" in (shop / "shop.py").read_text(), "what is written stays: the person decides"


async def test_one_repair_of_what_the_check_finds(shop):
    arguments = ("-m", "Sum up.", "shop.py", "--apply", "--check", CHECK, "--repair")
    code, out, err = await foreword(shop, [WRONG, ANSWER], *arguments)
    assert code == 0, err
    assert "check failed" in err and "check passed" in err and (shop / "shop.py").read_text() == FIXED
    assert "-        result = item\n+        result += item\n" in out, (
        "the diff is from what was there at first"
    )

    (shop / "shop.py").write_text(SHOP)
    code, out, err = await foreword(shop, [WRONG, "I will not."], *arguments, "--json")
    told = json.loads(out)
    assert code == 1 and not told["repaired"] and "no block" in told["no_repair"] and len(told["checks"]) == 1
    assert "total -3" in told["checks"][0]["tail"] and "-=" in (shop / "shop.py").read_text()


async def test_an_edit_of_several_files_is_repaired(shop):
    (shop / "page.py").write_text(PAGE)
    asked = ("-m", "Let `total` sum up, and say so.", "shop.py", "--apply", "--check", CHECK, "--repair")
    code, out, err = await foreword(shop, [PLAN, WRONG, SHOWN, ANSWER, SHOWN], *asked)
    assert code == 0, err
    assert "check failed" in err and "check passed" in err
    assert "not repaired" not in err
    assert (shop / "shop.py").read_text() == FIXED and "in all" in (shop / "page.py").read_text()
    assert "a/page.py" in out and "+        result += item\n" in out, (
        "both files, from what was there at first"
    )


async def test_checks_that_make_no_sense(shop):
    for given in (("--check", "true"), ("--repair",), ("--apply", "--repair"), ("--apply", "--check", "'x")):
        code, out, err = await foreword(shop, ANSWER, "-m", "Sum up.", "shop.py", *given)
        assert (code, out) == (2, ""), err
    assert (shop / "shop.py").read_text() == SHOP
