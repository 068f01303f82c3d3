/** Registers a command of this extension by its name behind `foreword.`. */
import { commands, type Disposable } from "vscode";

export function register(name: string, work: (...given: never[]) => unknown): Disposable {
  return commands.registerCommand(`foreword.${name}`, work);
}
