/** Brings what was changed into sight, in an editor that shows the file already. */
import { Range, TextEditorRevealType, window } from "vscode";
import type { WorkspaceEdit } from "vscode-languageclient";

export function revealed(edit: WorkspaceEdit): void {
  for (const change of edit.documentChanges ?? []) {
    if ("kind" in change) {
      continue;
    }
    const editor = window.visibleTextEditors.find(
      ({ document }) => document.uri.toString() === change.textDocument.uri,
    );
    const [first] = change.edits;
    if (editor && first) {
      const { line } = first.range.start;
      editor.revealRange(new Range(line, 0, line, 0), TextEditorRevealType.InCenterIfOutsideViewport);
    }
  }
}
