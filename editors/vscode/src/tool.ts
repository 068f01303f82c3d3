/** Runs the `foreword` command for one answer: the doctor, and forgetting an index. */
import { spawn } from "node:child_process";
import { homedir } from "node:os";
import { createInterface } from "node:readline";
import type { Server } from "./server";

/** Looking at every part of a machine takes seconds; an endpoint that hangs is given up long before. */
const TIMEOUT_MS = 120_000;

export interface Done {
  readonly code: number;
  readonly lines: readonly string[];
}

/** `args` of the command that the server runs; every line is told as it comes. */
export function runTool(
  server: Server,
  args: readonly string[],
  told: (line: string) => void,
  extra: NodeJS.ProcessEnv = {},
): Promise<Done> {
  return new Promise((resolve, reject) => {
    const lines: string[] = [];
    const child = spawn(server.command, args, {
      cwd: homedir(),
      env: { ...process.env, NO_COLOR: "1", COLUMNS: "160", ...extra },
      stdio: ["ignore", "pipe", "pipe"],
      timeout: TIMEOUT_MS,
    });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on("line", (line) => {
        lines.push(line);
        told(line);
      });
    }
    child.on("error", reject);
    child.on("close", (code) => resolve({ code: code ?? -1, lines }));
  });
}
