/** An edit of the server taken apart by file, so that a person takes or leaves each as a whole. */
import type {
  CreateFile,
  DeleteFile,
  RenameFile,
  TextDocumentEdit,
  TextEdit,
  WorkspaceEdit,
} from "vscode-languageclient";

type Operation = TextDocumentEdit | CreateFile | RenameFile | DeleteFile;

export interface FileChange {
  /** Before the edit. */
  readonly uri: string;
  /** Of a file that gets another name. */
  readonly newUri?: string;
  readonly kind: "change" | "create" | "rename" | "delete";
  readonly edits: readonly TextEdit[];
}

/** Whether the server wants a person to look at it first. */
export function asks(edit: WorkspaceEdit): boolean {
  return (
    edit.documentChanges !== undefined &&
    Object.values(edit.changeAnnotations ?? {}).some((each) => each.needsConfirmation)
  );
}

/** One for each file, in the order of the edit. */
export function changesOf(edit: WorkspaceEdit): FileChange[] {
  const found = new Map<string, FileChange>();
  for (const [uri, operation] of operationsOf(edit)) {
    const before = found.get(uri) ?? { uri, kind: "change", edits: [] };
    found.set(uri, with_(before, operation));
  }
  return [...found.values()];
}

/** The same edit with these files alone, and nothing in it that asks once more. */
export function only(edit: WorkspaceEdit, taken: readonly FileChange[]): WorkspaceEdit {
  const uris = new Set(taken.map((each) => each.uri));
  const documentChanges = operationsOf(edit)
    .filter(([uri]) => uris.has(uri))
    .map(([, operation]) => withoutQuestion(operation));
  return { documentChanges };
}

/** The text with the edits in it; `offsetAt` is that of the text before. Edits do not overlap (LSP 3.17). */
export function applied(
  text: string,
  edits: readonly TextEdit[],
  offsetAt: (position: TextEdit["range"]["start"]) => number,
): string {
  const parts: string[] = [];
  let at = 0;
  const placed = edits.map((each) => ({
    start: offsetAt(each.range.start),
    end: offsetAt(each.range.end),
    text: each.newText,
  }));
  for (const each of placed.sort((one, other) => one.start - other.start)) {
    parts.push(text.slice(at, each.start), each.text);
    at = each.end;
  }
  parts.push(text.slice(at));
  return parts.join("");
}

/** Each with the URI that its file has before the edit. */
function operationsOf(edit: WorkspaceEdit): [string, Operation][] {
  const former = new Map<string, string>();
  return (edit.documentChanges ?? []).map((operation) => {
    if (!("kind" in operation)) {
      const { uri } = operation.textDocument;
      return [former.get(uri) ?? uri, operation];
    }
    if (operation.kind === "rename") {
      const uri = former.get(operation.oldUri) ?? operation.oldUri;
      former.set(operation.newUri, uri);
      return [uri, operation];
    }
    return [former.get(operation.uri) ?? operation.uri, operation];
  });
}

function with_(change: FileChange, operation: Operation): FileChange {
  if (!("kind" in operation)) {
    return { ...change, edits: [...change.edits, ...operation.edits.filter((each) => "newText" in each)] };
  }
  return operation.kind === "rename"
    ? { ...change, kind: "rename", newUri: operation.newUri }
    : { ...change, kind: operation.kind };
}

function withoutQuestion(operation: Operation): Operation {
  if ("kind" in operation) {
    const { annotationId: _, ...plain } = operation;
    return plain;
  }
  const edits = operation.edits
    .filter((each) => "newText" in each)
    .map(({ range, newText }) => ({ range, newText }));
  return { textDocument: operation.textDocument, edits };
}
