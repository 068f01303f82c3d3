/** Whether an edit did any good, as the server tells it later, and the one button where it can be repaired. */
import { type LogOutputChannel, window } from "vscode";

/** `foreword/helped`; docs/protocol.md has all of it. */
export interface HelpedNote {
  readonly edit: string;
  /** For people. */
  readonly claim: string;
  readonly check?: { readonly state?: string; readonly tail?: string } | null;
  readonly repair?: boolean;
}

const TOLD_MS = 8_000;
const REPAIR = "Repair";

export class Helped {
  /** Of which the button has been shown; one button for an edit, however often the server tells of it. */
  readonly #offered = new Set<string>();
  readonly #repairable = new Set<string>();

  constructor(
    private readonly log: LogOutputChannel,
    private readonly repair: (edit: string, title: string) => Promise<void>,
  ) {}

  async heard(note: HelpedNote): Promise<void> {
    this.log.info(`What came of an edit: ${note.claim}`);
    if (note.check?.state === "failed" && note.check.tail) {
      this.log.info(note.check.tail);
    }
    if (!note.repair) {
      this.#repairable.delete(note.edit);
      window.setStatusBarMessage(`Foreword's edit: ${note.claim}`, TOLD_MS);
      return;
    }
    this.#repairable.add(note.edit);
    if (this.#offered.has(note.edit)) {
      return;
    }
    this.#offered.add(note.edit);
    const picked = await window.showWarningMessage(`Foreword's edit: ${note.claim}`, REPAIR);
    if (picked && this.#repairable.delete(note.edit)) {
      await this.repair(note.edit, "Repair the edit");
    } else if (picked) {
      void window.showInformationMessage("There is nothing left of that edit to repair.");
    }
  }
}
