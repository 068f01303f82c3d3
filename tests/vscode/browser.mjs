// The real code-server in a real, headless Chromium: started, looked at, ended.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, openSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { createServer } from "node:net";
import { delimiter, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TOOLS = process.env.FOREWORD_TEST_TOOLS;
const ENTRY = join(TOOLS, "node_modules/code-server/out/node/entry.js");
const LISTENS_WITHIN_MS = 60_000;
/** What is waited for in the editor; a model that loads on two busy cores is the slowest of it. */
export const PATIENCE_MS = 240_000;
/** What the editor does by itself; two of them and an engine share the cores. */
export const SOON_MS = 60_000;
/** Of every profile: nothing of the editor's own that comes up by itself. */
export const PLAIN = {
  "chat.disableAIFeatures": true,
  "editor.minimap.enabled": false,
  "window.commandCenter": false,
  "workbench.colorTheme": "Default Dark Modern",
  "workbench.secondarySideBar.defaultVisibility": "hidden",
  "workbench.startupEditor": "none",
  "workbench.tips.enabled": false,
};
const LOOK_MS = 50;
const SIZE = { width: 1280, height: 800 };
const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

const { chromium } = createRequire(join(TOOLS, "package.json"))("playwright-core");

/** The browser that came with the tools; on other processors the system's. */
function browserProgram() {
  const own = join(TOOLS, "browser/chromium");
  const program = [own, "/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
  if (!program) {
    throw new Error("There is no Chromium here. On Debian and Ubuntu: sudo apt-get install chromium");
  }
  return program;
}

/** Its own libraries stand behind those of the system, for systems that have none of them. */
function browserEnvironment() {
  const libraries = [process.env.LD_LIBRARY_PATH, ...systemLibraries(), join(TOOLS, "browser/lib")];
  return {
    ...process.env,
    LD_LIBRARY_PATH: libraries.filter(Boolean).join(delimiter),
    FONTCONFIG_PATH: existsSync("/etc/fonts") ? "/etc/fonts" : join(TOOLS, "browser"),
  };
}

function systemLibraries() {
  return [`/usr/lib/${process.arch === "x64" ? "x86_64" : "aarch64"}-linux-gnu`, "/usr/lib64"].filter(existsSync);
}

export class Workbench {
  /** `home` holds the profile and the logs, and is this run's alone. */
  constructor(home, pictures) {
    this.home = home;
    this.pictures = pictures;
    mkdirSync(pictures, { recursive: true });
  }

  #profile() {
    return ["--user-data-dir", join(this.home, "data"), "--extensions-dir", join(this.home, "extensions")];
  }

  /** A browser's editor is a remote one: settings of machine scope are those of the machine, all others the user's. */
  settings(values, keys = []) {
    this.#write("User/settings.json", values);
    this.#write("User/keybindings.json", keys);
    this.#write("Machine/settings.json", values);
  }

  #write(name, value) {
    const file = join(this.home, "data", name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, JSON.stringify(value, null, 2));
  }

  install(vsix) {
    const done = spawnSync(process.execPath, [ENTRY, ...this.#profile(), "--install-extension", vsix], {
      encoding: "utf8",
    });
    if (done.status !== 0) {
      throw new Error(`${vsix} was not installed: ${done.stdout}${done.stderr}`);
    }
  }

  /** `environment` comes beside that of this process. */
  async start(environment = {}) {
    this.port = await freePort();
    const log = openSync(join(this.home, "code-server.log"), "a");
    const config = join(this.home, "config.yaml");
    writeFileSync(config, "");
    this.process = spawn(
      process.execPath,
      [
        ENTRY,
        ...["--config", config, "--bind-addr", `127.0.0.1:${this.port}`, "--auth", "none"],
        ...["--disable-telemetry", "--disable-update-check", "--disable-getting-started-override"],
        ...this.#profile(),
      ],
      {
        env: { ...process.env, ...environment, XDG_DATA_HOME: join(this.home, "share") },
        stdio: ["ignore", log, log],
        detached: true,
      },
    );
    await until(LISTENS_WITHIN_MS, "code-server to listen", async () => {
      const answer = await fetch(`http://127.0.0.1:${this.port}/healthz`).catch(() => undefined);
      return answer?.ok;
    });
    this.browser = await chromium.launch({
      executablePath: browserProgram(),
      args: FLAGS,
      env: browserEnvironment(),
    });
  }

  async open(folder) {
    await this.page?.context().close();
    const context = await this.browser.newContext({ viewport: SIZE });
    context.setDefaultTimeout(SOON_MS);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    this.page = await context.newPage();
    await this.page.goto(`http://127.0.0.1:${this.port}/?folder=${encodeURIComponent(folder)}`);
    await this.page.locator(".monaco-workbench .part.statusbar").waitFor({ timeout: LISTENS_WITHIN_MS });
  }

  /** A picture of the whole window, to be looked at. */
  async picture(name) {
    await this.page.evaluate(settled);
    await this.page.screenshot({ path: join(this.pictures, `${name}.png`) });
  }

  async command(title) {
    await this.page.keyboard.press("F1");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor({ timeout: PATIENCE_MS });
    await input.fill(`>${title}`);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: title }).first().click();
  }

  /** Opens a file of the folder by its name, with the cursor at `line`, from 1; at its end where none is said. */
  async file(name, line) {
    await this.page.keyboard.press("Control+P");
    const input = this.page.locator(".quick-input-widget input").first();
    await input.waitFor({ timeout: PATIENCE_MS });
    await input.fill(name);
    await this.page.locator(".quick-input-list .monaco-list-row", { hasText: name.split("/").at(-1) }).first().click();
    await this.page.locator(`.tab.active[data-resource-name="${name.split("/").at(-1)}"]`).waitFor();
    await this.page.locator(".editor-group-container.active .monaco-editor .view-lines").first().waitFor();
    await this.page.keyboard.press("Control+Home");
    if (line) {
      await this.page.keyboard.press("Control+G");
      await input.waitFor();
      await input.fill(`:${line}`);
      await this.page.keyboard.press("Enter");
      await input.waitFor({ state: "hidden" });
      await this.page.locator(".statusbar-item", { hasText: `Ln ${line},` }).waitFor();
      await this.page.keyboard.press("End");
    }
  }

  ghost() {
    return this.page.locator('.editor-group-container.active [class*="ghost-text"]');
  }

  async ghostText() {
    const parts = await this.ghost().allTextContents();
    return parts.join("").replaceAll("\u00a0", " ");
  }

  /** The text of the active editor as it will be saved. */
  async text() {
    await this.page.keyboard.press("Control+A");
    await this.page.keyboard.press("Control+C");
    return this.page.evaluate(() => navigator.clipboard.readText());
  }

  statusItem() {
    return this.page.locator('.statusbar-item[id="foreword.foreword.foreword.status"]');
  }

  async statusText() {
    return (await this.statusItem().textContent({ timeout: PATIENCE_MS })).trim();
  }

  notification(text) {
    return this.page.locator(".notifications-toasts .notification-toast", { hasText: text });
  }

  async close() {
    await this.browser?.close();
    if (this.process && this.process.exitCode === null) {
      const ended = new Promise((resolve) => this.process.once("exit", resolve));
      process.kill(-this.process.pid, "SIGTERM"); // its own group: the extension host and the server go with it
      // a time-out that is still running would keep this process waiting for it
      await Promise.race([ended, sleep(LISTENS_WITHIN_MS, undefined, { ref: false })]);
    }
  }
}

/** Runs in the page: until whatever fades or slides in is where it belongs. What spins does so for ever. */
async function settled() {
  const passing = document.getAnimations().filter((each) => each.effect.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(passing.map((each) => each.finished));
}

/** Waits until `look` gives something, and says what it was when it never does. */
export async function until(patienceMs, what, look) {
  const end = Date.now() + patienceMs;
  for (;;) {
    const seen = await look();
    if (seen) {
      return seen;
    }
    if (Date.now() > end) {
      throw new Error(`waited ${patienceMs / 1000} s in vain for ${what}`);
    }
    await sleep(LOOK_MS);
  }
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
