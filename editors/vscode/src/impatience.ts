/** Who types before the server or its model is ready is given a suggestion when it is, without another key. */
import { type CancellationToken, commands, type Disposable, EventEmitter, window, workspace } from "vscode";

export class Impatience implements Disposable {
  readonly #modelReady = new EventEmitter<void>();
  readonly #listener = workspace.onDidChangeTextDocument((event) => {
    if (event.contentChanges.length > 0 && event.document === window.activeTextEditor?.document) {
      this.#typed = true;
    }
  });
  /** A document that has versions was typed in before this extension was there to hear of it. */
  #typed = (window.activeTextEditor?.document.version ?? 0) > 1;
  #isReady = false;

  dispose(): void {
    this.#listener.dispose();
    this.#modelReady.dispose();
  }

  /** The server runs. VS Code keeps the empty answer of before, when nobody was there to ask, unless it is asked
   * explicitly. */
  running(): void {
    this.#isReady = false;
    if (this.#typed) {
      this.#typed = false;
      void commands.executeCommand("editor.action.inlineSuggest.trigger");
    }
  }

  get isReady(): boolean {
    return this.#isReady;
  }

  /** Whether the model can be asked, as the server tells it from time to time. */
  set isReady(ready: boolean) {
    const before = this.#isReady;
    this.#isReady = ready;
    if (ready && !before) {
      this.#modelReady.fire();
    }
  }

  /** Until the model is ready, at once if it is; false where nobody wants to know any more. */
  whenReady(token: CancellationToken): Promise<boolean> {
    if (this.#isReady || token.isCancellationRequested) {
      return Promise.resolve(this.#isReady && !token.isCancellationRequested);
    }
    return new Promise((resolve) => {
      const listeners = [
        this.#modelReady.event(() => settle(true)),
        token.onCancellationRequested(() => settle(false)),
      ];
      const settle = (ready: boolean): void => {
        for (const each of listeners) {
          each.dispose();
        }
        resolve(ready);
      };
    });
  }
}
