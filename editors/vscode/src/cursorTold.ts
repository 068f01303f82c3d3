/** Tells the server where the cursor rests, so that the model reads that place before anything is typed there. */
import { type Disposable, type TextDocument, type TextEditor, window } from "vscode";
import type { Server } from "./server";

/** Whoever stays at a place for so long looks at it; whoever goes through a file does not. */
const RESTS_MS = 1500;

export class CursorTold implements Disposable {
  readonly #listeners: Disposable[];
  #timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly server: Server,
    private readonly paused: (document: TextDocument) => boolean,
  ) {
    this.#listeners = [
      window.onDidChangeTextEditorSelection(({ textEditor }) => this.#moved(textEditor)),
      window.onDidChangeActiveTextEditor((editor) => this.#moved(editor)),
      server.onDidChange(() => this.#moved(window.activeTextEditor)),
    ];
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const each of this.#listeners) {
      each.dispose();
    }
  }

  #moved(editor: TextEditor | undefined): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#rests(editor), RESTS_MS);
  }

  /** Several cursors, or text that is selected, are no place where a completion is wanted. */
  #rests(editor: TextEditor | undefined): void {
    if (!editor || editor !== window.activeTextEditor || this.paused(editor.document)) {
      return;
    }
    if (editor.selections.length === 1 && editor.selection.isEmpty) {
      void this.server.tellCursor(editor.document, editor.selection.active);
    }
  }
}
