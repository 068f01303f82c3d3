/** The settings editor where the setting can be set: what is the machine's stands under the remote, if there is one. */
import { commands, env } from "vscode";

export async function openSettings(query: string): Promise<void> {
  if (env.remoteName) {
    await commands.executeCommand("workbench.action.openRemoteSettings", { query });
  } else {
    await commands.executeCommand("workbench.action.openSettings", query);
  }
}
