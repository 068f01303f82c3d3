/** How far an edit is, for the conditions under which the editor shows a view or a command. Once there was an edit the list
 * stays: a panel whose view goes away would show another one, and open a terminal for that. */
import { commands } from "vscode";

export async function showStage(stage: "writing" | "review" | "over"): Promise<void> {
  await commands.executeCommand("setContext", "foreword.edit.stage", stage);
}
