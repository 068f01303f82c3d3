/** The blocks of an edit while a model writes them, by file, as `foreword/edit` tells them. */

/** Of `foreword/edit`; docs/protocol.md has all of it. */
export interface BlockNote {
  readonly edit: string;
  readonly block: number;
  readonly state: "begun" | "growing" | "finished" | "malformed";
  readonly kind?: string;
  readonly path?: string;
  readonly lines?: number;
  readonly content?: BlockContent;
  readonly reason?: string;
}

export interface BlockContent {
  readonly type: string;
  readonly path: string;
  readonly anchor?: { readonly type: string; readonly text?: string };
  readonly replacement?: string;
  readonly text?: string;
  readonly new_path?: string;
}

export interface Block {
  readonly number: number;
  readonly path: string;
  readonly kind: string;
  readonly state: BlockNote["state"];
  /** That have arrived. */
  readonly lines: number;
  readonly content?: BlockContent;
  readonly reason?: string;
}

/** Of `foreword/plan`: a file that is to be changed, and how far that is. */
export interface PlannedFile {
  readonly verb: string;
  readonly path: string;
  readonly newPath?: string;
  readonly state?: "waiting" | "writing" | "done" | "unchanged" | "failed" | "left out";
  readonly reason?: string;
}

export class Blocks {
  #plan = new Map<string, PlannedFile>();
  readonly #files = new Map<string, Block[]>();

  /** By path: those of the plan, then others in the order in which they were begun. */
  get files(): ReadonlyMap<string, readonly Block[]> {
    const planned = [...this.#plan.keys()].map((path) => [path, this.#files.get(path) ?? []] as const);
    return new Map([...planned, ...this.#files]);
  }

  planned(path: string): PlannedFile | undefined {
    return this.#plan.get(path);
  }

  /** The plan, in place of the one before. */
  plan(files: readonly PlannedFile[]): void {
    this.#plan = new Map(files.map((each) => [each.path, each]));
  }

  take(note: BlockNote): void {
    const path = note.path ?? "";
    const known = this.#files.get(path) ?? [];
    const before = known.find((each) => each.number === note.block);
    const block: Block = {
      number: note.block,
      path,
      kind: note.kind ?? note.content?.type ?? before?.kind ?? "",
      state: note.state,
      lines: note.content ? linesOf(note.content) : (note.lines ?? before?.lines ?? 0),
      ...(note.content ? { content: note.content } : {}),
      ...(note.reason ? { reason: note.reason } : {}),
    };
    // a block that is begun once more is of a further turn, in which the model writes all that follow anew
    const isBefore = (each: Block): boolean =>
      note.state === "begun" ? each.number < note.block : each.number !== note.block;
    const blocks = [...known.filter(isBefore), block].sort((one, other) => one.number - other.number);
    this.#files.set(path, blocks);
  }
}

/** What stood there and what is to stand there, as far as a block says. */
export function textsOf(content: BlockContent): { before: string; after: string } {
  return { before: content.anchor?.text ?? "", after: content.replacement ?? content.text ?? "" };
}

/** What the block is, for a person. */
export function told(block: Block): string {
  if (block.state === "malformed") {
    return block.reason ?? "";
  }
  if (block.content?.new_path) {
    return `to ${block.content.new_path}`;
  }
  return block.lines > 0 ? counted(block.lines, "line") : "";
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}

function linesOf(content: BlockContent): number {
  const text = textsOf(content).after;
  return text === "" ? 0 : text.replace(/\r?\n$/, "").split("\n").length;
}
