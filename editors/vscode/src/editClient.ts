/** Where edits meet the language client: what it says it can do, and what of its work is taken over. */
import { CancellationTokenSource } from "vscode";
import type { LanguageClient, Middleware, StaticFeature } from "vscode-languageclient/node";
import type { BlockNote } from "./editBlocks";
import { COMMANDS, type Editing, type Given, type PlanNote } from "./editing";
import type { HelpedNote } from "./helped";

export function editFeatures(client: LanguageClient, editing: Editing): StaticFeature[] {
  return [
    {
      fillClientCapabilities: (capabilities) => {
        capabilities.experimental = {
          ...(capabilities.experimental as object | undefined),
          foreword: { edit: true, plan: true, ask: true, helped: true },
        };
      },
      initialize: () => {
        client.onNotification("foreword/edit", (note: BlockNote) => editing.heard(note));
        client.onNotification("foreword/plan", (note: PlanNote) => editing.planned(note));
        client.onNotification("foreword/helped", (note: HelpedNote) => editing.helped.heard(note));
      },
      getState: () => ({ kind: "static" }),
      clear: () => undefined,
    },
  ];
}

export function editMiddleware(
  editing: Editing,
): Pick<Middleware, "executeCommand" | "handleWorkDoneProgress" | "workspace"> {
  /** Bars of the server that are not shown, and whether their words go to a bar of our own. What cannot be cancelled is how
   * far model and index are: the status bar item tells that. */
  const bars = new Map<string | number, boolean>();
  return {
    executeCommand: (command, args, next) =>
      COMMANDS.includes(command) ? editing.run(command, (args[0] ?? {}) as Given) : next(command, args),
    handleWorkDoneProgress: (token, params, next) => {
      if (params.kind === "begin" && (!params.cancellable || editing.bars.areOpen)) {
        bars.set(token, params.cancellable === true);
      }
      const isAnEdit = bars.get(token);
      if (isAnEdit === undefined) {
        next(token, params);
      } else if (params.kind === "end") {
        bars.delete(token);
      } else if (isAnEdit) {
        editing.reported(params.message);
      }
    },
    workspace: {
      handleApplyEdit: (params, next) =>
        editing.apply(params, async (given) => {
          const answer = await next(given, new CancellationTokenSource().token);
          return "applied" in answer ? answer : { applied: false, failureReason: answer.message };
        }),
    },
  };
}
