/** Texts that are in no file: what an edit makes of one, and what a block says. The editor shows them as documents that
 * cannot be written to. */
import { commands, type Disposable, EventEmitter, TabInputTextDiff, Uri, window, workspace } from "vscode";

const SCHEME = "foreword-edit";

export class EditTexts implements Disposable {
  readonly #texts = new Map<string, string>();
  readonly #changed = new EventEmitter<Uri>();
  readonly #provider = workspace.registerTextDocumentContentProvider(SCHEME, {
    onDidChange: this.#changed.event,
    provideTextDocumentContent: (uri) => this.#texts.get(uri.toString()) ?? "",
  });

  dispose(): void {
    this.#provider.dispose();
    this.#changed.dispose();
  }

  /** The path's ending tells the editor the language; `name` keeps texts of one path apart. */
  add(path: string, name: string, text: string): Uri {
    const uri = Uri.from({ scheme: SCHEME, path: path.startsWith("/") ? path : `/${path}`, query: name });
    this.#texts.set(uri.toString(), text);
    this.#changed.fire(uri);
    return uri;
  }

  async compare(before: Uri, after: Uri, title: string): Promise<void> {
    await commands.executeCommand("vscode.diff", before, after, title, { preview: true });
  }

  /** Comparisons are over once the edit is decided. */
  async clear(): Promise<void> {
    const stale = window.tabGroups.all
      .flatMap((group) => group.tabs)
      .filter((tab) => tab.input instanceof TabInputTextDiff && tab.input.modified.scheme === SCHEME);
    await window.tabGroups.close(stale, true);
    this.#texts.clear();
  }
}
