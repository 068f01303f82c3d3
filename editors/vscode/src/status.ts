/** What the status bar item says, worked out from `foreword/status`. */

/** Of `foreword/status` what is shown; docs/protocol.md has all of it. Whatever an older server leaves out is absent. */
export interface ServerStatus {
  readonly server?: { readonly version?: string };
  readonly engine?: {
    readonly state?: "off" | "starting" | "ready" | "failed";
    readonly reason?: string;
    readonly model?: string;
    readonly device?: string;
    readonly endpoint?: string;
    readonly limits?: readonly string[];
    readonly progress?: {
      readonly stage?: string;
      readonly done?: number;
      readonly total?: number;
      readonly stageS?: number;
    } | null;
    readonly endpoints?: readonly Endpoint[];
  };
  readonly index?: {
    readonly state?: string;
    readonly reason?: string;
    readonly storeNote?: string;
    readonly roots?: readonly Root[];
  };
  /** Whether several files are edited at once, and what to configure where not. */
  readonly edits?: { readonly severalFiles?: boolean; readonly reason?: string };
  readonly bases?: readonly { readonly tokens?: number; readonly warmedTokens?: number }[];
  readonly lastCompletion?: { readonly promptTokens?: number; readonly cachedTokens?: number | null } | null;
  readonly lastEmptyReason?: string;
  readonly complaints?: readonly string[];
}

interface Endpoint {
  readonly endpoint?: string;
  readonly state?: string;
  readonly lastError?: string;
}

interface Root {
  readonly root?: string;
  readonly state?: "listing" | "indexing" | "ready" | "failed";
  readonly files?: number;
  readonly filesDone?: number;
  readonly symbols?: number;
  readonly chunks?: number;
  readonly vectors?: number;
  readonly stage?: string;
  /** 0 while nobody can tell. */
  readonly secondsLeft?: number;
  readonly error?: string;
  readonly note?: string;
}

/** How the process is, whatever it says of itself. */
export type Running =
  | { readonly state: "missing" | "stopped" | "failed"; readonly why: string }
  | { readonly state: "starting" | "running" | "settingUp" };

export interface Shown {
  readonly text: string;
  readonly level: "quiet" | "warning" | "error";
  /** Name and value, in this order; the names are known here, the values are anybody's text. */
  readonly rows: readonly (readonly [string, string])[];
}

const PERCENT = 100;
const LONG_S = 2;
/** Less is over before it is read. */
const WORTH_TELLING_S = 5;

/** `asking`: a suggestion is being waited for. */
export function shown(
  running: Running,
  status: ServerStatus | undefined,
  paused: string,
  asking = false,
): Shown {
  switch (running.state) {
    case "missing":
      return { text: "$(warning) Foreword: not set up", level: "warning", rows: [["Server", running.why]] };
    case "failed":
    case "stopped":
      return { text: "$(error) Foreword: stopped", level: "error", rows: [["Server", running.why]] };
    case "settingUp":
      return {
        text: "$(loading~spin) Foreword: setting up",
        level: "quiet",
        rows: [["Server", "is being installed"]],
      };
    case "starting":
      return {
        text: "$(loading~spin) Foreword: starting",
        level: "quiet",
        rows: [["Server", "is starting"]],
      };
    case "running":
      return withStatus(status ?? {}, paused, asking);
  }
}

function withStatus(status: ServerStatus, paused: string, asking: boolean): Shown {
  const rows = [
    ...row("Model", modelTold(status)),
    ...row("Endpoint", endpointTold(status)),
    ...row("Index", indexTold(status)),
    ...row("Cache", cacheTold(status)),
    ...row("Last empty answer", status.lastEmptyReason ?? ""),
    ...row("Paused", paused),
    ...(status.complaints ?? []).map((complaint) => ["Settings", complaint] as const),
  ];
  return { ...headline(status, paused, asking), rows };
}

function headline(
  status: ServerStatus,
  paused: string,
  asking: boolean,
): { text: string; level: Shown["level"] } {
  const engine = status.engine ?? {};
  if (paused) {
    return { text: "$(debug-pause) Foreword", level: "quiet" };
  }
  if (engine.state === "failed" || answersNobody(status)) {
    return { text: "$(warning) Foreword: no model", level: "warning" };
  }
  const failed = status.index?.roots?.find((root) => root.state === "failed");
  if (failed || (status.index?.state === "unavailable" && !isIndexStarting(status))) {
    return { text: "$(warning) Foreword: no index", level: "warning" };
  }
  if (engine.state === "starting") {
    return { text: `$(loading~spin) Foreword: ${startingTold(status)}`, level: "quiet" };
  }
  const reading = status.index?.roots?.find((root) => root.state === "listing" || root.state === "indexing");
  if (isIndexStarting(status)) {
    return { text: "$(loading~spin) Foreword: index starting", level: "quiet" };
  }
  if (reading) {
    return { text: `$(loading~spin) Foreword: ${readingTold(reading)}`, level: "quiet" };
  }
  if (asking) {
    return { text: "$(loading~spin) Foreword", level: "quiet" };
  }
  const icon = status.complaints?.length ? "$(info)" : "$(book)";
  return { text: `${icon} Foreword`, level: "quiet" };
}

