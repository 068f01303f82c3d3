/** The server's process and the language client that speaks with it: started, restarted after a crash, ended. */
import { homedir } from "node:os";
import {
  type CancellationToken,
  type Diagnostic,
  type Disposable,
  EventEmitter,
  type InlineCompletionContext,
  type InlineCompletionItem,
  type InlineCompletionList,
  type LogOutputChannel,
  type Position,
  type TextDocument,
  window,
  workspace,
} from "vscode";
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  type LanguageClientOptions,
  type Middleware,
  RevealOutputChannelOn,
  type StaticFeature,
} from "vscode-languageclient/node";
import { Crashes, MOST } from "./crashes";
import { type ServerSettings, settingsLater } from "./settings";
import type { Running, ServerStatus } from "./status";

/** An editor that quits does not wait longer. */
const STOP_TIMEOUT_MS = 3_000;
/** Kept of what the process wrote last, to tell why it ended. */
const LAST_WORDS = 20;

export interface Hooks {
  readonly settings: () => ServerSettings;
  /** Whether this document gets no suggestions now. */
  readonly paused: (document: TextDocument) => boolean;
  /** How the server is to be asked for a suggestion. */
  readonly asked: (context: InlineCompletionContext) => InlineCompletionContext;
  /** Sees each request for a suggestion until it is answered. */
  readonly waiting: <T>(request: Promise<T>) => Promise<T>;
  /** A suggestion was there to be shown. */
  readonly suggested: () => void;
  /** It crashed too often to be started once more. */
  readonly gaveUp: (why: string) => void;
  readonly features?: (client: LanguageClient) => StaticFeature[];
  readonly middleware?: () => Middleware;
}

/** Tells its errors to the log alone: what a person has to know is told once, by those who know what helps. */
class QuietClient extends LanguageClient {
  override error(message: string, data?: unknown): void {
    super.error(message, data, false);
  }
}

export class Server implements Disposable {
  readonly #changed = new EventEmitter<Running>();
  readonly onDidChange = this.#changed.event;
  readonly #crashes = new Crashes();
  #running: Running = { state: "stopped", why: "not started yet" };
  #client: LanguageClient | undefined;
  #command = "";
  #again: NodeJS.Timeout | undefined;
  #lastWords: string[] = [];

  constructor(
    private readonly log: LogOutputChannel,
    private readonly hooks: Hooks,
  ) {}

  get running(): Running {
    return this.#running;
  }

  set running(running: Running) {
    this.#running = running;
    this.#changed.fire(running);
  }

  /** The command in use; empty before the first start. */
  get command(): string {
    return this.#command;
  }

  /** A person or the editor wants it: what crashed before is forgotten. */
  async start(command: string): Promise<void> {
    this.#crashes.forget();
    await this.stop("it is started anew");
    this.#command = command;
    await this.#launch();
  }

  async stop(why: string): Promise<void> {
    clearTimeout(this.#again);
    const client = this.#client;
    this.#client = undefined;
    this.running = { state: "stopped", why };
    if (client) {
      await client
        .dispose(STOP_TIMEOUT_MS)
        .catch((error: unknown) => this.log.warn(`while stopping: ${error}`));
    }
  }

  dispose(): void {
    clearTimeout(this.#again);
    this.#changed.dispose();
  }

  /** Undefined where no server runs, or it does not answer to that. */
  async request<Answer>(
    method: string,
    params?: object,
    token?: CancellationToken,
  ): Promise<Answer | undefined> {
    const client = this.#client;
    if (this.#running.state !== "running" || !client) {
      return undefined;
    }
    try {
      return await client.sendRequest<Answer>(method, params ?? {}, token);
    } catch (error) {
      if (!token?.isCancellationRequested) {
        this.log.info(`${method}: ${error}`);
      }
      return undefined;
    }
  }

  /** One of the server's commands, which takes one object. Rejects with what went wrong, and where it is cancelled. */
  async execute<Answer>(
    command: string,
    argument: object,
    token: CancellationToken,
  ): Promise<Answer | null | undefined> {
    const params = { command, arguments: [argument] };
    return this.#client?.sendRequest<Answer | null>("workspace/executeCommand", params, token);
  }

  /** Those of a whole document, by whatever extension. */
  async tellDiagnostics(document: TextDocument, diagnostics: readonly Diagnostic[]): Promise<void> {
    const client = this.#client;
    if (this.#running.state === "running" && client) {
      const told = client.code2ProtocolConverter.asDiagnosticsSync([...diagnostics]);
      await client.sendNotification("foreword/diagnostics", {
        uri: client.code2ProtocolConverter.asUri(document.uri),
        version: document.version,
        diagnostics: told,
      });
    }
  }

  /** Where it rests; the server knows which documents are its own. */
  async tellCursor(document: TextDocument, position: Position): Promise<void> {
    const client = this.#client;
    if (this.#running.state === "running" && client) {
      await client.sendNotification("foreword/cursor", {
        textDocument: client.code2ProtocolConverter.asTextDocumentIdentifier(document),
        position: client.code2ProtocolConverter.asPosition(position),
      });
    }
  }

  status(): Promise<ServerStatus | undefined> {
    return this.request<ServerStatus>("foreword/status");
  }

  async settingsChanged(): Promise<void> {
    if (this.#running.state === "running") {
      await this.#client?.sendNotification("workspace/didChangeConfiguration", {
        settings: { foreword: settingsLater(this.hooks.settings()) },
      });
    }
  }

