// Edits in the real VS Code workbench: the packaged extension, the real server, TypeScript's own diagnostics. What a model
// writes is scripted (scripted.mjs); everything that is done with it is real. Pictures are in build/vscode.
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { PATIENCE_MS, PLAIN, SOON_MS, until, Workbench } from "./browser.mjs";
import { makeLargeFolder, makeRepository } from "./repository.mjs";
import { creating, replacing, ScriptedModel } from "./scripted.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const home = mkdtempSync(join(tmpdir(), "foreword-edits-"));
const folder = join(home, "shop");
const editor = new Workbench(home, join(ROOT, "build/vscode"));
const model = new ScriptedModel();

const MONEY = {
  before: '    def plus(self, other: "Money") -> "Money":\n',
  after: '    def add(self, other: "Money") -> "Money":\n',
};
const INVOICE = { before: "            total = total.plus(line)\n", after: "            total = total.add(line)\n" };
/** TypeScript's own server, which is part of the editor, says what is wrong with it. */
const RECEIPT = 'export const cents: number = "12";\nexport const shown = cents.toFixed(2);\n';
/** Within which a list of code actions is filled. */
const LIST_MS = 5_000;
const BOTH = [
  replacing("shop/money.py", MONEY.before, MONEY.after),
  replacing("shop/invoice.py", INVOICE.before, INVOICE.after),
];

before(async () => {
  mkdirSync(folder);
  makeRepository(folder);
  writeFileSync(join(folder, "shop/receipt.ts"), RECEIPT);
  const url = await model.start();
  editor.settings({
    "foreword.command": join(ROOT, ".venv/bin/foreword"),
    "foreword.engine.kind": "none",
    "foreword.edit.engine": { kind: "openai", api: "chat", url, model: "scripted-30b" },
    "files.autoSave": "off",
    "security.workspace.trust.enabled": false,
    ...PLAIN,
  });
  editor.install(join(ROOT, "editors/vscode/dist/foreword.vsix"));
  await editor.start();
  await editor.open(folder);
  await ready();
});

after(async () => {
  await editor.close();
  await model.stop();
  rmSync(home, { recursive: true, force: true });
});

afterEach(async (context) => {
  if (!context.passed) {
    await editor.picture(`failed-${context.name.slice(0, 40).replaceAll(/\W+/g, "-")}`);
  }
});

const stored = (name) => readFileSync(join(folder, name), "utf8");
const rows = () => editor.page.locator(".part.panel .monaco-list-row");
const boxes = () => rows().locator(".monaco-custom-toggle, .custom-view-tree-node-item-checkbox");
const ticked = () =>
  boxes().evaluateAll((found) => found.map((each) => each.getAttribute("aria-checked") === "true"));
const row = (text) => rows().filter({ hasText: text });
/** Edits read what the index finds, so that they wait for it. */
const ready = () =>
  until(PATIENCE_MS, "the index to be there", async () => /^Foreword$/.test(await editor.statusText()));

/** The bar of what is under way. */
const bar = () => editor.page.locator(".notification-toast", { hasText: "Source: Foreword" });
const over = () => bar().waitFor({ state: "hidden", timeout: PATIENCE_MS });

/** Types an instruction and chooses where, by what the place is called. */
async function ask(instruction, where) {
  await editor.command("Foreword: Edit…");
  const input = editor.page.locator(".quick-input-widget input").first();
  await input.fill(instruction);
  await editor.page.locator(`.quick-input-list .monaco-list-row[aria-label*="${where}"]`).click();
}

const changed = (name, text) => until(PATIENCE_MS, `${text} in ${name}`, () => stored(name).includes(text));

test("an instruction for one file: changed at once, and one undo takes it back", async () => {
  await editor.file("shop/money.py");
  const before = await editor.text();
  model.answers(BOTH[0]);
  await ask("Call plus add", "file, shop/money.py");
  await until(PATIENCE_MS, "the change", async () => (await editor.text()).includes("def add"));
  await over();
  await editor.picture("20-edited");
  assert.match(model.asked.at(-1), /Call plus add/);
  await editor.page.keyboard.press("Control+Z");
  assert.equal(await editor.text(), before);
});

