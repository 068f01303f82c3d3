/** What of the user's settings goes to the server, as docs/protocol.md names it. */

/** Settings that are the server's; all others are this extension's own. */
export const SERVER_SETTINGS = [
  "model",
  "engine",
  "edit",
  "budgetTokens",
  "maxLines",
  "waitS",
  "index",
  "embedder",
  "symbols",
  "stats",
] as const;

/** Which the server reads at its start only. */
export const READ_AT_START = ["index", "embedder", "edit.check", "edit.checkS"] as const;

export type ServerSettings = Record<string, unknown>;

/** Always whole, defaults included: what was set at the start and is taken back has to arrive as the default. */
export function serverSettings(read: (name: string) => unknown): ServerSettings {
  return Object.fromEntries(SERVER_SETTINGS.map((name) => [name, plain(read(name))]));
}

/** Without what is believed at the start alone: a command that is run. */
export function settingsLater(settings: ServerSettings): ServerSettings {
  const { check: _, checkS: __, ...edit } = (settings.edit ?? {}) as ServerSettings;
  return { ...settings, edit };
}

/** VS Code hands out proxies that cannot be sent. */
function plain(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}
