/** What `foreword.explain` answers, as a text beside the code. */
import { type Disposable, languages, Uri, ViewColumn, window, workspace } from "vscode";

const SCHEME = "foreword-explanation";

export class Explanations implements Disposable {
  readonly #texts = new Map<string, string>();
  readonly #provider = workspace.registerTextDocumentContentProvider(SCHEME, {
    provideTextDocumentContent: (uri) => this.#texts.get(uri.toString()) ?? "",
  });
  readonly #listener = workspace.onDidCloseTextDocument((document) => {
    this.#texts.delete(document.uri.toString());
  });
  #count = 0;

  dispose(): void {
    this.#provider.dispose();
    this.#listener.dispose();
  }

  async show(title: string, text: string): Promise<void> {
    this.#count += 1;
    const uri = Uri.from({ scheme: SCHEME, path: `/${title}`, query: `${this.#count}` });
    this.#texts.set(uri.toString(), `${text}\n`);
    const document = await workspace.openTextDocument(uri);
    await languages.setTextDocumentLanguage(document, "markdown"); // wraps long lines
    await window.showTextDocument(document, {
      viewColumn: ViewColumn.Beside,
      preserveFocus: true,
      preview: true,
    });
  }
}
