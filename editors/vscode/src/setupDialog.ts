/** Setting up as a person sees it: what is wanted, how far it is, and what helps when it fails. */
import { join } from "node:path";
import {
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

export interface Choice {
  readonly label: string;
  readonly detail: string;
  readonly tier: "here" | "elsewhere";
}

const CHOICES: readonly Choice[] = [
  {
    label: "Server, index and a model on this machine",
    detail: "Everything stays here. About 4 GB to fetch, 9 GB on disk; more with NVIDIA.",
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

/** A set-up that came to nothing. */
export interface NotSetUp {
  /** What was chosen, so that another try does not ask again. */
  readonly choice: Choice | undefined;
  /** Says why, with a button that helps; whether the person wants another try. */
  readonly tell: () => Promise<boolean>;
}

const AGAIN = "Try Again";
const NOT_WANTED = async (): Promise<boolean> => false;

/** The command that was installed, or why there is none. Asks what is wanted unless that is given. */
export async function setUpWithDialog(
  context: ExtensionContext,
  log: LogOutputChannel,
  given?: Choice,
): Promise<string | NotSetUp> {
  const choice = given ?? (await chosen());
  if (!choice) {
    return { choice, tell: NOT_WANTED };
  }
  const configured = workspace.getConfiguration("foreword").get("python", "");
  const python = await findPython(configured, process.env.PATH ?? "", folders());
  if ("problem" in python) {
    log.error(python.problem);
    return { choice, tell: () => tellNoPython(python.problem, configured !== "") };
  }
  const tier: Tier = choice.tier === "elsewhere" ? "light" : (await hasGpu()) ? "gpu" : "cpu";
  log.info(`setting up (${tier}) with ${python.program}, Python ${python.version.join(".")}`);
  const aborter = new AbortController();
  try {
    return await installed(context, log, aborter, python.program, tier);
  } catch (error) {
    return { choice, tell: aborter.signal.aborted ? NOT_WANTED : () => tellFailed(error, log) };
  }
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
  aborter: AbortController,
  python: string,
  tier: Tier,
): Promise<string> {
  return window.withProgress(
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
}

async function tellFailed(error: unknown, log: LogOutputChannel): Promise<boolean> {
  const why = error instanceof SetUpFailed ? error.message : String(error);
  log.error(why);
  const picked = await window.showErrorMessage(`Foreword could not be set up. ${why}`, AGAIN, "Show Log");
  if (picked === "Show Log") {
    log.show();
  }
  return picked === AGAIN;
}

/** Whoever went for what is missing finds the message again, with the way back. */
async function tellNoPython(problem: string, configured: boolean): Promise<boolean> {
  if (!(await window.showErrorMessage(problem, configured ? "Open Settings" : "Get Python"))) {
    return false;
  }
  if (configured) {
    await openSettings("foreword.python");
  } else {
    await env.openExternal(Uri.parse(PYTHON_HELP));
  }
  return (await window.showErrorMessage(problem, AGAIN)) === AGAIN;
}
