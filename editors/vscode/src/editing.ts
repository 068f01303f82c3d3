/** Edits by an instruction or a code action: asked for, watched while they are written, looked at, applied. */
import { randomUUID } from "node:crypto";
import { commands, type Disposable, type LogOutputChannel, Uri, window } from "vscode";
import { type Bar, Bars } from "./bars";
import { type BlockNote, Blocks, counted, type PlannedFile } from "./editBlocks";
import { askFor, askWithPlace, type Scope } from "./editInput";
import { Reviewing } from "./editReviewing";
import { showStage } from "./editStage";
import { EditTexts } from "./editTexts";
import { EditView } from "./editView";
import { Explanations } from "./explanations";
import { Helped } from "./helped";
import { register } from "./register";
import type { Server } from "./server";
import type { ServerStatus } from "./status";

/** The server's commands; the editor knows them while it runs. */
const EDIT = "foreword.edit";
const REPAIR = "foreword.repair";
const EXPLAIN = "foreword.explain";
export const COMMANDS = [EDIT, "foreword.run", EXPLAIN, REPAIR];
/** How long the status bar tells what came of it. */
const TOLD_MS = 8_000;

/** The one argument of these commands: an instruction and where, the data of a code action, or lines. */
export interface Given extends Scope {
  readonly instruction?: string;
  /** Of a repair: the edit that is to be written anew. */
  readonly edit?: string;
  readonly offer?: { readonly what?: string; readonly title?: string };
}

/** `foreword/plan`. */
export interface PlanNote {
  readonly edit: string;
  readonly files: readonly PlannedFile[];
}

/** What they answer; docs/protocol.md has all of it. Null where it was cancelled. */
interface Done {
  readonly applied?: boolean;
  readonly reason?: string;
  readonly files?: readonly string[];
  readonly claim?: string;
  readonly notes?: readonly string[];
  /** Of an explanation. */
  readonly text?: string;
}

type Apply = Parameters<Reviewing["apply"]>;

interface Session extends Bar {
  /** That its blocks carry; where the server chooses it, known with the first of them. */
  id: string | undefined;
  readonly title: string;
  readonly blocks: Blocks;
  /** Whether more than the file at hand may be changed, so that the blocks are worth the room. */
  readonly isWide: boolean;
}

export class Editing implements Disposable {
  readonly #texts = new EditTexts();
  readonly #view = new EditView(this.#texts);
  readonly #reviewing = new Reviewing(this.#texts, this.#view);
  readonly #explanations = new Explanations();
  readonly bars: Bars;
  readonly helped: Helped;
  readonly #commands: Disposable[];
  /** One at a time: a second one would be written for texts that the first is about to change. */
  #session: Session | undefined;

