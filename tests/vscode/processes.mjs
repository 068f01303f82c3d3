// The processes that this run has started, found by who started them.
import { readdirSync, readFileSync } from "node:fs";

function parents() {
  const found = new Map();
  for (const name of readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const told = readFileSync(`/proc/${name}/stat`, "utf8");
      const fields = told.slice(told.lastIndexOf(")") + 2).split(" ");
      found.set(Number(name), Number(fields[1]));
    } catch {
      // gone in the meantime
    }
  }
  return found;
}

/** Pids of descendants of `ancestor` whose command line has all of `words`. */
export function descendants(ancestor, ...words) {
  const parent = parents();
  const isBelow = (pid) => {
    for (let at = parent.get(pid); at; at = parent.get(at)) {
      if (at === ancestor) {
        return true;
      }
    }
    return false;
  };
  return [...parent.keys()].filter((pid) => {
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return isBelow(pid) && words.every((word) => command.some((part) => part.endsWith(word)));
    } catch {
      return false;
    }
  });
}
