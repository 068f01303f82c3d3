/** Of an edit that waits for a person: its files, which of them are taken, and what each will hold. */
import { basename } from "node:path";
import { type Disposable, EventEmitter, Position, type TextDocument, Uri, workspace } from "vscode";
import type { WorkspaceEdit } from "vscode-languageclient";
import { applied, changesOf, type FileChange, only } from "./editChanges";
import type { EditTexts } from "./editTexts";

export class Review implements Disposable {
  readonly changes: readonly FileChange[];
  /** Undefined: nothing is taken. */
  readonly decided: Promise<WorkspaceEdit | undefined>;
  readonly #taken: Set<FileChange>;
  /** Files that were changed while somebody looked: what the edit would do to them nobody has seen. */
  readonly #moved = new Set<FileChange>();
  readonly #changed = new EventEmitter<void>();
  readonly onDidChange = this.#changed.event;
  readonly #listener = workspace.onDidChangeTextDocument(({ document, contentChanges }) => {
    if (contentChanges.length > 0) {
      this.#hasMoved(document);
    }
  });
  #decide: (edit: WorkspaceEdit | undefined) => void = () => undefined;

  constructor(
    private readonly edit: WorkspaceEdit,
    private readonly texts: EditTexts,
  ) {
    this.changes = changesOf(edit);
    this.#taken = new Set(this.changes);
    this.decided = new Promise((resolve) => {
      this.#decide = resolve;
    });
  }

  dispose(): void {
    this.#decide(undefined);
    this.#listener.dispose();
    this.#changed.dispose();
  }

  get taken(): readonly FileChange[] {
    return this.changes.filter((each) => this.#taken.has(each));
  }

  isTaken(change: FileChange): boolean {
    return this.#taken.has(change);
  }

  hasMoved(change: FileChange): boolean {
    return this.#moved.has(change);
  }

  take(change: FileChange, taken: boolean): void {
    if (taken && !this.#moved.has(change)) {
      this.#taken.add(change);
    } else {
      this.#taken.delete(change);
    }
    this.#changed.fire();
  }

  apply(): void {
    this.#decide(this.taken.length > 0 ? only(this.edit, this.taken) : undefined);
  }

  discard(): void {
    this.#decide(undefined);
  }

  async show(change: FileChange): Promise<void> {
    const before = Uri.parse(change.uri);
    const path = (change.newUri ? Uri.parse(change.newUri) : before).path;
    const document = change.kind === "create" ? undefined : await workspace.openTextDocument(before);
    const after =
      change.kind === "delete"
        ? ""
        : applied(document?.getText() ?? "", change.edits, (at) => offsetIn(document, at));
    await this.texts.compare(
      document?.uri ?? this.texts.add(path, "before", ""),
      this.texts.add(path, "after", after),
      `${basename(path)}: what the edit makes of it`,
    );
  }

  #hasMoved(document: TextDocument): void {
    const change = this.changes.find((each) => Uri.parse(each.uri).toString() === document.uri.toString());
    if (change && !this.#moved.has(change)) {
      this.#moved.add(change);
      this.#taken.delete(change);
      this.#changed.fire();
    }
  }
}

/** What is not there yet begins at 0. */
function offsetIn(document: TextDocument | undefined, at: { line: number; character: number }): number {
  return document ? document.offsetAt(new Position(at.line, at.character)) : 0;
}
