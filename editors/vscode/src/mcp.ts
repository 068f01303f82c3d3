/** The index as a server of the Model Context Protocol, for the agents of this editor. */
import { type Disposable, EventEmitter, lm, McpStdioServerDefinition, Uri } from "vscode";
import { folders, type Server } from "./server";

const ID = "foreword.index";

/** VS Code starts it when an agent wants it, and asks the person first. */
export function offerMcp(server: Server): Disposable[] {
  const changed = new EventEmitter<void>();
  return [
    changed,
    server.onDidChange(() => changed.fire()),
    lm.registerMcpServerDefinitionProvider(ID, {
      onDidChangeMcpServerDefinitions: changed.event,
      provideMcpServerDefinitions: () => {
        const roots = folders();
        const [first] = roots;
        if (!server.command || !first) {
          return [];
        }
        const definition = new McpStdioServerDefinition("Foreword", server.command, [
          "mcp",
          ...roots.flatMap((root) => ["--dir", root]),
        ]);
        definition.cwd = Uri.file(first);
        return [definition];
      },
    }),
  ];
}
