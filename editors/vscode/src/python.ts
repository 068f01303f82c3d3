/** Finds a Python that Foreword can be set up with. */
import { execFile } from "node:child_process";
import { expanded, isProgram, onPath } from "./programs";

export const OLDEST = [3, 11] as const;
/** Newest first, then whatever the system calls Python. */
const NAMES = ["python3.14", "python3.13", "python3.12", "python3.11", "python3", "python"];
const PROBE_TIMEOUT_MS = 10_000;
/** `-I`: neither the current folder nor the user's site packages have a say. */
const PROBE = [
  "-I",
  "-c",
  "import sys, importlib.util as u; print(*sys.version_info[:2], int(u.find_spec('ensurepip') is not None))",
];

export interface Python {
  readonly program: string;
  readonly version: readonly [number, number];
  /** Debian ships the module that makes environments in a package of its own. */
  readonly makesEnvironments: boolean;
}

export interface NoPython {
  readonly problem: string;
}

/** The first one that is new enough. `configured` alone is looked at where it is given. */
export async function findPython(
  configured: string,
  searchPath: string,
  forbidden: readonly string[],
): Promise<Python | NoPython> {
  const candidates = configured ? [expanded(configured)] : await all(searchPath, forbidden);
  const looked: Python[] = [];
  for (const program of candidates) {
    const python = await probe(program);
    if (python && isNewEnough(python.version) && python.makesEnvironments) {
      return python;
    }
    if (python) {
      looked.push(python);
    }
  }
  return { problem: whyNone(configured, looked) };
}

async function all(searchPath: string, forbidden: readonly string[]): Promise<string[]> {
  const found = await Promise.all(NAMES.map((name) => onPath(name, searchPath, forbidden)));
  return [...new Set(found.flat())];
}

function isNewEnough([major, minor]: readonly [number, number]): boolean {
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

function whyNone(configured: string, looked: readonly Python[]): string {
  const needed = `Foreword needs Python ${OLDEST.join(".")} or newer`;
  const bare = looked.find((python) => isNewEnough(python.version));
  if (bare) {
    const [major, minor] = bare.version;
    return (
      `${bare.program} cannot make an environment: its module ensurepip is missing. ` +
      `On Debian and Ubuntu: sudo apt-get install python${major}.${minor}-venv.`
    );
  }
  const [newest] = [...looked].sort((a, b) => b.version[0] - a.version[0] || b.version[1] - a.version[1]);
  if (newest) {
    return `${needed}; the newest one found is ${newest.version.join(".")} (${newest.program}).`;
  }
  return configured
    ? `${needed}; foreword.python is ${configured}, and no Python answers there.`
    : `${needed}, and there is no Python on the PATH.`;
}

async function probe(program: string): Promise<Python | undefined> {
  if (!(await isProgram(program))) {
    return undefined;
  }
  const told = await new Promise<string>((resolve) => {
    execFile(program, PROBE, { timeout: PROBE_TIMEOUT_MS }, (error, stdout) => resolve(error ? "" : stdout));
  });
  const [major, minor, whole] = told.trim().split(" ").map(Number);
  if (major === undefined || minor === undefined || Number.isNaN(major) || Number.isNaN(minor)) {
    return undefined; // no Python, or one that does not work
  }
  return { program, version: [major, minor], makesEnvironments: whole === 1 };
}
