/** Which `foreword` command is run: the configured one, one on the PATH, or the one that was set up here. */
import { isAbsolute, join } from "node:path";
import { expanded, isProgram, onPath } from "./programs";

export interface Places {
  /** The setting `foreword.command`. */
  readonly configured: string;
  readonly searchPath: string;
  /** The environment that `setup.ts` makes. */
  readonly environment: string;
  /** Folders of which nothing is run. */
  readonly workspace: readonly string[];
}

export interface Found {
  readonly command: string;
  readonly from: "settings" | "PATH" | "setup";
}

export interface Missing {
  /** A sentence for a person. */
  readonly problem: string;
  /** What helps: another setting, or a set-up. */
  readonly remedy: "settings" | "setup";
}

export function programIn(environment: string, name: string): string {
  return process.platform === "win32"
    ? join(environment, "Scripts", `${name}.exe`)
    : join(environment, "bin", name);
}

export async function findCommand(places: Places): Promise<Found | Missing> {
  if (places.configured) {
    return configured(expanded(places.configured));
  }
  const [first] = await onPath("foreword", places.searchPath, places.workspace);
  if (first) {
    return { command: first, from: "PATH" };
  }
  const own = programIn(places.environment, "foreword");
  if (await isProgram(own)) {
    return { command: own, from: "setup" };
  }
  return { problem: "Foreword's server is not installed on this machine.", remedy: "setup" };
}

/** A person's own word, wherever it points: somebody who works on Foreword runs it from the open folder. */
async function configured(command: string): Promise<Found | Missing> {
  if (!isAbsolute(command)) {
    return {
      problem: `foreword.command is ${command}, which is no absolute path: it could mean a program of any folder.`,
      remedy: "settings",
    };
  }
  if (!(await isProgram(command))) {
    return {
      problem: `foreword.command is ${command}, but no program that can be run is there.`,
      remedy: "settings",
    };
  }
  return { command, from: "settings" };
}