  async #launch(): Promise<void> {
    this.running = { state: "starting" };
    this.#lastWords = [];
    const client = new QuietClient(
      "foreword",
      "Foreword",
      // not in the workspace: nothing that lies there is to have a say in what is run
      { command: this.#command, args: ["lsp"], options: { cwd: homedir() } },
      this.#options(),
    );
    this.#client = client;
    for (const feature of this.hooks.features?.(client) ?? []) {
      client.registerFeature(feature);
    }
    try {
      await client.start();
      if (this.#client === client) {
        this.running = { state: "running" };
      }
    } catch (error) {
      this.log.error(`${this.#command} lsp: ${error}`);
      if (this.#client === client) {
        this.#ended();
      }
    }
  }

  /** The process is gone, and nobody had asked for it. */
  #ended(): void {
    const client = this.#client;
    if (!client) {
      return;
    }
    this.#client = undefined;
    // what is left of a client whose process is gone has nobody to say good-bye to
    client.dispose(STOP_TIMEOUT_MS).catch(() => undefined);
    const why = this.#lastWords.findLast((line) => line.trim() !== "")?.trim() ?? "it said nothing";
    const wait = this.#crashes.next(Date.now());
    if (wait === undefined) {
      this.running = { state: "failed", why: `It ended by itself ${MOST} times; its last words: ${why}` };
      this.hooks.gaveUp(why);
      return;
    }
    this.log.warn(`The server ended by itself (${why}); it is started again.`);
    this.running = { state: "starting" };
    this.#again = setTimeout(() => void this.#launch(), wait);
  }

  #options(): LanguageClientOptions {
    const extra = this.hooks.middleware?.();
    return {
      documentSelector: [{ scheme: "file" }, { scheme: "untitled" }, { notebook: "*" }],
      outputChannel: this.log,
      revealOutputChannelOn: RevealOutputChannelOn.Never,
      initializationOptions: this.hooks.settings,
      initializationFailedHandler: () => false,
      errorHandler: {
        error: () => ({ action: ErrorAction.Continue, handled: true }),
        closed: () => {
          setTimeout(() => this.#ended(), 0); // once the client has put its own things away
          return { action: CloseAction.DoNotRestart, handled: true };
        },
      },
      stdioOptions: {
        // stdout is the protocol's; the other one is heard for the last words
        stdout: () => undefined,
        stderr: (stream) => {
          stream.setEncoding("utf8");
          stream.on("data", (text: string) => this.#heard(text));
        },
      },
      middleware: {
        ...extra,
        provideInlineCompletionItems: async (document, position, context, token, next) => {
          if (this.hooks.paused(document)) {
            return [];
          }
          const asked = this.hooks.asked(context);
          const told = await this.hooks.waiting(Promise.resolve(next(document, position, asked, token)));
          if (hasItems(told)) {
            this.hooks.suggested();
          }
          return told;
        },
        workspace: {
          ...extra?.workspace,
          configuration: (params) => params.items.map(() => settingsLater(this.hooks.settings())),
        },
      },
    };
  }

  #heard(text: string): void {
    for (const line of text.split(/\r?\n/).filter(Boolean)) {
      this.log.warn(line);
      this.#lastWords.push(line);
    }
    this.#lastWords.splice(0, this.#lastWords.length - LAST_WORDS);
  }
}

function hasItems(told: InlineCompletionItem[] | InlineCompletionList | null | undefined): boolean {
  return (Array.isArray(told) ? told : (told?.items ?? [])).length > 0;
}

/** Folders of this window on disk. */
export function folders(): string[] {
  return (workspace.workspaceFolders ?? [])
    .filter((folder) => folder.uri.scheme === "file")
    .map((folder) => folder.uri.fsPath);
}

/** Whether there is anything that a server could be of use for. */
export function hasWork(): boolean {
  return (
    folders().length > 0 ||
    window.visibleTextEditors.some((editor) => ["file", "untitled"].includes(editor.document.uri.scheme))
  );
}
