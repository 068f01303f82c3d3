/** Whether a suggestion is being waited for, for long enough that somebody wonders. */

/** What is answered sooner needs no sign: one at each key would only flicker. */
const LONG_MS = 300;

export class Asking {
  #count = 0;
  #timer: NodeJS.Timeout | undefined;
  #isLong = false;

  constructor(private readonly changed: () => void) {}

  get isLong(): boolean {
    return this.#isLong;
  }

  /** What `request` comes to; it counts as under way until then. */
  async during<T>(request: Promise<T>): Promise<T> {
    this.#count += 1;
    this.#timer ??= setTimeout(() => this.#say(true), LONG_MS);
    try {
      return await request;
    } finally {
      this.#count -= 1;
      if (this.#count === 0) {
        this.dispose();
        this.#say(false);
      }
    }
  }

  dispose(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #say(long: boolean): void {
    if (long !== this.#isLong) {
      this.#isLong = long;
      this.changed();
    }
  }
}
