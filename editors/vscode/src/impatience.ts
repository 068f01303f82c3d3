/** Who types before the server or its model is ready is given a suggestion when it is, without another key. */
import {
  commands,
  type Disposable,
  type InlineCompletionContext,
  InlineCompletionTriggerKind,
  type TextDocument,
  window,
  workspace,
} from "vscode";

/** Whoever has typed longer ago reads, or is elsewhere: grey text out of nowhere would be a surprise. */
const RECENT_MS = 2 * 60_000;

/** The text as somebody left it, for which nothing has been suggested yet. */
interface Typed {
  readonly document: TextDocument;
  readonly version: number;
  readonly at: number;
}

export class Impatience implements Disposable {
  readonly #listener = workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
    if (contentChanges.length > 0 && document === window.activeTextEditor?.document) {
      this.#typed = { document, version: document.version, at: Date.now() };
    }
  });
  #typed = typedBefore();
  #isReady = false;
  #isAsking = false;

  dispose(): void {
    this.#listener.dispose();
  }

  /** Whether somebody has typed and waits for the model. */
  get isWaiting(): boolean {
    return !this.#isReady && this.#typed !== undefined && Date.now() - this.#typed.at < RECENT_MS;
  }

  /** Whether the model can be asked, as the server tells it from time to time. */
  set isReady(ready: boolean) {
    const before = this.#isReady;
    this.#isReady = ready;
    if (ready && !before) {
      void this.#ask();
    }
  }

  /** There was something to show. */
  satisfied(): void {
    this.#typed = undefined;
  }

  /** `context` as it is to be told to the server: what is asked here has not been asked for by a person, who would
   * want several to choose from. */
  told(context: InlineCompletionContext): InlineCompletionContext {
    return this.#isAsking ? { ...context, triggerKind: InlineCompletionTriggerKind.Automatic } : context;
  }

  /** VS Code keeps the empty answer of before until it is asked by this command. */
  async #ask(): Promise<void> {
    const typed = this.#typed;
    const editor = window.activeTextEditor;
    this.#typed = undefined;
    if (!typed || editor?.document !== typed.document || !isAsLeft(typed) || !suggestsIn(typed.document)) {
      return;
    }
    this.#isAsking = true;
    try {
      await commands.executeCommand("editor.action.inlineSuggest.trigger");
    } finally {
      this.#isAsking = false;
    }
  }
}

/** A document that has versions was typed in before this extension was there to hear of it. */
function typedBefore(): Typed | undefined {
  const document = window.activeTextEditor?.document;
  return document && document.version > 1
    ? { document, version: document.version, at: Date.now() }
    : undefined;
}

function isAsLeft(typed: Typed): boolean {
  return typed.document.version === typed.version && Date.now() - typed.at < RECENT_MS;
}

function suggestsIn(document: TextDocument): boolean {
  return workspace.getConfiguration("editor.inlineSuggest", document).get("enabled", true);
}
