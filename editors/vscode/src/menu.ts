/** The menu of the status bar item: what can be done now, with what is so beside it. */
import { commands, type QuickPickItem, QuickPickItemKind, window } from "vscode";
import { isPaused, type Pauses } from "./pauses";
import type { Server } from "./server";
import type { Shown } from "./status";

interface Entry extends QuickPickItem {
  readonly command?: string;
}

export async function showMenu(server: Server, now: Shown, pauses: Pauses): Promise<void> {
  const language = window.activeTextEditor?.document.languageId;
  const entries = [...helping(server), ...told(now), ...acting(pauses, language)];
  const picked = await window.showQuickPick(entries, { title: "Foreword", matchOnDescription: true });
  if (picked?.command) {
    await commands.executeCommand(picked.command);
  }
}

/** What a person needs first where something is wrong. */
function helping(server: Server): Entry[] {
  switch (server.running.state) {
    case "missing":
      return [{ label: "$(cloud-download) Set Up the Server", command: "foreword.setUp" }];
    case "failed":
    case "stopped":
      return [{ label: "$(debug-restart) Restart the Server", command: "foreword.restart" }];
    default:
      return [];
  }
}

function told(now: Shown): Entry[] {
  const rows = now.rows.map(([name, value]) => ({ label: `$(info) ${name}`, description: value }));
  return rows.length > 0 ? [separator("now"), ...rows] : [];
}

function acting(pauses: Pauses, language: string | undefined): Entry[] {
  const here = isPaused({ ...pauses, workspace: false }, language);
  return [
    separator("do"),
    { label: "$(edit) Edit…", command: "foreword.askEdit" },
    { label: "$(book) Show What the Model Reads Here", command: "foreword.showContext" },
    ...(language
      ? [
          {
            label: `${here ? "$(play) Resume" : "$(debug-pause) Pause"} for ${language}`,
            command: "foreword.toggleLanguage",
          },
        ]
      : []),
    {
      label: `${pauses.workspace ? "$(play) Resume" : "$(debug-pause) Pause"} in This Workspace`,
      command: "foreword.toggleWorkspace",
    },
    { label: "$(debug-restart) Restart the Server", command: "foreword.restart" },
    { label: "$(trash) Clear the Index of This Workspace", command: "foreword.forgetIndex" },
    { label: "$(pulse) Run Doctor", command: "foreword.doctor" },
    { label: "$(output) Show Log", command: "foreword.showLog" },
    { label: "$(settings-gear) Open Settings", command: "foreword.openSettings" },
    { label: "$(rocket) First Steps", command: "foreword.openWalkthrough" },
  ];
}

function separator(label: string): Entry {
  return { label, kind: QuickPickItemKind.Separator };
}
