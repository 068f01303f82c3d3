/** Installs Foreword into an environment of its own, from the wheel and the locks that this extension carries:
 * every package by version and hash, none that the locks do not name. */
import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { programIn } from "./command";

/** `light`: server and index, for a model that runs elsewhere. The others run one here. */
export type Tier = "light" | "cpu" | "gpu";

export interface SetUp {
  readonly python: string;
  readonly tier: Tier;
  /** Where the wheel and the locks lie. */
  readonly source: string;
  /** The environment to be made; one that is there is replaced when the new one works. */
  readonly environment: string;
  readonly signal: AbortSignal;
  /** Every line that pip and Python write. */
  readonly log: (line: string) => void;
  readonly report: (step: string) => void;
}

/** What went wrong, for a person; everything else is in the log. */
export class SetUpFailed extends Error {}

const NVIDIA_TIMEOUT_MS = 5_000;
/** Lines of output that are looked through for the cause of a failure. */
const TAIL = 40;

/** Whether an NVIDIA driver answers, as `make setup` asks. */
export function hasGpu(): Promise<boolean> {
  return new Promise((resolve) => {
    execFile("nvidia-smi", ["-L"], { timeout: NVIDIA_TIMEOUT_MS }, (error, stdout) =>
      resolve(!error && stdout.trim() !== ""),
    );
  });
}

/** Makes the environment and returns its `foreword`. */
export async function setUp(wanted: SetUp): Promise<string> {
  const wheel = (await readdir(wanted.source)).find((name) => name.endsWith(".whl"));
  if (!wheel) {
    throw new SetUpFailed(
      "This build of the extension carries no server. Install foreword yourself and set foreword.command.",
    );
  }
  // A venv cannot be moved, so the old one is put aside and comes back if the new one does not work.
  const aside = `${wanted.environment}.before`;
  await rm(aside, { recursive: true, force: true });
  const replaces = existsSync(wanted.environment);
  if (replaces) {
    await rename(wanted.environment, aside);
  }
  try {
    const command = await made(wanted, join(wanted.source, wheel));
    await rm(aside, { recursive: true, force: true });
    return command;
  } catch (error) {
    await rm(wanted.environment, { recursive: true, force: true });
    if (replaces) {
      await rename(aside, wanted.environment);
    }
    throw error;
  }
}

async function made(wanted: SetUp, wheel: string): Promise<string> {
  const python = programIn(wanted.environment, "python");
  const pip = ["-I", "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--no-deps"];
  wanted.report("making an environment");
  await run(wanted, wanted.python, ["-I", "-m", "venv", wanted.environment]);
  wanted.report("looking which packages are needed");
  const lock = join(wanted.source, `${wanted.tier}.txt`);
  await run(wanted, python, [...pip, "--require-hashes", "--progress-bar", "off", "-r", lock]);
  wanted.report("installing Foreword");
  await run(wanted, python, [...pip, wheel]);
  const command = programIn(wanted.environment, "foreword");
  wanted.report("trying it");
  await run(wanted, command, ["--version"]);
  return command;
}

function run(wanted: SetUp, program: string, args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const tail: string[] = [];
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"], signal: wanted.signal });
    const hear = (line: string): void => {
      wanted.log(line);
      tail.push(line);
      tail.splice(0, tail.length - TAIL);
      const step = stepOf(line);
      if (step) {
        wanted.report(step);
      }
    };
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", hear);
    }
    child.on("error", (error) =>
      reject(new SetUpFailed(wanted.signal.aborted ? "It was cancelled." : `${program}: ${error.message}`)),
    );
    child.on("close", (code) =>
      code === 0 ? resolve() : reject(new SetUpFailed(causeOf(tail, program, code))),
    );
  });
}

/** What a line of pip's says is under way, in a few words; undefined for all the others. */
export function stepOf(line: string): string | undefined {
  const collecting = /^Collecting ([\w.-]+)/.exec(line);
  if (collecting) {
    return `fetching ${collecting[1]}`;
  }
  return line.startsWith("Installing collected packages") ? "unpacking what was fetched" : undefined;
}

/** The cause as a person can act on it, from the last lines that pip wrote. */
export function causeOf(tail: readonly string[], program: string, code: number | null): string {
  const text = tail.join("\n");
  if (/No space left on device|Errno 28/.test(text)) {
    return "The disk is full. A model on this machine needs about 9 GB, the server alone about 1 GB.";
  }
  if (
    /NewConnectionError|ConnectTimeout|Name or service not known|Temporary failure|ProxyError|Max retries/.test(
      text,
    )
  ) {
    return "The package index cannot be reached: there is no network, or a proxy is in the way.";
  }
  if (/THESE PACKAGES DO NOT MATCH THE HASHES/.test(text)) {
    return "A package is not the one that was locked: its hash differs. Nothing was installed.";
  }
  if (/No matching distribution|Could not find a version/.test(text)) {
    const missing = /No matching distribution found for (\S+)/.exec(text)?.[1] ?? "a package";
    return `The package index has no ${missing} for this Python and machine.`;
  }
  const last = [...tail].reverse().find((line) => line.trim() !== "");
  return `${program} ended with status ${code}${last ? `: ${last.trim()}` : ""}`;
}
