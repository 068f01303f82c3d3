/** What of the user's settings goes to the server, as docs/protocol.md names it. */

/** Settings that are the server's; all others are this extension's own. */
export const SERVER_SETTINGS = [
  "model",
  "engine",
  "edit",
  "budgetTokens",
  "maxLines",
  "waitS",
  "readAhead",
  "index",
  "embedder",
  "symbols",
  "stats",
] as const;

/** Which the server reads at its start only. */
export const READ_AT_START = ["index", "embedder", "edit.check", "edit.checkS"] as const;

/**
 * All of whose fields are the machine's. VS Code leaves a folder's value for such a field out, but not one that the folder
 * gives for the whole ("foreword.edit": {"check": …}): these are read from the user's settings alone.
 */
export const MACHINE_SETTINGS: readonly string[] = ["model", "engine", "edit", "embedder", "stats"];

export interface Inspected {
  readonly defaultValue?: unknown;
  readonly globalValue?: unknown;
}

/** The user's own value over the default, field by field; never a folder's. */
export function machineValue(found: Inspected | undefined): unknown {
  const own = found?.globalValue;
  const usual = found?.defaultValue;
  if (own === undefined) {
    return usual;
  }
  return isObject(own) && isObject(usual) ? { ...usual, ...own } : own;
}

function isObject(value: unknown): value is object {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

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