/** Whether there are endpoints, and none of them has been of use when it was last asked. */
function answersNobody(status: ServerStatus): boolean {
  const endpoints = status.engine?.endpoints ?? [];
  return (
    endpoints.length > 0 && endpoints.every((each) => each.state === "waiting" || each.state === "unusable")
  );
}

function modelTold(status: ServerStatus): string {
  const engine = status.engine ?? {};
  if (engine.state === "ready") {
    return [engine.model, engine.device === "remote" ? "" : engine.device].filter(Boolean).join(" on ");
  }
  return engine.state === "starting" ? startingTold(status) : (engine.reason ?? "");
}

function startingTold(status: ServerStatus): string {
  const { stage, done, total, stageS } = status.engine?.progress ?? {};
  return `${stage || "model starting"}${share(done, total)}${lasting(stageS)}`;
}

function endpointTold(status: ServerStatus): string {
  const engine = status.engine ?? {};
  const ailing = engine.endpoints?.find((each) => each.lastError && each.state !== "ready");
  return ailing ? `${ailing.endpoint ?? "one"}: ${ailing.lastError}` : (engine.limits ?? []).join("; ");
}

function indexTold(status: ServerStatus): string {
  const index = status.index ?? {};
  if (index.state === "off") {
    return "off";
  }
  if (index.state === "unavailable") {
    return index.reason || "not available";
  }
  const roots = (index.roots ?? []).map(rootTold);
  return [...roots, index.storeNote ?? ""].filter(Boolean).join("; ");
}

function rootTold(root: Root): string {
  const name = (root.root ?? "").split(/[/\\]/).at(-1);
  if (root.state === "failed") {
    return `${name}: ${root.error}`;
  }
  if (root.state !== "ready") {
    return `${name}: ${readingTold(root)}`;
  }
  const figures = `${count(root.files)} files, ${count(root.symbols)} symbols`;
  const chunks = root.chunks ?? 0;
  const vectors = root.vectors ?? 0;
  const pending =
    root.stage === "embedding" && vectors < chunks ? `, vectors ${percent(vectors, chunks)}` : "";
  return `${name}: ${figures}${pending}${root.error || root.note ? ` (${root.error || root.note})` : ""}`;
}

function readingTold(root: Root): string {
  return root.state === "listing"
    ? `listing files${root.files ? `, ${count(root.files)}` : ""}`
    : `reading ${count(root.filesDone)} of ${count(root.files)} files${left(root.secondsLeft)}`;
}

function cacheTold(status: ServerStatus): string {
  const last = status.lastCompletion;
  if (!last?.promptTokens) {
    return "";
  }
  if (last.cachedTokens === null || last.cachedTokens === undefined) {
    return `last prompt ${count(last.promptTokens)} tokens, the server does not tell what was cached`;
  }
  const known = percent(last.cachedTokens, last.promptTokens);
  return `${known} of the last prompt of ${count(last.promptTokens)} tokens was cached`;
}

function row(name: string, value: string): (readonly [string, string])[] {
  return value ? [[name, value]] : [];
}

function share(done: number | undefined, total: number | undefined): string {
  return done !== undefined && total ? ` ${percent(done, total)}` : "";
}

/** A word that stays the same for longer looks like something that hangs. */
function lasting(seconds: number | undefined): string {
  return seconds !== undefined && seconds >= LONG_S ? `, ${Math.floor(seconds)} s` : "";
}

function left(seconds: number | undefined): string {
  return seconds !== undefined && seconds >= WORTH_TELLING_S ? `, ${Math.round(seconds)} s left` : "";
}

function percent(part: number, whole: number): string {
  return `${Math.min(PERCENT, Math.floor((part * PERCENT) / whole))}%`;
}

function count(value: number | undefined): string {
  return (value ?? 0).toLocaleString("en");
}

/** The service is started with the first server, and says so until it can be asked. */
function isIndexStarting(status: ServerStatus): boolean {
  return status.index?.state === "unavailable" && /\bstarting$/.test(status.index.reason ?? "");
}

/** Whether something goes on that is worth a look every second or two. */
export function isBusy(status: ServerStatus | undefined): boolean {
  return (
    status?.engine?.state === "starting" ||
    (status !== undefined && isIndexStarting(status)) ||
    (status?.index?.roots ?? []).some((root) => root.state === "listing" || root.state === "indexing")
  );
}
