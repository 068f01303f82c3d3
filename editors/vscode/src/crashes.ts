/** Whether a server that ended by itself is started again. */

/** So many crashes are no accident any more: whatever causes them is still there. */
export const MOST = 5;
/** Older ones do not count. */
export const WITHIN_MS = 3 * 60_000;
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 5_000;

export class Crashes {
  readonly #at: number[] = [];

  /** Counts one more. Milliseconds to wait before the next start, or undefined where none should follow. */
  next(now: number): number | undefined {
    while (this.#at[0] !== undefined && now - this.#at[0] > WITHIN_MS) {
      this.#at.shift();
    }
    this.#at.push(now);
    if (this.#at.length >= MOST) {
      return undefined;
    }
    return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (this.#at.length - 1));
  }

  /** A person starts anew. */
  forget(): void {
    this.#at.length = 0;
  }
}