  constructor(
    private readonly server: Server,
    private readonly log: LogOutputChannel,
    private readonly status: () => ServerStatus | undefined,
  ) {
    this.bars = new Bars(log);
    this.helped = new Helped(log, (edit, title) => this.#edit(REPAIR, { edit }, title));
    this.#commands = [
      register("askEdit", (_file?: Uri, files?: unknown) => this.#ask(chosen(files))),
      register("cancelEdit", () => this.#session?.cancelling.cancel()),
      register("showChange", (show?: () => unknown) => show?.()),
    ];
  }

  dispose(): void {
    for (const each of [...this.#commands, this.#reviewing, this.#view, this.#texts, this.#explanations]) {
      each.dispose();
    }
  }

  // ---------------------------------------------------------------- what a person asks for

  async #ask(files: readonly Uri[]): Promise<void> {
    const asked = await askWithPlace(files, this.status()?.edits);
    if (asked) {
      await this.run(EDIT, { instruction: asked.instruction, ...asked.scope });
    }
  }

  /** Does what one of the server's commands says, with a bar that cancels it. */
  async run(command: string, given: Given): Promise<void> {
    if (this.server.running.state !== "running") {
      const picked = await window.showWarningMessage("Foreword's server does not run.", "Show Menu");
      await (picked && commands.executeCommand("foreword.showMenu"));
    } else if (command === EDIT && !given.instruction) {
      const instruction = await askFor(given);
      await (instruction && this.run(command, { ...given, instruction }));
    } else if (command !== EXPLAIN && given.offer?.what !== "explain") {
      await this.#edit(command, given, headed(given.instruction ?? given.offer?.title ?? "an edit"));
    } else {
      await this.#explain(command, given);
    }
  }

  async #edit(command: string, given: Given, title: string): Promise<void> {
    if (this.#session) {
      await this.#tellBusy(this.#session);
      return;
    }
    await this.bars.show(title, "Nothing was changed", async ({ progress, cancelling }) => {
      const isWide = command === EDIT && (!given.uri || (given.uris ?? []).length > 0);
      const session: Session = {
        ...{ id: command === EDIT ? randomUUID() : undefined, title, blocks: new Blocks() },
        ...{ progress, cancelling, isWide },
      };
      this.#session = session;
      cancelling.token.onCancellationRequested(() => this.#reviewing.discard());
      this.#view.writing(title, session.blocks);
      await showStage("writing");
      let told = `Nothing was changed: ${title}`;
      try {
        const argument = command === EDIT ? { ...given, edit: session.id } : given;
        told = this.#told(title, await this.server.execute<Done>(command, argument, cancelling.token));
      } finally {
        this.#session = undefined;
        this.#reviewing.discard(); // whose server is gone
        this.#view.over(told);
        await showStage("over");
      }
    });
  }

  async #explain(command: string, given: Given): Promise<void> {
    const title = given.offer?.title ?? "Explain";
    await this.bars.show(title, "There is no explanation", async ({ cancelling }) => {
      const done = await this.server.execute<Done>(command, given, cancelling.token);
      if (done?.text) {
        await this.#explanations.show(title, done.text);
      }
    });
  }

  async #tellBusy(session: Session): Promise<void> {
    const end = this.#reviewing.isOpen ? "Discard It" : "Cancel It";
    const picked = await window.showWarningMessage(
      `Foreword is not done with another edit: ${session.title}`,
      ...(this.#reviewing.isOpen ? ["Show It"] : []),
      end,
    );
    if (picked === end) {
      session.cancelling.cancel();
    } else if (picked) {
      await this.#view.show();
    }
  }

  /** In the log and the status bar, and for the list. What went wrong the server has told already. */
  #told(title: string, done: Done | null | undefined): string {
    for (const note of done?.notes ?? []) {
      this.log.info(`Of the edit: ${note}`);
    }
    if (!done?.applied) {
      return `${title}: ${done?.reason || "nothing was changed"}`;
    }
    const known = done.claim ? `; known of the result: it ${done.claim}` : "";
    const changed = `changed ${counted(done.files?.length ?? 0, "file")}${known}`;
    window.setStatusBarMessage(`$(check) Foreword ${changed}`, TOLD_MS);
    return `${title}: ${changed}`;
  }

  // ---------------------------------------------------------------- what the server tells

  /** One more step of a block. */
  heard(note: BlockNote): void {
    this.#shown(note.edit, (blocks) => blocks.take(note));
  }

  /** The files that are to be changed, and how far each is. */
  planned(note: PlanNote): void {
    this.#shown(note.edit, (blocks) => blocks.plan(note.files));
  }

  #shown(edit: string, change: (blocks: Blocks) => void): void {
    const session = this.#session;
    if (!session || (session.id ?? edit) !== edit) {
      return;
    }
    session.id = edit;
    const before = session.blocks.files.size;
    change(session.blocks);
    this.#view.refresh();
    const files = session.blocks.files.size;
    if (files > before && (session.isWide || files > 1)) {
      void this.#view.show();
    }
  }

  /** The server's words for what it is at. */
  reported(message: string | undefined): void {
    if (message && !this.#reviewing.isOpen) {
      this.bars.report(message);
    }
  }

  apply(params: Apply[0], next: Apply[1]): ReturnType<Reviewing["apply"]> {
    return this.#reviewing.apply(params, next, this.#session);
  }
}

/** The explorer tells all files that are chosen; other menus tell something else there. */
function chosen(files: unknown): Uri[] {
  return Array.isArray(files) ? files.filter((each) => each instanceof Uri) : [];
}

/** As what stands before a colon. */
function headed(title: string): string {
  return title.replace(/[.:\s]+$/, "");
}
