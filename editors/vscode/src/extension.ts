/** The extension: finds the server, starts it, and puts what it says where a person looks. */
import {
  commands,
  type Disposable,
  type ExtensionContext,
  type LogOutputChannel,
  type TextDocument,
  window,
  workspace,
} from "vscode";
import { forgetIndex, runDoctor } from "./actions";
import { findCommand } from "./command";
import { ContextView } from "./contextView";
import { CursorTold } from "./cursorTold";
import { DiagnosticsTold } from "./diagnosticsTold";
import { editFeatures, editMiddleware } from "./editClient";
import { Editing } from "./editing";
import { Impatience } from "./impatience";
import { offerMcp } from "./mcp";
import { showMenu } from "./menu";
import { openSettings } from "./openSettings";
import { isPaused, type Pauses, toggled } from "./pauses";
import { folders, hasWork, Server } from "./server";
import {
  MACHINE_SETTINGS,
  machineValue,
  READ_AT_START,
  type ServerSettings,
  serverSettings,
} from "./settings";
import { type Choice, environmentFolder, setUpWithDialog } from "./setupDialog";
import { shown } from "./status";
import { StatusBar } from "./statusBar";

const PAUSED_HERE = "paused";
const WALKTHROUGH = "foreword.foreword#start";

class Foreword implements Disposable {
  readonly #log: LogOutputChannel = window.createOutputChannel("Foreword", { log: true });
  readonly #impatience = new Impatience();
  readonly #server: Server;
  readonly #bar: StatusBar;
  readonly #context: ContextView;
  readonly #editing: Editing;
  readonly #subscriptions: Disposable[] = [];
  #suggested = false;

  constructor(private readonly extension: ExtensionContext) {
    this.#server = new Server(this.#log, {
      settings: () => this.#settings(),
      paused: (document: TextDocument) => this.#isPaused(document),
      asked: (context) => this.#impatience.told(context),
      waiting: (request) => this.#bar.asking.during(request),
      suggested: () => this.#hasSuggested(),
      gaveUp: (why) => void this.#tellGaveUp(why),
      features: (client) => editFeatures(client, this.#editing),
      middleware: () => editMiddleware(this.#editing),
    });
    this.#bar = new StatusBar(this.#server, () => this.#pausedTold(), this.#impatience);
    this.#context = new ContextView(this.#server);
    this.#editing = new Editing(this.#server, this.#log, () => this.#bar.status);
    this.#subscriptions.push(
      this.#log,
      this.#server,
      this.#bar,
      this.#context,
      this.#editing,
      new DiagnosticsTold(this.#server),
      new CursorTold(this.#server, (document) => this.#isPaused(document)),
      this.#impatience,
      this.#server.onDidChange((running) => {
        void commands.executeCommand("setContext", "foreword.running", running.state === "running");
      }),
      ...offerMcp(this.#server),
      ...this.#commands(),
    );
  }

  /** Starts now if there is anything to do, else with the first document. */
  async begin(): Promise<void> {
    if (hasWork()) {
      await this.#start();
      return;
    }
    const waiting = window.onDidChangeVisibleTextEditors(() => {
      if (hasWork()) {
        waiting.dispose();
        void this.#start();
      }
    });
    this.#subscriptions.push(waiting);
  }

  async end(): Promise<void> {
    await this.#server.stop("the window is closed");
  }

  dispose(): void {
    for (const each of this.#subscriptions) {
      each.dispose();
    }
  }

  // ---------------------------------------------------------------- the server