test("an edit of two files streams in, is looked at, and is applied as a whole", async () => {
  await editor.file("shop/invoice.py");
  model.answers("change shop/money.py\nchange shop/invoice.py\ncreate NOTES.md\n");
  model.answers(BOTH[0]);
  const goOn = model.answers("", BOTH[1]);
  model.answers(creating("NOTES.md", "Money is added.\n"));
  await ask("Call plus add, also where it is used", "other open file");
  await row("replace").waitFor({ timeout: PATIENCE_MS });
  await row("invoice.py").locator(".codicon-loading").waitFor({ timeout: PATIENCE_MS });
  await editor.picture("21-streaming");
  goOn();
  await boxes().first().waitFor({ timeout: PATIENCE_MS });
  await editor.picture("22-review");
  assert.deepEqual(await ticked(), [true, true, true]);
  assert.ok(!stored("shop/money.py").includes("def add"), "nothing is changed before somebody has said so");
  await row("invoice.py").click();
  await editor.page.locator(".monaco-diff-editor").waitFor({ timeout: PATIENCE_MS });
  await editor.picture("23-compared");
  await row("Apply to 3 files").click();
  await changed("shop/money.py", "def add");
  await changed("shop/invoice.py", "total.add(line)");
  await changed("NOTES.md", "Money is added.");
  await rows().first().waitFor({ state: "hidden" });
  await over();
  await editor.picture("24-applied");
  assert.equal(await editor.page.locator(".notification-toast").count(), 0, "what went well is not popped up");
});

