/** The bar of what a person waits for: it tells what is under way and cancels it. */
import {
  CancellationTokenSource,
  type LogOutputChannel,
  type Progress,
  ProgressLocation,
  window,
} from "vscode";

export interface Bar {
  readonly progress: Progress<{ message?: string }>;
  readonly cancelling: CancellationTokenSource;
}

export class Bars {
  readonly #open = new Set<Bar>();

  constructor(private readonly log: LogOutputChannel) {}

  get areOpen(): boolean {
    return this.#open.size > 0;
  }

  /** The server's words for what it is at. */
  report(message: string): void {
    for (const { progress } of this.#open) {
      progress.report({ message });
    }
  }

  /** An error is told, with `failed` before it, unless somebody has cancelled the work. */
  async show(title: string, failed: string, work: (bar: Bar) => Promise<void>): Promise<void> {
    const options = {
      location: ProgressLocation.Notification,
      title: `Foreword: ${title}`,
      cancellable: true,
    };
    await window.withProgress(options, async (progress, token) => {
      const cancelling = new CancellationTokenSource();
      token.onCancellationRequested(() => cancelling.cancel());
      const bar = { progress, cancelling };
      this.#open.add(bar);
      try {
        await work(bar);
      } catch (error) {
        if (!cancelling.token.isCancellationRequested) {
          this.log.warn(`${title}: ${error}`);
          void window.showWarningMessage(`${failed}: ${error instanceof Error ? error.message : error}`);
        }
      } finally {
        this.#open.delete(bar);
        cancelling.dispose();
      }
    });
  }
}
