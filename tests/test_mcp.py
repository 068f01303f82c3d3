"""`foreword mcp` as agents meet it: the real process, spoken to through the SDK's own client, over a real index."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from editor import FOREWORD
from index_service import client as index_client
from index_service import isolate, kill, repository, stop_service
from mcp import Client, StdioServerParameters

KEY = "AKIA" + "Q7ZP3LX5R2VN8M4T"
FILES = {
    "shop/__init__.py": "",
    "shop/pricing.py": (
        "class Prices:\n"
        '    """What things cost."""\n\n'
        "    def net_price(self, gross: float, group: str) -> float:\n"
        "        discount = 0.2\n"
        "        return gross * (1 - discount)\n\n\n"
        f'def upload(bucket):\n    aws_key = "{KEY}"\n    return bucket.put(aws_key)\n'
    ),
    "shop/order.py": (
        "from shop.pricing import Prices, upload\n\n\n"
        "def price_of_order(gross: float, group: str) -> float:\n"
        "    prices = Prices()\n"
        "    return prices.net_price(gross, group)\n"
    ),
    ".gitignore": "generated/\n",
    ".forewordignore": "private/\n",
    "private/plans.py": "def secret_plans():\n    return 'the_hidden_marker'\n",
    "generated/made.py": "def made_by_machine():\n    return 'the_hidden_marker'\n",
    ".env": "TOKEN=the_hidden_marker\n",
}
HIDDEN = ("private/plans.py", ".env")


@pytest.fixture
async def shop(monkeypatch, tmp_path):
    isolate(monkeypatch, tmp_path)
    yield repository(tmp_path / "repository", FILES)
    await stop_service()


@asynccontextmanager
async def agent(cwd: Path, *arguments: str):
    server = StdioServerParameters(command=FOREWORD, args=["mcp", *arguments], cwd=cwd, env=dict(os.environ))
    async with Client(server) as client:
        yield client


async def said(client: Client, tool: str, **arguments) -> str:
    result = await client.call_tool(tool, arguments)
    text = "\n".join(content.text for content in result.content)
    assert not result.is_error, text
    return text


async def refusal(client: Client, tool: str, **arguments) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error, result.content
    return result.content[0].text


async def test_handshake_and_tools(shop):
    async with agent(shop) as client:
        assert client.server_info.name == "foreword"
        assert str(shop) in (client.instructions or "")
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == {"search", "symbol", "references", "pack", "status"}
        for tool in tools.values():
            assert tool.description and tool.annotations.read_only_hint
            assert "ctx" not in tool.input_schema["properties"]
        assert tools["pack"].input_schema["required"] == ["path", "line"]


async def test_each_tool_answers_from_the_index(shop):
    async with agent(shop) as client:
        found = await said(client, "search", query="discount on the gross price")
        assert "shop/pricing.py:" in found and "return gross * (1 - discount)" in found
        shown = await said(client, "symbol", name="net_price")
        assert shown.startswith("shop/pricing.py:4-6  method Prices.net_price\n    def net_price(")
        assert "return gross * (1 - discount)" in shown
        used = await said(client, "references", name="net_price")
        assert "shop/order.py:6:19  return prices.net_price(gross, group)" in used
        assert "means shop/pricing.py:4" in used
        meant = await said(client, "references", name="Prices", path="shop/pricing.py", line=1)
        assert "shop/order.py:1:" in meant and "shop/order.py:5:" in meant
        pack = await said(client, "pack", path="shop/order.py", line=6, column=12)
        assert "shop/pricing.py:" in pack and "net_price" in pack
        assert "3 files" in await said(client, "status") or "ready" in await said(client, "status")


async def test_what_is_excluded_or_secret_never_comes_back(shop):
    async with agent(shop) as client:
        answers = [
            await said(client, "search", query="upload to a bucket with the key", limit=50),
            await refusal(client, "search", query="secret_plans"),
            await refusal(client, "search", query="made_by_machine"),
            (upload := await said(client, "symbol", name="upload")),
            await said(client, "pack", path="shop/order.py", line=6, column=12),
            await said(client, "status"),
        ]
        answers += [
            await refusal(client, "symbol", name=name) for name in ("secret_plans", "made_by_machine")
        ]
        hidden = [await refusal(client, "pack", path=path, line=1) for path in HIDDEN]
        assert all("never shown to a model" in each for each in hidden)
        answers += hidden
        assert "def upload(bucket)" in upload, "only the value is taken out"
        assert "nothing in" in await refusal(client, "search", query="the_hidden_marker")
        for answer in answers:
            assert KEY not in answer and "the_hidden_marker" not in answer


async def test_nothing_outside_of_the_folder_is_told(shop, tmp_path):
    outside = repository(
        tmp_path / "outside", {"other.py": "def elsewhere():\n    return 'the_hidden_marker'\n"}
    )
    (shop / "link.py").symlink_to(outside / "other.py")
    async with agent(shop) as client:
        for path in ("../outside/other.py", str(outside / "other.py")):
            assert "outside of the folders" in await refusal(client, "pack", path=path, line=1)
        assert "the_hidden_marker" not in await refusal(client, "pack", path="link.py", line=1)
        assert "none of the folders" in await refusal(
            client, "search", query="elsewhere", folder=str(outside)
        )
    async with agent(shop, "--dir", str(shop), "--dir", str(outside)) as client:
        assert "other.py:1" in await said(client, "search", query="elsewhere", folder=str(outside))
        assert "other.py:1-2" in await said(client, "symbol", name="elsewhere", folder=str(outside))


WRONG = [
    ("search", {"query": ""}, "query"),
    ("search", {"query": "zzqqxx"}, "nothing in"),
    ("search", {"query": "price", "limit": 1000}, "limit"),
    ("symbol", {"name": "net_prise"}, "no definition of net_prise. "),
    ("symbol", {"name": "net"}, "Similar names: net_price"),
    ("references", {"name": "nobody"}, "nothing in"),
    ("references", {"name": "Prices", "path": "shop/pricing.py"}, "`path` and `line` go together"),
    ("pack", {"path": "shop/none.py", "line": 1}, "does not exist"),
    ("pack", {"path": "shop/order.py", "line": 99}, "has 7 lines, and no line 99"),
    ("pack", {"path": "shop/order.py", "line": 0}, "line"),
    ("dance", {}, "dance"),
]


async def test_what_is_asked_wrongly_is_told_with_what_helps(shop):
    async with agent(shop) as client:
        for tool, arguments, message in WRONG:
            assert message in await refusal(client, tool, **arguments), (tool, arguments)


async def test_answers_are_bounded(shop):
    long = "".join(f"    value_{number} = {number}\n" for number in range(4000))
    (shop / "shop" / "long.py").write_text(f"def enormous():\n{long}")
    async with agent(shop) as client:
        shown = await said(client, "symbol", name="enormous")
        assert len(shown) < 25_000 and "more lines)" in shown


async def test_an_index_service_that_died_is_started_anew(shop):
    async with agent(shop) as client:
        await said(client, "symbol", name="net_price")
        async with index_client() as connected:
            kill((await connected.status()).pid)
        assert "discount" in await said(client, "symbol", name="net_price")


def test_the_server_stays_light():
    code = "import sys, lsp.mcp.server; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "sglang", "lancedb", "pyarrow", "transformers"} & set(told.stdout.split())


def test_a_home_folder_is_no_repository(tmp_path):
    done = subprocess.run(
        [FOREWORD, "mcp"],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "--dir" in done.stderr
