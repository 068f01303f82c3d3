/** Finds programs on the PATH, never inside a folder that is open: what a repository brings is not run. */
import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { homedir } from "node:os";
import { delimiter, isAbsolute, join, relative, sep } from "node:path";

const WINDOWS = process.platform === "win32";

/** `~` as the shell knows it, for paths that a person writes into the settings. */
export function expanded(path: string): string {
  return path === "~" || path.startsWith("~/") ? join(homedir(), path.slice(1)) : path;
}

/** Whether `path` is `folder` or something within it, links on both sides followed. */
export async function isWithin(path: string, folder: string): Promise<boolean> {
  const [inner, outer] = await Promise.all([resolved(path), resolved(folder)]);
  const way = relative(outer, inner);
  return way === "" || (way !== ".." && !way.startsWith(`..${sep}`) && !isAbsolute(way));
}

async function resolved(path: string): Promise<string> {
  try {
    return await realpath(path);
  } catch {
    return path; // not there: nothing to follow
  }
}

export async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** Where `name` is found on `searchPath`, in its order. Relative entries are left out, since they mean a
 * folder of wherever one happens to be, and so is everything within `forbidden`. */
export async function onPath(
  name: string,
  searchPath: string,
  forbidden: readonly string[],
): Promise<string[]> {
  const found: string[] = [];
  for (const folder of searchPath.split(delimiter).filter(isAbsolute)) {
    const program = join(folder, WINDOWS ? `${name}.exe` : name);
    if ((await isProgram(program)) && !(await withinAny(program, folder, forbidden))) {
      found.push(program);
    }
  }
  return found;
}

/** Both count: a link in an open folder to a program elsewhere, and a link elsewhere to a program in there. */
async function withinAny(program: string, folder: string, forbidden: readonly string[]): Promise<boolean> {
  for (const each of forbidden) {
    if ((await isWithin(program, each)) || (await isWithin(folder, each))) {
      return true;
    }
  }
  return false;
}
