// Foreword in the real VS Code workbench: the packaged extension, the real server, index and engine. One code-server and
// one profile for all of it; the tests follow one another as a person's first minutes do. Pictures are in build/vscode.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { setTimeout } from "node:timers/promises";
import { PATIENCE_MS, PLAIN, SOON_MS, until, Workbench } from "./browser.mjs";
import { descendants } from "./processes.mjs";
import { INVOICE, LAST_LINE, makeRepository } from "./repository.mjs";

const ROOT = resolve(import.meta.dirname, "../..");
const PICTURES = join(ROOT, "build/vscode");
const VSIX = join(ROOT, "editors/vscode/dist/foreword.vsix");
const FOREWORD = join(ROOT, ".venv/bin/foreword");
/** A model that somebody else keeps running may be named here, as settings in JSON. */
const GIVEN = process.env.FOREWORD_TEST_SETTINGS;
/** Of a test's name, in that of the picture of its failure. */
const NAME_CHARS = 40;
const MODEL = "qwen2.5-coder-0.5b";
/** 1.5 s until the extension says so, the rest for the model to begin. */
const RESTS_MS = 4_000;

const home = mkdtempSync(join(tmpdir(), "foreword-vscode-"));
const folder = join(home, "shop");
const editor = new Workbench(home, PICTURES);
const settings = {
  "foreword.command": FOREWORD,
  ...(GIVEN ? JSON.parse(GIVEN) : { "foreword.model": MODEL }),
  "security.workspace.trust.startupPrompt": "never",
  "security.workspace.trust.banner": "never",
  ...PLAIN,
};
/** The command has no key of its own, and the palette would send the suggestion away. */
const ACCEPT_LINE = "Control+Alt+L";
const keys = [{ key: "ctrl+alt+l", command: "editor.action.inlineSuggest.acceptNextLine" }];
/** Measured and told, never judged: how busy the machine is nobody knows. */
const figures = {};

before(async () => {
  mkdirSync(folder);
  makeRepository(folder);
  if (!GIVEN) {
    // warm, as it is for whoever has used it within the last half an hour; how a cold start looks has a test of its own
    execFileSync(FOREWORD, ["engine", "start", "--model", MODEL], { stdio: "inherit" });
  }
  editor.settings(settings, keys);
  editor.install(VSIX);
  await editor.start();
  // A browser and a workbench that have never run take their time with it, and nobody's folder is opened so.
  await editor.open(home);
});

after(async () => {
  await editor.close();
  if (!GIVEN) {
    execFileSync(FOREWORD, ["engine", "stop", "--model", MODEL], { stdio: "inherit" });
  }
  rmSync(home, { recursive: true, force: true });
  writeFileSync(join(PICTURES, "figures.json"), `${JSON.stringify(figures, null, 2)}\n`);
  for (const [name, seconds] of Object.entries(figures)) {
    console.log(`${name}: ${seconds.toFixed(1)} s`);
  }
});

afterEach(async (context) => {
  if (!context.passed) {
    await editor.picture(`failed-${context.name.slice(0, NAME_CHARS).replaceAll(/\W+/g, "-")}`);
  }
});

const seconds = (since) => (performance.now() - since) / 1000;

/** What the status bar item says when nothing is under way. */
const isCalm = async () => /^Foreword$/.test(await editor.statusText());

test("who types while the server starts gets a suggestion without another key", async () => {
  const opened = performance.now();
  await editor.open(folder);
  figures["folder opened to a drawn workbench"] = seconds(opened);
  await editor.file("shop/invoice.py", LAST_LINE);
  await editor.page.keyboard.press("Enter");
  const typed = performance.now();
  await editor.ghost().first().waitFor({ timeout: PATIENCE_MS });
  figures["folder opened to the first ghost text"] = seconds(opened);
  figures["last key to the first ghost text"] = seconds(typed);
  const ghost = await editor.ghostText();
  assert.match(ghost, /self\.|return|customer/, `a suggestion for the summary, not ${ghost}`);
  await until(PATIENCE_MS, "the folder to be read", isCalm);
  await editor.picture("1-suggestion");
});

