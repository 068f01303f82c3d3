/** Setting up as a person sees it: what is wanted, how far it is, and what helps when it fails. */
import { join } from "node:path";
import {
  commands,
  type ExtensionContext,
  env,
  type LogOutputChannel,
  ProgressLocation,
  Uri,
  window,
  workspace,
} from "vscode";
import { openSettings } from "./openSettings";
import { findPython } from "./python";
import { folders } from "./server";
import { hasGpu, SetUpFailed, setUp, type Tier } from "./setup";

const PYTHON_HELP = "https://www.python.org/downloads/";

interface Choice {
  readonly label: string;
  readonly detail: string;
  readonly tier: "here" | "elsewhere";
}

const CHOICES: readonly Choice[] = [
  {
    label: "Server, index and a model on this machine",
    detail: "Linux. Everything stays here. About 4 GB to fetch, 9 GB on disk; with an NVIDIA driver more.",
    tier: "here",
  },
  {
    label: "Server and index only",
    detail: "For a model server of yours, which foreword.engine.url names. About 0.2 GB to fetch.",
    tier: "elsewhere",
  },
];

/** The environment that `setUpWithDialog` makes, within the extension's own storage: the same for all workspaces. */
export function environmentFolder(context: ExtensionContext): string {
  return join(context.globalStorageUri.fsPath, "server");
}

/** The command that was installed; undefined where it was not, and the person knows why. */
export async function setUpWithDialog(
  context: ExtensionContext,
  log: LogOutputChannel,
): Promise<string | undefined> {
  const choice = await chosen();
  if (!choice) {
    return undefined;
  }
  const configured = workspace.getConfiguration("foreword").get("python", "");
  const python = await findPython(configured, process.env.PATH ?? "", folders());
  if ("problem" in python) {
    await tellNoPython(python.problem, configured !== "");
    return undefined;
  }
  const tier: Tier = choice.tier === "elsewhere" ? "light" : (await hasGpu()) ? "gpu" : "cpu";
  log.info(`setting up (${tier}) with ${python.program}, Python ${python.version.join(".")}`);
  return installed(context, log, python.program, tier);
}

async function chosen(): Promise<Choice | undefined> {
  if (process.platform !== "linux") {
    return CHOICES.find((choice) => choice.tier === "elsewhere");
  }
  return window.showQuickPick(CHOICES, {
    title: "Set up Foreword's server in an environment of its own",
    placeHolder: "Where does the model run?",
    ignoreFocusOut: true,
  });
}

async function installed(
  context: ExtensionContext,
  log: LogOutputChannel,
  python: string,
  tier: Tier,
): Promise<string | undefined> {
  const aborter = new AbortController();
  try {
    return await window.withProgress(
      { location: ProgressLocation.Notification, title: "Setting up Foreword", cancellable: true },
      (progress, token) => {
        token.onCancellationRequested(() => aborter.abort());
        return setUp({
          python,
          tier,
          source: context.asAbsolutePath("dist/server"),
          environment: environmentFolder(context),
          signal: aborter.signal,
          log: (line) => log.info(line),
          report: (message) => progress.report({ message }),
        });
      },
    );
  } catch (error) {
    if (!aborter.signal.aborted) {
      await tellFailed(error, log);
    }
    return undefined;
  }
}

async function tellFailed(error: unknown, log: LogOutputChannel): Promise<void> {
  const why = error instanceof SetUpFailed ? error.message : String(error);
  log.error(why);
  const picked = await window.showErrorMessage(
    `Foreword could not be set up. ${why}`,
    "Try Again",
    "Show Log",
  );
  if (picked === "Try Again") {
    await commands.executeCommand("foreword.setUp");
  } else if (picked) {
    log.show();
  }
}

async function tellNoPython(problem: string, configured: boolean): Promise<void> {
  const picked = await window.showErrorMessage(problem, configured ? "Open Settings" : "Get Python");
  if (picked && configured) {
    await openSettings("foreword.python");
  } else if (picked) {
    await env.openExternal(Uri.parse(PYTHON_HELP));
  }
}
