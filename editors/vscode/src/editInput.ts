/** Asks for an instruction, and for what it is about: one line of text, and below it the places to choose from. */
import { type QuickPickItem, type TextEditor, type Uri, window, workspace } from "vscode";
import { counted } from "./editBlocks";
import type { ServerStatus } from "./status";

/** What `foreword.edit` takes besides the instruction. */
export interface Scope {
  readonly uri?: string;
  /** From 1, both included. */
  readonly lines?: readonly [number, number];
  readonly uris?: readonly string[];
  /** False: nothing but the file that is named; else the server decides whether it plans first which files change. */
  readonly plan?: boolean;
}

interface Place extends QuickPickItem {
  readonly scope: Scope;
}

export interface Asked {
  readonly instruction: string;
  readonly scope: Scope;
}

const TITLE = "Foreword: Edit";

/** `files` are those that were chosen in the explorer; else the active editor tells what it is about. */
export async function askWithPlace(
  files: readonly Uri[],
  edits: ServerStatus["edits"],
): Promise<Asked | undefined> {
  const places = files.length > 0 ? [chosenFiles(files)] : placesHere(window.activeTextEditor, edits);
  if (places.length === 0) {
    void window.showWarningMessage("Foreword edits files of an open folder. Open one first.");
    return undefined;
  }
  const picker = window.createQuickPick<Place>();
  picker.title = TITLE;
  picker.placeholder = "What is to be changed, in words; below, where";
  picker.items = places;
  picker.ignoreFocusOut = true; // what was typed is not lost by a look at the code
  try {
    return await new Promise<Asked | undefined>((resolve) => {
      picker.onDidAccept(() => {
        const [place] = picker.activeItems.length > 0 ? picker.activeItems : places;
        const instruction = picker.value.trim();
        if (place && instruction) {
          resolve({ instruction, scope: place.scope });
        }
      });
      picker.onDidHide(() => resolve(undefined));
      picker.show();
    });
  } finally {
    picker.dispose();
  }
}

/** For a place that is known: a code action has it. */
export async function askFor(scope: Scope): Promise<string | undefined> {
  const where = scope.lines ? `lines ${scope.lines[0]} to ${scope.lines[1]}` : "this file";
  const instruction = await window.showInputBox({
    title: TITLE,
    prompt: `What is to be changed in ${where}, in words`,
    ignoreFocusOut: true,
  });
  return instruction?.trim() || undefined;
}

function placesHere(editor: TextEditor | undefined, edits: ServerStatus["edits"]): Place[] {
  const places: Place[] = [];
  const document = editor?.document;
  if (editor && document?.uri.scheme === "file") {
    const uri = document.uri.toString();
    const name = workspace.asRelativePath(document.uri, false);
    const lines = linesOf(editor);
    if (lines) {
      places.push(place("selection", `lines ${lines[0]} to ${lines[1]} of ${name}`, { uri, lines }));
    }
    places.push(place("file", name, { uri, plan: false }));
    const others = workspace.textDocuments
      .filter((each) => each !== document && isShown(each.uri) && isBeside(each.uri, document.uri))
      .map((each) => each.uri.toString());
    if (others.length > 0 && edits?.severalFiles) {
      const told = `${name} and ${counted(others.length, "other open file")}`;
      places.push(place("files", told, { uri, uris: others }));
    }
  }
  if (workspace.workspaceFolders?.length === 1) {
    const which = edits?.severalFiles
      ? "the workspace: Foreword finds the files"
      : "the workspace: Foreword finds the file";
    places.push({ ...place("search", which, {}), ...(edits?.severalFiles ? {} : oneFile(edits)) });
  }
  return places;
}

function chosenFiles(files: readonly Uri[]): Place {
  const [first, ...others] = files.map((each) => each.toString());
  const names = files.map((each) => workspace.asRelativePath(each, false)).join(", ");
  return place("files", names, { ...(first ? { uri: first } : {}), uris: others });
}

/** Nothing that was typed is looked for in the label, so that no place moves or goes while one types. */
function place(icon: string, description: string, scope: Scope): Place {
  return { label: `$(${icon})`, description, alwaysShow: true, scope };
}

function oneFile(edits: ServerStatus["edits"]): Partial<Place> {
  return edits?.reason ? { detail: `One file at a time: ${edits.reason}` } : {};
}

/** The line that a selection ends before is not part of it. */
function linesOf(editor: TextEditor): [number, number] | undefined {
  const { start, end, isEmpty } = editor.selection;
  if (isEmpty) {
    return undefined;
  }
  const last = end.character === 0 && end.line > start.line ? end.line : end.line + 1;
  return [start.line + 1, last];
}

function isShown(uri: Uri): boolean {
  return window.tabGroups.all.some((group) =>
    group.tabs.some((tab) => (tab.input as { uri?: Uri } | undefined)?.uri?.toString() === uri.toString()),
  );
}

function isBeside(one: Uri, other: Uri): boolean {
  const folder = workspace.getWorkspaceFolder(one);
  return one.scheme === "file" && folder !== undefined && folder === workspace.getWorkspaceFolder(other);
}