test("a word is accepted, then the rest", async () => {
  const offered = await editor.ghostText();
  await editor.page.keyboard.press("Control+ArrowRight");
  await until(SOON_MS, "the ghost text to be shorter by a word", async () => {
    const left = await editor.ghostText();
    return left && left.length < offered.length && offered.endsWith(left);
  });
  await editor.picture("2-word-accepted");
  const rest = await editor.ghostText();
  await editor.page.keyboard.press("Tab");
  const text = await editor.text();
  assert.ok(text.startsWith(INVOICE.trimEnd()), "what stood there stands there still");
  assert.ok(text.includes(rest.trim().split("\n").at(-1).trim()), `${rest} is in ${text}`);
  await editor.page.keyboard.press("End");
  await editor.picture("3-accepted");
});

test("several are offered to who asks, and one goes through them", async () => {
  await editor.file("shop/cli.py");
  await editor.page.keyboard.press("Control+End");
  await editor.page.keyboard.type("    print(", { delay: 20 });
  await editor.page.keyboard.press("Escape");
  await editor.command("Trigger Inline Suggestion");
  await editor.ghost().first().waitFor({ timeout: SOON_MS });
  const first = await editor.ghostText();
  await editor.page.keyboard.press("Alt+]");
  await editor.picture("4-next");
  await editor.page.keyboard.press("Alt+[");
  await until(SOON_MS, "the first one to be back", async () => (await editor.ghostText()) === first);
  await editor.page.keyboard.press(ACCEPT_LINE);
  await until(SOON_MS, "the line to be accepted", async () =>
    (await editor.text()).includes(first.split("\n")[0].trim()),
  );
});

test("a place where the cursor rests is read before anything is typed there", async () => {
  await editor.file("shop/money.py", 10);
  await until(PATIENCE_MS, "the file up to there to be cached", async () => {
    await setTimeout(RESTS_MS);
    await editor.command("Show What the Model Reads Here");
    const page = editor.page.frameLocator("iframe.webview").last().frameLocator("#active-frame");
    await page.locator("h1", { hasText: "shop/money.py" }).waitFor({ timeout: SOON_MS });
    const told = await page.locator('.bar a.block[aria-label*=", window"]').first().getAttribute("aria-label");
    await editor.page.locator(".tab", { hasText: "What the Model Reads" }).click({ button: "middle" });
    return /window, cached$/.test(told);
  });
});

test("the status bar item tells model, index and cache; its menu opens", async () => {
  await until(PATIENCE_MS, "the item to be calm", isCalm);
  await editor.statusItem().click();
  const rows = editor.page.locator(".quick-input-list .monaco-list-row");
  await rows.filter({ hasText: "Run Doctor" }).waitFor();
  const told = (await rows.allTextContents()).join("\n");
  await editor.picture("5-menu");
  await editor.page.keyboard.press("Escape");
  assert.match(told, /Model.*qwen2\.5-coder-0\.5b/i);
  assert.match(told, /Index\s*shop: 5 files[^;]*$/m, "this folder, and none that another window has open");
  assert.match(told, /Cache.*of the last prompt/);
});

test("the context view shows what the model reads, and follows the cursor", async () => {
  await editor.file("shop/invoice.py", LAST_LINE);
  await editor.command("Show What the Model Reads Here");
  const page = editor.page.frameLocator("iframe.webview").last().frameLocator("#active-frame");
  await page.locator("h1", { hasText: "shop/invoice.py" }).waitFor({ timeout: SOON_MS });
  await page.locator("details .place", { hasText: "shop/money.py" }).first().waitFor();
  await editor.picture("6-context");
  const place = await page.locator("h1 code").textContent();
  await editor.page.locator(".editor-group-container .monaco-editor").first().click();
  await editor.page.keyboard.press("Control+Home");
  await until(SOON_MS, "the page to follow the cursor", async () => {
    const now = await page.locator("h1 code").textContent();
    return now !== place && now.endsWith(":1:1");
  });
  await page.locator(".bar a.block").first().click();
  await page.locator("details#p0[open]").waitFor(); // a block of the bar opens its part: the page's script runs
  await editor.page.locator(".tab", { hasText: "What the Model Reads" }).click({ button: "middle" });
});

