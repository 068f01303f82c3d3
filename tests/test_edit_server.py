"""Edits in an editor: code actions, commands, the transaction, and what ends or refuses them.

The real server; what the model writes is scripted, by a real HTTP server."""

from __future__ import annotations

import asyncio
import os
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from editor import FOREWORD, Editor, plain
from lsprotocol import types
from misbehaving import EVENTS, Exchange, served
from pygls.exceptions import JsonRpcException, JsonRpcRequestCancelled

from engine.editing.blocks import Create, Replace, Search, write_all

SHOP = (
    "import os\n\n\ndef total(items):\n    result = 0\n"
    "    for item in items:\n        result = item\n    return result\n"
)
FIXED = SHOP.replace("result = item\n", "result += item\n")
ANSWER = write_all([Replace("shop.py", Search("        result = item\n"), "        result += item\n")])
UNUSED = types.Diagnostic(
    types.Range(types.Position(0, 7), types.Position(0, 9)),
    "`os` imported but unused",
    code="F401",
    source="ruff",
)


class EditingEditor(Editor):
    """An editor that can apply edits, and declines them where it is told to."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = {"resolves": ["edit", "command"], "ours": {"edit": True, "ask": True}} | options
        self.accepts = True
        self.says: str | None = None
        self.applied: list[types.WorkspaceEdit] = []
        self.texts: dict[str, str] = {}
        self.notes: list[Any] = []
        self.listen()

    @property
    def messages(self) -> list[str]:
        """What popped up."""
        return [each.message for each in self.client.messages]

    def listen(self) -> None:
        @self.client.feature(types.WORKSPACE_APPLY_EDIT)
        def apply(params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
            return self.apply(params)

        @self.client.feature("foreword/edit")
        def note(params: Any) -> None:
            self.notes.append(plain(params))

    async def begin(self, root: Path, options: dict[str, Any]) -> None:
        await self.client.start_io(FOREWORD, "lsp", cwd=str(root), env={**os.environ})
        await self.client.initialize_session(
            types.InitializeParams(
                process_id=os.getpid(),
                root_uri=root.as_uri(),
                workspace_folders=[types.WorkspaceFolder(root.as_uri(), root.name)],
                initialization_options=options,
                capabilities=self.client_capabilities(),
            )
        )

    def client_capabilities(self) -> types.ClientCapabilities:
        operations = [*types.ResourceOperationKind]
        return types.ClientCapabilities(
            window=types.WindowClientCapabilities(work_done_progress=True),
            workspace=types.WorkspaceClientCapabilities(
                apply_edit=True,
                workspace_edit=types.WorkspaceEditClientCapabilities(
                    document_changes=True,
                    resource_operations=operations,
                    failure_handling=types.FailureHandlingKind.Transactional,
                    change_annotation_support=types.ChangeAnnotationsSupportOptions(),
                ),
            ),
            text_document=types.TextDocumentClientCapabilities(
                code_action=types.CodeActionClientCapabilities(
                    data_support=True,
                    resolve_support=types.ClientCodeActionResolveOptions(self.options["resolves"]),
                )
            ),
            experimental={"foreword": self.options["ours"]},
        )

    def apply(self, params: types.ApplyWorkspaceEditParams) -> types.ApplyWorkspaceEditResult:
        self.applied.append(params.edit)
        if self.accepts:
            for change in params.edit.document_changes or []:
                if isinstance(change, types.TextDocumentEdit) and change.text_document.uri in self.texts:
                    self.edit(change)
        if self.says is not None:
            return types.ApplyWorkspaceEditResult(applied=False, failure_reason=self.says)
        return types.ApplyWorkspaceEditResult(applied=True)  # as clients do, also where it was declined

    def edit(self, change: types.TextDocumentEdit) -> None:
        uri = change.text_document.uri
        lines = self.texts[uri].splitlines(keepends=True)
        for each in reversed(change.edits):
            assert each.range.start.character == each.range.end.character == 0
            lines[each.range.start.line : each.range.end.line] = [each.new_text]
        self.texts[uri] = "".join(lines)
        self.replace(uri, self.texts[uri])

    def open(self, file: Path, text: str | None = None, language: str = "python") -> str:
        uri = super().open(file, text, language)
        self.texts[uri] = file.read_text() if text is None else text
        return uri

    async def actions(self, uri: str, line: int, diagnostics=(), **context: Any) -> list[types.CodeAction]:
        place = types.Position(line, 4)
        return (
            await self.client.text_document_code_action_async(
                types.CodeActionParams(
                    types.TextDocumentIdentifier(uri),
                    types.Range(place, place),
                    types.CodeActionContext(diagnostics=list(diagnostics), **context),
                )
            )
            or []
        )

    async def command(self, name: str, *arguments: Any) -> Any:
        params = types.ExecuteCommandParams(command=name, arguments=list(arguments))
        return plain(await self.client.workspace_execute_command_async(params))

    async def run(self, action: types.CodeAction) -> Any:
        resolved = await self.client.code_action_resolve_async(action)
        assert resolved.command is not None
        return await self.command(resolved.command.command, *map(plain, resolved.command.arguments))


@asynccontextmanager
async def editing(
    root: Path,
    answer: str | list[str],
    model: str = "big-30b",
    hold=None,
    made=None,
    settings=None,
    **options: Any,
):
    """An editor with this root, and a model that answers so, one after the other."""
    answers = [answer] if isinstance(answer, str) else list(answer)
    asked: list[dict[str, Any]] = []

    async def behave(exchange: Exchange) -> None:
        if not exchange.path.endswith("/chat/completions"):
            await exchange.answer(404, b"{}")
            return
        asked.append(exchange.json)
        text = answers.pop(0) if len(answers) > 1 else answers[0]
        await exchange.send(EVENTS)
        for at in range(0, len(text), 24):
            delta = {"content": text[at : at + 24]}
            await exchange.event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        if hold is not None:
            hold.set()
            await exchange.until_closed()
            return
        await exchange.event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        await exchange.send(b"data: [DONE]\n\n")

    async with served(behave) as (url, _):
        engine = {"kind": "openai", "api": "chat", "url": url, "model": model}
        one = (made or EditingEditor)(**options)
        one.asked = asked
        await one.begin(root, {"engine": engine, "index": False} | (settings or {}))
        try:
            await one.until(lambda status: status["engine"]["state"] == "ready", 20)
            yield one
        finally:
            await one.client.shutdown_session()
            await one.client.stop()


@pytest.fixture
def shop(tmp_path) -> Path:
    (tmp_path / "shop.py").write_text(SHOP)
    return tmp_path / "shop.py"


def titles(actions: list[types.CodeAction]) -> list[str]:
    return [each.title for each in actions]


async def test_actions_are_offered_and_done(shop):
    async with editing(shop.parent, ANSWER) as editor:
        uri = editor.open(shop)
        found = await editor.actions(uri, 6)
        assert titles(found) == [
            "Foreword: Document `total`",
            "Foreword: Write tests for `total`",
            "Foreword: Explain `total`",
            "Foreword: Change `total` by an instruction…",
        ]
        assert all(each.kind and each.data and each.command is None for each in found), (
            "worked out when it is wanted"
        )
        asking = await editor.client.code_action_resolve_async(found[-1])
        assert asking.command.command == "foreword.edit"
        assert plain(asking.command.arguments) == [{"uri": uri, "lines": [4, 8]}]
        assert titles(await editor.actions(uri, 6, only=["source"])) == titles(found)[1:3]
        assert await editor.actions(uri, 6, only=["source.fixAll"]) == []
        assert await editor.actions(uri, 6, trigger_kind=types.CodeActionTriggerKind.Automatic) == []

        (fix,) = await editor.actions(uri, 0, [UNUSED], only=["quickfix"])
        assert fix.title == "Foreword: Fix: `os` imported but unused" and list(fix.diagnostics) == [UNUSED]
        assert not editor.asked, "nothing is asked of the model for an offer"
        done = await editor.run(fix)
        assert done["applied"] and done["claim"] == "parses" and done["files"] == [uri]
        assert editor.texts[uri] == FIXED and (await editor.status())["lastCompletion"] is None
        (edit,) = editor.applied
        (change,) = edit.document_changes
        assert change.text_document.version == 1 and edit.change_annotations is None, (
            "one document: no question"
        )
        said = editor.asked[0]["messages"][-1]["content"]
        assert "shop.py:1: `os` imported but unused (ruff F401)" in said
        assert [each["state"] for each in editor.notes] == ["begun", "finished"]
        assert {each["edit"] for each in editor.notes} == {done["edit"]}
        told = [each for notes in editor.progress.values() for each in notes]
        assert any(each.get("kind") == "begin" and each.get("cancellable") for each in told)


async def test_a_client_that_takes_only_edits_gets_one(shop):
    async with editing(shop.parent, ANSWER, resolves=["edit"], ours={}) as editor:
        uri = editor.open(shop)
        actions = await editor.actions(uri, 6)
        assert "Foreword: Change `total` by an instruction…" not in titles(actions), "it could not ask"
        resolved = await editor.client.code_action_resolve_async(actions[0])
        (change,) = resolved.edit.document_changes
        assert [each.new_text for each in change.edits] == ["        result += item\n"]
        assert not editor.notes, "it did not say that it knows them"


async def test_a_document_that_has_changed_since(shop):
    async with editing(shop.parent, ANSWER) as editor:
        uri = editor.open(shop)
        action = (await editor.actions(uri, 6))[0]
        editor.replace(uri, SHOP + "\n")
        with pytest.raises(JsonRpcException, match="changed since this was offered"):
            await editor.client.code_action_resolve_async(action)


async def test_an_instruction(shop):
    async with editing(shop.parent, ANSWER) as editor:
        uri = editor.open(shop)
        done = await editor.command("foreword.edit", {"instruction": "Sum up.", "uri": uri, "edit": "mine"})
        assert done["applied"] and editor.texts[uri] == FIXED and editor.notes[0]["edit"] == "mine"
        assert not editor.messages, "what went well is not popped up"


async def test_several_files_ask_the_user_who_may_decline(shop):
    both = write_all([Replace("shop.py", Search("        result = item\n"), "        result += item\n"),
                      Create("new.py", "x = 1\n")])  # fmt: skip
    async with editing(shop.parent, both) as editor:
        uri = editor.open(shop)
        editor.accepts = False
        done = await editor.command("foreword.edit", {"instruction": "Both.", "uri": uri})
        assert not done["applied"] and "declined" in done["reason"]
        assert not editor.messages, "who declines knows it"
        editor.says = "declined"
        done = await editor.command("foreword.edit", {"instruction": "Both.", "uri": uri})
        assert not done["applied"] and "declined" in done["reason"] and not editor.messages
        assert all(each.needs_confirmation for each in editor.applied[0].change_annotations.values())
        assert (await editor.status())["edits"]["severalFiles"] is True


async def test_a_document_that_moved_on_while_the_model_wrote(shop):
    async with editing(shop.parent, ANSWER) as editor:
        uri = editor.open(shop)
        running = asyncio.create_task(editor.command("foreword.edit", {"instruction": "x", "uri": uri}))
        while not editor.asked:
            await asyncio.sleep(0.01)
        editor.texts[uri] = "# above\n" + SHOP
        editor.replace(uri, editor.texts[uri])
        done = await running
        assert done["applied"] and editor.texts[uri] == "# above\n" + FIXED


REFUSED = [
    ("I will not.", "no block"),
    (
        write_all([Replace("shop.py", Search("        result = item\n"), "        result = (item\n")]),
        "syntax error",
    ),
    (write_all([Create("../outside.py", "x\n")]), "outside.py"),
]


async def test_a_refusal_is_told_to_who_asked(shop):
    async with editing(shop.parent, [answer for answer, _ in REFUSED]) as editor:
        uri = editor.open(shop)
        for _, why in REFUSED:
            done = await editor.command("foreword.edit", {"instruction": "x", "uri": uri})
            assert not done["applied"] and why in done["reason"] and not editor.applied
            assert why in editor.messages[-1]


async def test_files_outside_the_workspace_are_not_edited(shop, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "x.py"
    outside.write_text("x = 1\n")
    async with editing(shop.parent, ANSWER) as editor:
        uri = editor.open(outside)
        assert await editor.actions(uri, 0) == []
        done = await editor.command("foreword.edit", {"instruction": "x", "uri": uri})
        assert "nothing outside is edited" in done["reason"] and not editor.asked


@pytest.mark.parametrize("by", ["request", "progress"])
async def test_cancel(shop, by):
    held = asyncio.Event()
    async with editing(shop.parent, ANSWER[:40], hold=held) as editor:
        uri = editor.open(shop)
        params = types.ExecuteCommandParams("foreword.edit", arguments=[{"instruction": "x", "uri": uri}])
        running = asyncio.ensure_future(
            editor.client.protocol.send_request_async(types.WORKSPACE_EXECUTE_COMMAND, params, "the-edit")
        )
        await asyncio.wait_for(held.wait(), 10)
        if by == "request":
            editor.client.cancel_request(types.CancelParams(id="the-edit"))
            with pytest.raises(JsonRpcRequestCancelled):
                await running
        else:
            token = next(
                token for token, notes in editor.progress.items() if "x" in notes[0].get("title", "")
            )
            editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
            assert await asyncio.wait_for(running, 10) is None
        await asyncio.sleep(0.1)
        assert not editor.applied and editor.texts[uri] == SHOP
        ends = [each for notes in editor.progress.values() for each in notes if each.get("kind") == "end"]
        assert any(each.get("message") == "cancelled" for each in ends)


async def test_a_model_that_thinks_does_not_let_the_progress_stand_still(shop):
    held = asyncio.Event()
    async with editing(shop.parent, ANSWER[:40], hold=held) as editor:
        uri = editor.open(shop)
        params = types.ExecuteCommandParams("foreword.edit", arguments=[{"instruction": "x", "uri": uri}])
        running = asyncio.ensure_future(editor.client.workspace_execute_command_async(params))
        await asyncio.wait_for(held.wait(), 10)

        def times() -> list[str]:
            told = [each.get("message") or "" for notes in editor.progress.values() for each in notes]
            return [each for each in told if re.search(r"\d s$", each)]

        async with asyncio.timeout(20):
            while len(set(times())) < 2:
                await asyncio.sleep(0.05)
        (token,) = editor.progress
        editor.client.window_work_done_progress_cancel(types.WorkDoneProgressCancelParams(token))
        assert await asyncio.wait_for(running, 10) is None


async def test_an_explanation(shop):
    async with editing(shop.parent, "It sums up.", ours={}) as editor:
        uri = editor.open(shop)
        done = await editor.command("foreword.explain", {"uri": uri, "lines": [4, 8]})
        assert done == {"text": "It sums up."} and editor.messages == ["It sums up."]
        assert "def total" in editor.asked[0]["messages"][-1]["content"] and not editor.applied


async def test_a_small_model_is_offered_one_file_and_the_status_says_what_to_configure(shop):
    async with editing(shop.parent, ANSWER, model="tiny-0.5b") as editor:
        uri = editor.open(shop)
        assert "Foreword: Change the callers of `total` to fit it" not in titles(await editor.actions(uri, 3))
        told = (await editor.status())["edits"]
        assert told["severalFiles"] is False and "foreword.edit.largeEngine" in told["reason"]
    async with editing(shop.parent, ANSWER) as editor:
        assert "Foreword: Change the callers of `total` to fit it" in titles(
            await editor.actions(editor.open(shop), 3)
        )


WRONG = [
    ("foreword.edit", []),
    ("foreword.edit", [{}]),
    ("foreword.edit", [{"instruction": "  "}]),
    ("foreword.edit", [{"instruction": 1}]),
    ("foreword.explain", [{"uri": "x"}]),
]


async def test_wrong_arguments(shop):
    async with editing(shop.parent, ANSWER) as editor:
        for name, arguments in WRONG:
            with pytest.raises(JsonRpcException):
                await editor.command(name, *arguments)
