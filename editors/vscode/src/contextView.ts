/** What the model reads at the cursor, as the server's own page beside the editor. */
import { randomBytes } from "node:crypto";
import {
  CancellationTokenSource,
  type Disposable,
  type TextEditor,
  ViewColumn,
  type WebviewPanel,
  window,
  workspace,
} from "vscode";
import { messagePage, webviewPage } from "./contextPage";
import type { Server } from "./server";

const TITLE = "What the Model Reads";
const NONCE_BYTES = 16;

interface ContextAnswer {
  readonly reason: string;
  readonly html?: string;
}

export class ContextView implements Disposable {
  #panel: WebviewPanel | undefined;
  /** Looking at the panel takes the focus off the editor: this is the one that was looked at before. */
  #editor: TextEditor | undefined;
  #resting: NodeJS.Timeout | undefined;
  #asking: CancellationTokenSource | undefined;
  #shown = "";
  readonly #listeners: Disposable[] = [
    window.onDidChangeTextEditorSelection((event) => this.#moved(event.textEditor)),
    window.onDidChangeActiveTextEditor((editor) => editor && this.#moved(editor)),
    workspace.onDidChangeTextDocument((event) => {
      if (event.document === this.#editor?.document) {
        this.#moved(this.#editor);
      }
    }),
  ];

  constructor(private readonly server: Server) {}

  dispose(): void {
    clearTimeout(this.#resting);
    this.#asking?.dispose();
    this.#panel?.dispose();
    for (const each of this.#listeners) {
      each.dispose();
    }
  }

  async show(): Promise<void> {
    this.#editor = window.activeTextEditor ?? this.#editor;
    if (!this.#panel) {
      this.#panel = window.createWebviewPanel(
        "foreword.context",
        TITLE,
        { viewColumn: ViewColumn.Beside, preserveFocus: true },
        { enableScripts: true, localResourceRoots: [] },
      );
      this.#panel.onDidDispose(() => {
        this.#panel = undefined;
        this.#shown = "";
      });
      this.#panel.onDidChangeViewState(() => this.#panel?.visible && void this.#update());
    } else {
      this.#panel.reveal(undefined, true);
    }
    await this.#update();
  }

  #moved(editor: TextEditor): void {
    if (!["file", "untitled", "vscode-notebook-cell"].includes(editor.document.uri.scheme)) {
      return; // the log, a diff, a setting: nothing that is completed
    }
    this.#editor = editor;
    clearTimeout(this.#resting);
    if (this.#panel?.visible) {
      const delay = workspace.getConfiguration("foreword").get("contextView.delayMs", 600);
      this.#resting = setTimeout(() => void this.#update(), delay);
    }
  }

  async #update(): Promise<void> {
    const panel = this.#panel;
    if (!panel) {
      return;
    }
    this.#asking?.cancel();
    this.#asking?.dispose();
    const asking = new CancellationTokenSource();
    this.#asking = asking;
    const page = await this.#page(asking);
    if (asking.token.isCancellationRequested || this.#panel !== panel || page === undefined) {
      return;
    }
    if (page.html !== this.#shown) {
      this.#shown = page.html;
      const nonce = randomBytes(NONCE_BYTES).toString("hex");
      panel.webview.html = page.isOurs ? messagePage(page.html, nonce) : webviewPage(page.html, nonce);
    }
  }

  async #page(asking: CancellationTokenSource): Promise<{ html: string; isOurs: boolean } | undefined> {
    const editor = this.#editor;
    if (!editor) {
      return {
        html: "Open a file and put the cursor somewhere: what the model reads there is shown here.",
        isOurs: true,
      };
    }
    if (this.server.running.state !== "running") {
      return { html: "Foreword's server does not run. The item in the status bar tells why.", isOurs: true };
    }
    const { line, character } = editor.selection.active;
    const answer = await this.server.request<ContextAnswer>(
      "foreword/context",
      { textDocument: { uri: editor.document.uri.toString() }, position: { line, character }, html: true },
      asking.token,
    );
    if (answer === undefined) {
      return asking.token.isCancellationRequested
        ? undefined
        : { html: "The server did not answer. Its log tells why.", isOurs: true };
    }
    return answer.html
      ? { html: answer.html, isOurs: false }
      : { html: `Nothing is read here: ${answer.reason || "the server gives no reason"}.`, isOurs: true };
  }
}
