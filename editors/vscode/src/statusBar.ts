/** The status bar item: asked for gently, and only while somebody can see it. */
import { type Disposable, MarkdownString, StatusBarAlignment, ThemeColor, window } from "vscode";
import { Asking } from "./asking";
import type { Impatience } from "./impatience";
import type { Server } from "./server";
import { isBusy, type ServerStatus, type Shown, shown } from "./status";

/** While a model loads or files are read; half of what would look like standing still. */
const BUSY_MS = 1_000;
const CALM_MS = 10_000;
/** While somebody has typed and waits: what is shown then is shown as soon as the model can be asked. */
const WAITED_FOR_MS = 200;
/** Behind whatever language and encoding the editor shows. */
const PRIORITY = 50;

export class StatusBar implements Disposable {
  readonly #item = window.createStatusBarItem("foreword.status", StatusBarAlignment.Right, PRIORITY);
  readonly #listeners: Disposable[];
  /** Of suggestions. */
  readonly asking = new Asking(() => this.#draw());
  #status: ServerStatus | undefined;
  #timer: NodeJS.Timeout | undefined;
  #asking = false;

  constructor(
    private readonly server: Server,
    private readonly paused: () => string,
    private readonly impatience: Impatience,
  ) {
    this.#item.name = "Foreword";
    this.#item.command = "foreword.showMenu";
    this.#item.show();
    this.#listeners = [
      server.onDidChange(() => this.refresh()),
      window.onDidChangeWindowState(() => this.refresh()),
      window.onDidChangeActiveTextEditor(() => this.#draw()),
    ];
    this.refresh();
  }

  get status(): ServerStatus | undefined {
    return this.#status;
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const each of [this.#item, this.asking, ...this.#listeners]) {
      each.dispose();
    }
  }

  /** Draws what is known and asks anew. */
  refresh(): void {
    this.#draw();
    void this.ask();
  }

  async ask(): Promise<ServerStatus | undefined> {
    if (this.#asking) {
      return this.#status;
    }
    this.#asking = true;
    clearTimeout(this.#timer);
    try {
      this.#status = await this.server.status();
    } finally {
      this.#asking = false;
    }
    this.impatience.isReady = this.#status?.engine?.state === "ready";
    this.#draw();
    if (this.server.running.state === "running" && (window.state.focused || isBusy(this.#status))) {
      this.#timer = setTimeout(() => void this.ask(), this.#pause());
    }
    return this.#status;
  }

  #pause(): number {
    if (this.#status && !isBusy(this.#status)) {
      return CALM_MS;
    }
    return this.impatience.isWaiting ? WAITED_FOR_MS : BUSY_MS;
  }

  #draw(): void {
    const now = shown(this.server.running, this.#status, this.paused(), this.asking.isLong);
    this.#item.text = now.text;
    this.#item.tooltip = tooltip(now);
    this.#item.backgroundColor =
      now.level === "quiet" ? undefined : new ThemeColor(`statusBarItem.${now.level}Background`);
    this.#item.accessibilityInformation = { label: now.text.replace(/\$\([^)]*\)\s*/, ""), role: "button" };
  }
}

/** Values are anybody's text: they are appended as text, never as Markdown. */
function tooltip(now: Shown): MarkdownString {
  const told = new MarkdownString("**Foreword**");
  for (const [name, value] of now.rows) {
    told.appendMarkdown(`\n\n${name}: `).appendText(value);
  }
  return told.appendMarkdown("\n\n_Click for the menu._");
}