test("a file that is unticked stays as it is, and one that has changed meanwhile cannot be ticked", async () => {
  await editor.file("shop/invoice.py");
  model.answers("change shop/money.py\nchange shop/invoice.py\ncreate OTHER.md\n");
  model.answers(replacing("shop/money.py", MONEY.after, MONEY.before));
  model.answers(replacing("shop/invoice.py", INVOICE.after, INVOICE.before));
  model.answers(creating("OTHER.md", "Nothing.\n"));
  await ask("Call add plus again", "other open file");
  await boxes().first().waitFor({ timeout: PATIENCE_MS });
  await row("OTHER.md").locator(".monaco-checkbox, .monaco-custom-toggle").click();
  await editor.page.locator(".monaco-editor .view-lines").first().click();
  await editor.page.keyboard.press("Control+Home");
  await editor.page.keyboard.type("# ");
  await row("changed meanwhile").waitFor({ timeout: PATIENCE_MS });
  assert.deepEqual(await ticked(), [false, true, false]);
  await editor.picture("25-left");
  await row("Apply to 1 file").click();
  await editor.notification("applied in part").waitFor({ timeout: PATIENCE_MS });
  await editor.picture("26-applied-in-part");
  assert.ok(!existsSync(join(folder, "OTHER.md")));
  assert.match(await editor.text(), /^# from .*total\.add\(line\)/s);
  await editor.page.keyboard.press("Control+Z");
  await editor.file("shop/money.py");
  assert.match(await editor.text(), /def plus/);
  await editor.command("File: Save All");
  await editor.command("Notifications: Clear All Notifications");
});

test("discarded, nothing is changed and nothing pops up", async () => {
  model.answers(BOTH[0] + creating("OTHER.md", "Nothing.\n"));
  await editor.file("shop/money.py");
  await ask("Call plus add", "file, shop/money.py");
  await row("Discard").click();
  await rows().first().waitFor({ state: "hidden" });
  await over();
  assert.ok(stored("shop/money.py").includes("def plus") && !existsSync(join(folder, "OTHER.md")));
  assert.equal(await editor.page.locator(".notification-toast").count(), 0);
});

test("cancelled, the model writes no further", async () => {
  model.answers("change shop/money.py\nchange shop/invoice.py\n");
  model.answers(BOTH[0], "");
  await ask("Call plus add everywhere", "other open file");
  await row("money.py").waitFor({ timeout: PATIENCE_MS });
  const before = model.cancelled;
  await editor.notification("Call plus add everywhere").getByRole("button", { name: "Cancel" }).click();
  await until(SOON_MS, "the model to be left alone", () => model.cancelled > before);
  await rows().first().waitFor({ state: "hidden" });
  await over();
  await editor.picture("27-cancelled");
  assert.equal(await editor.page.locator(".notification-toast").count(), 0);
});

test("a quick fix on a diagnostic of another server; one that makes it worse is repaired by a button", async () => {
  await editor.file("shop/receipt.ts", 1);
  await editor.page.locator(".squiggly-error").first().waitFor({ timeout: PATIENCE_MS });
  const first = RECEIPT.split("\n")[0];
  model.answers(replacing("shop/receipt.ts", `${first}\n`, "export const cents: number = twelve;\n"));
  const fix = editor.page.locator(".action-widget .monaco-list-row", { hasText: "Foreword: Fix: Type 'string'" });
  await until(PATIENCE_MS, "the quick fix", async () => {
    // the list that opens holds what its servers knew just then: whoever came too early opens it once more
    await editor.page.keyboard.press("Escape");
    await editor.page.keyboard.press("Control+.");
    return fix.waitFor({ timeout: LIST_MS }).then(
      () => true,
      () => false,
    );
  });
  await editor.picture("28-quick-fix");
  await fix.click();
  const message = editor.notification("Cannot find name 'twelve'");
  await message.waitFor({ timeout: PATIENCE_MS });
  assert.match(model.asked.at(-1), /receipt\.ts:1: Type 'string' is not assignable to type 'number'. \(ts 2322\)/);
  await editor.picture("29-made-worse");
  // a repair says anew what is to stand in place of what the edit found
  model.answers(replacing("shop/receipt.ts", `${first}\n`, "export const cents: number = 12;\n"));
  await message.getByRole("button", { name: "Repair" }).click();
  await until(PATIENCE_MS, "the repair", async () => (await editor.text()).includes("number = 12;"));
  assert.match(model.asked.at(-1), /Cannot find name 'twelve'/);
  await editor.page.locator(".squiggly-error").first().waitFor({ state: "hidden" });
  await editor.page.locator(".statusbar-item", { hasText: "fixed" }).waitFor({ timeout: PATIENCE_MS });
  await editor.picture("29-repaired");
});

test("an explanation stands beside the code", async () => {
  await editor.file("shop/money.py", 15);
  model.answers("The tax is rounded down to whole cents.");
  await editor.command("Source Action...");
  const explain = editor.page.locator(".action-widget .monaco-list-row", { hasText: "Explain `with_tax`" });
  await explain.waitFor({ timeout: PATIENCE_MS });
  await editor.picture("30-source-actions");
  await explain.click();
  await editor.page.locator(".monaco-editor .view-line", { hasText: "rounded" }).waitFor({ timeout: PATIENCE_MS });
  await over();
  await editor.picture("31-explained");
});

test("the key for an edit is nobody else's", async () => {
  await editor.command("Preferences: Open Default Keyboard Shortcuts (JSON)");
  await editor.page.locator('.tab.active[data-resource-name="keybindings.json"]').waitFor({ timeout: PATIENCE_MS });
  const bound = await until(PATIENCE_MS, "the keys", async () => {
    const lines = (await editor.text()).split("\n").filter((line) => line.includes('"ctrl+k ctrl+g"'));
    return lines.length > 0 && lines;
  });
  assert.equal(bound.length, 1, bound.join());
  assert.match(bound[0], /foreword\.askEdit/);
});

test("a folder of 100,000 files: the item tells how far it is read, and one works in it meanwhile", async () => {
  const large = join(home, "large");
  makeLargeFolder(large);
  await editor.open(large);
  await until(PATIENCE_MS, "the number of files", async () => /[\d,]+ of 100,000 files/.test(await editor.statusText()));
  await editor.file("package7/module7.py");
  await editor.page.keyboard.type("other = 2\n");
  assert.match(await editor.text(), /^other = 2\nvalue = \d/);
  await editor.picture("32-large");
  assert.match(await editor.statusText(), /[\d,]+ of 100,000 files/, "that was not waited for");
  const told = await editor.page.locator(".statusbar-item", { hasText: "of 100,000" }).count();
  assert.equal(told, 1, "nothing else says the same");
  assert.equal(await editor.page.locator(".notification-toast").count(), 0);
});