  async #start(): Promise<void> {
    const found = await findCommand({
      configured: this.#config().get("command", ""),
      searchPath: process.env.PATH ?? "",
      environment: environmentFolder(this.extension),
      workspace: folders(),
    });
    if ("command" in found) {
      this.#log.info(`${found.command} (from ${found.from})`);
      await this.#server.start(found.command);
      return;
    }
    this.#server.running = { state: "missing", why: found.problem };
    const button = found.remedy === "setup" ? "Set Up" : "Open Settings";
    const picked = await window.showWarningMessage(found.problem, button);
    if (picked && found.remedy === "setup") {
      await this.#setUp();
    } else if (picked) {
      await openSettings("foreword.command");
    }
  }

  /** Asks where the model runs unless that is given. One at a time. */
  async #setUp(choice?: Choice): Promise<void> {
    const before = this.#server.running;
    if (before.state === "settingUp") {
      return;
    }
    await this.#server.stop("it is installed anew");
    this.#server.running = { state: "settingUp" };
    const made = await setUpWithDialog(this.extension, this.#log, choice);
    if (typeof made === "string") {
      await this.#server.start(made);
      return;
    }
    if (before.state === "running") {
      await this.#start();
    } else {
      this.#server.running = before;
    }
    if (await made.tell()) {
      await this.#setUp(made.choice);
    }
  }

  async #tellGaveUp(why: string): Promise<void> {
    const restart = "Restart";
    const doctor = "Run Doctor";
    const told = `Foreword's server ended by itself five times and is left alone. Its last words: ${why}`;
    const picked = await window.showErrorMessage(told, restart, "Show Log", doctor);
    if (picked === restart) {
      await this.#start();
    } else if (picked === doctor) {
      await this.#doctor();
    } else if (picked) {
      this.#log.show();
    }
  }

  #hasSuggested(): void {
    this.#impatience.satisfied();
    if (!this.#suggested) {
      this.#suggested = true;
      void commands.executeCommand("setContext", "foreword.suggested", true);
    }
  }

  // ---------------------------------------------------------------- settings

  #config() {
    return workspace.getConfiguration("foreword");
  }

  #settings(): ServerSettings {
    const config = this.#config();
    return serverSettings((name) =>
      MACHINE_SETTINGS.includes(name) ? machineValue(config.inspect(name)) : config.get(name),
    );
  }

  #pauses(): Pauses {
    return {
      workspace: this.extension.workspaceState.get(PAUSED_HERE, false),
      languages: this.#config().get("pausedLanguages", []),
    };
  }

  #isPaused(document: TextDocument): boolean {
    return isPaused(this.#pauses(), document.languageId);
  }

  #pausedTold(): string {
    const language = window.activeTextEditor?.document.languageId;
    const pauses = this.#pauses();
    if (pauses.workspace) {
      return "in this workspace";
    }
    return isPaused(pauses, language) ? `for ${language}` : "";
  }

  async #changed(affects: (section: string) => boolean): Promise<void> {
    if (affects("foreword.command") || READ_AT_START.some((name) => affects(`foreword.${name}`))) {
      await this.#start();
    } else if (affects("foreword")) {
      await this.#server.settingsChanged();
    }
    this.#bar.refresh();
  }

  // ---------------------------------------------------------------- commands

  #commands(): Disposable[] {
    const register = (name: string, work: () => unknown): Disposable =>
      commands.registerCommand(`foreword.${name}`, work);
    return [
      workspace.onDidChangeConfiguration((event) => {
        if (event.affectsConfiguration("foreword")) {
          void this.#changed((section) => event.affectsConfiguration(section));
        }
      }),
      register("showMenu", () => this.#menu()),
      register("setUp", () => this.#setUp()),
      register("restart", () => this.#start()),
      register("showContext", () => this.#context.show()),
      register("showLog", () => this.#log.show()),
      register("doctor", () => this.#doctor()),
      register("forgetIndex", async () => {
        if (await forgetIndex(this.#server, this.#log)) {
          await this.#start();
        }
      }),
      register("openSettings", () => openSettings("@ext:foreword.foreword")),
      register("openWalkthrough", () =>
        commands.executeCommand("workbench.action.openWalkthrough", WALKTHROUGH, false),
      ),
      register("toggleLanguage", () => this.#toggleLanguage()),
      register("toggleWorkspace", () => this.#toggleWorkspace()),
    ];
  }

  async #menu(): Promise<void> {
    const status = await this.#bar.ask();
    await showMenu(this.#server, shown(this.#server.running, status, this.#pausedTold()), this.#pauses());
  }

  async #doctor(): Promise<void> {
    await runDoctor(this.#server, this.#log, this.#settings());
  }

  async #toggleLanguage(): Promise<void> {
    const language = window.activeTextEditor?.document.languageId;
    if (language) {
      const languages = toggled(this.#pauses().languages, language);
      await this.#config().update("pausedLanguages", languages, true);
    }
  }

  async #toggleWorkspace(): Promise<void> {
    await this.extension.workspaceState.update(PAUSED_HERE, !this.#pauses().workspace);
    this.#bar.refresh();
  }
}

let foreword: Foreword | undefined;

export function activate(extension: ExtensionContext): void {
  foreword = new Foreword(extension);
  extension.subscriptions.push(foreword);
  void foreword.begin();
}

export async function deactivate(): Promise<void> {
  await foreword?.end();
}