test("paused for a language: nothing is suggested, and the item says so", async () => {
  await editor.file("shop/cli.py");
  await editor.command("Pause or Resume for This Language");
  await until(SOON_MS, "the pause to be shown", async () =>
    editor.statusItem().locator(".codicon-debug-pause").isVisible(),
  );
  await editor.page.keyboard.press("Control+End");
  await editor.page.keyboard.press("Enter");
  await editor.page.keyboard.type("invoice.", { delay: 30 });
  await editor.command("Trigger Inline Suggestion");
  await editor.picture("7-paused");
  assert.equal(await editor.ghost().count(), 0);
  await editor.command("Pause or Resume for This Language");
  await until(SOON_MS, "the pause to be over", isCalm);
});

test("a server that crashes is back; the fifth time one message says so, and its button helps", async () => {
  const servers = () => descendants(editor.process.pid, "foreword", "lsp");
  let last = 0;
  for (let crash = 1; crash <= 5; crash += 1) {
    last = await until(SOON_MS, `the server to run before crash ${crash}`, () =>
      servers().find((pid) => pid !== last),
    );
    process.kill(last, "SIGKILL");
  }
  const message = editor.notification("ended by itself five times");
  await message.waitFor({ timeout: SOON_MS });
  assert.match(await editor.statusText(), /stopped/);
  assert.equal(await editor.page.locator(".notification-toast").count(), 1, "one message, not one for each crash");
  await editor.picture("8-crashed");
  await message.getByRole("button", { name: "Restart" }).click();
  await until(PATIENCE_MS, "the server to be back", isCalm);
});

test("no command anywhere: the message names it, and its button sets it right", async () => {
  editor.settings({ ...settings, "foreword.command": "/nowhere/foreword" });
  await editor.open(folder);
  const message = editor.notification("/nowhere/foreword");
  await message.waitFor({ timeout: SOON_MS });
  assert.match(await editor.statusText(), /not set up/);
  await editor.picture("9-no-command");
  await message.getByRole("button", { name: "Open Settings" }).click();
  await editor.page.locator(".settings-editor").waitFor();
  await editor.page.locator(".setting-item-contents", { hasText: "absolute path" }).first().waitFor();
  await editor.picture("10-settings");
  editor.settings(settings);
});

test("no Python where it is looked for: setting up says so, and its button helps", async () => {
  editor.settings({ ...settings, "foreword.python": "/nowhere/python3" });
  await editor.open(folder);
  await until(PATIENCE_MS, "the server to run", isCalm); // before that the palette does not know the command
  await editor.command("Set Up the Server");
  await editor.page.locator(".quick-input-list .monaco-list-row", { hasText: "Server and index only" }).click();
  const message = editor.notification("Foreword needs Python 3.11 or newer");
  await message.waitFor({ timeout: SOON_MS });
  await editor.picture("12-no-python");
  await message.getByRole("button", { name: "Open Settings" }).click();
  await editor.page.locator(".settings-editor").waitFor();
  editor.settings(settings);
});

test("a folder that is not trusted names no command, and suggestions come all the same", async () => {
  const strange = join(home, "strange");
  mkdirSync(join(strange, ".vscode"), { recursive: true });
  makeRepository(strange);
  writeFileSync(join(strange, ".vscode/settings.json"), JSON.stringify({ "foreword.command": "/nowhere/evil" }));
  await editor.open(strange);
  await editor.page.locator(".statusbar-item", { hasText: "Restricted Mode" }).waitFor({ timeout: PATIENCE_MS });
  await editor.file("shop/invoice.py", LAST_LINE);
  await editor.page.keyboard.press("Enter");
  await editor.ghost().first().waitFor({ timeout: PATIENCE_MS });
  await editor.picture("11-untrusted");
});
