/** Tells the server the diagnostics of whole files, by whatever extension: the protocol tells it only those at the
 * cursor. What came of an edit is seen so, and what is alike in a file can be fixed at once. */
import { type Disposable, languages, type Uri, workspace } from "vscode";
import type { Server } from "./server";

/** Changes that come closer together than this are told as one. */
const TOGETHER_MS = 100;

export class DiagnosticsTold implements Disposable {
  readonly #pending = new Set<string>();
  /** That were told to the server that runs, as text. */
  readonly #told = new Map<string, string>();
  readonly #listeners: Disposable[];
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly server: Server) {
    this.#listeners = [
      languages.onDidChangeDiagnostics(({ uris }) => this.#changed(uris)),
      workspace.onDidOpenTextDocument(({ uri }) => this.#changed([uri])),
      workspace.onDidCloseTextDocument(({ uri }) => this.#told.delete(uri.toString())),
      server.onDidChange(({ state }) => {
        if (state === "running") {
          this.#told.clear();
          this.#changed(workspace.textDocuments.map(({ uri }) => uri));
        }
      }),
    ];
  }

  dispose(): void {
    clearTimeout(this.#timer);
    for (const each of this.#listeners) {
      each.dispose();
    }
  }

  #changed(uris: readonly Uri[]): void {
    for (const uri of uris.filter(({ scheme }) => scheme === "file")) {
      this.#pending.add(uri.toString());
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#tell();
    }, TOGETHER_MS);
  }

  /** Of what the server has open; none at all is told once, so that it is known. */
  #tell(): void {
    for (const document of workspace.textDocuments) {
      const uri = document.uri.toString();
      if (!this.#pending.has(uri)) {
        continue;
      }
      const found = languages.getDiagnostics(document.uri);
      const text = JSON.stringify(found);
      if (text !== this.#told.get(uri)) {
        this.#told.set(uri, text);
        void this.server.tellDiagnostics(document, found);
      }
    }
    this.#pending.clear();
  }
}
