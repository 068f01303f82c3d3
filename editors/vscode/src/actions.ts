/** What the commands of the palette and the menu do. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { commands, type LogOutputChannel, ProgressLocation, window } from "vscode";
import { folders, type Server } from "./server";
import type { ServerSettings } from "./settings";
import { runTool } from "./tool";

const OWNER_ONLY = 0o600;

/** Looks at the machine and at every endpoint of the settings, and shows what was found. */
export async function runDoctor(
  server: Server,
  log: LogOutputChannel,
  settings: ServerSettings,
): Promise<void> {
  if (!server.command) {
    await tellNotSetUp();
    return;
  }
  log.show(true);
  // the settings may hold a key: nobody else may read the file, and it is gone afterwards
  const folder = await mkdtemp(join(tmpdir(), "foreword-"));
  try {
    const file = join(folder, "settings.json");
    await writeFile(file, JSON.stringify(settings), { mode: OWNER_ONLY });
    await withProgress("Foreword: looking at this machine", () =>
      runTool(server, ["doctor", "--settings", file], (line) => log.info(line)),
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Removes what is stored of the open folders, once the person has said so; then it is read anew. */
export async function forgetIndex(server: Server, log: LogOutputChannel): Promise<boolean> {
  if (!server.command) {
    await tellNotSetUp();
    return false;
  }
  const roots = folders();
  const clear = "Clear";
  const asked = await window.showWarningMessage(
    "Clear Foreword's index of this workspace?",
    {
      modal: true,
      detail: `${roots.join("\n")}\n\nNo file of yours is touched. The folders are read again at once.`,
    },
    clear,
  );
  if (asked !== clear) {
    return false;
  }
  await server.stop("its index is cleared");
  for (const root of roots) {
    const done = await withProgress("Foreword: clearing the index", () =>
      runTool(server, ["index", "--forget", root], (line) => log.info(line)),
    );
    if (done.code !== 0) {
      void window.showErrorMessage(
        `The index of ${root} was not cleared: ${done.lines.at(-1) ?? "no reason given"}`,
      );
    }
  }
  return true;
}

async function tellNotSetUp(): Promise<void> {
  const picked = await window.showErrorMessage(
    "Foreword's server is not installed on this machine.",
    "Set Up",
  );
  if (picked) {
    await commands.executeCommand("foreword.setUp");
  }
}

function withProgress<Result>(title: string, work: () => Promise<Result>): Thenable<Result> {
  return window.withProgress({ location: ProgressLocation.Window, title }, work);
}
