/** Puts the server's edits into documents: one open file at once, all others once a person has looked at them. */
import type { Disposable, Progress } from "vscode";
import type { ApplyWorkspaceEditParams, ApplyWorkspaceEditResult } from "vscode-languageclient/node";
import { counted } from "./editBlocks";
import { asks } from "./editChanges";
import { Review } from "./editReview";
import { showStage } from "./editStage";
import type { EditTexts } from "./editTexts";
import type { EditView } from "./editView";
import { register } from "./register";
import { revealed } from "./revealed";

/** What the server hears where a person wants none of it. */
const DECLINED = "declined";

interface Shown {
  readonly title: string;
  readonly progress: Progress<{ message?: string }>;
}

export class Reviewing implements Disposable {
  #review: Review | undefined;
  readonly #commands = [
    register("applyEdit", () => this.#review?.apply()),
    register("discardEdit", () => this.discard()),
  ];

  constructor(
    private readonly texts: EditTexts,
    private readonly view: EditView,
  ) {}

  dispose(): void {
    for (const each of [...this.#commands, this.#review]) {
      each?.dispose();
    }
  }

  /** Whether an edit waits for a person. */
  get isOpen(): boolean {
    return this.#review !== undefined;
  }

  discard(): void {
    this.#review?.discard();
  }

  /** What asks for a person is shown as a list of our own: VS Code's preview has its boxes unticked, and an edit that is
   * applied from there as it comes up changes nothing. */
  async apply(
    params: ApplyWorkspaceEditParams,
    next: (params: ApplyWorkspaceEditParams) => Promise<ApplyWorkspaceEditResult>,
    shown: Shown | undefined,
  ): Promise<ApplyWorkspaceEditResult> {
    if (!asks(params.edit)) {
      const answer = await next(params);
      revealed(params.edit);
      return answer;
    }
    this.discard(); // of a server that is gone
    const review = new Review(params.edit, this.texts);
    this.#review = review;
    try {
      const files = counted(review.changes.length, "file");
      shown?.progress.report({ message: `${files} to look at, in the list` });
      await showStage("review");
      await this.view.reviewing(shown?.title ?? params.label ?? "", review);
      const decided = await review.decided;
      review.dispose(); // from now on it is the edit that changes files
      return decided
        ? await next({ ...params, edit: decided, metadata: { isRefactoring: true } })
        : { applied: false, failureReason: DECLINED };
    } finally {
      review.dispose();
      this.#review = undefined;
      this.view.over("");
      await showStage("over");
      await this.texts.clear();
    }
  }
}
