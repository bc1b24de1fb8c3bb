/** Blocks until the test opens it. */
export class Gate {
  private permits = 0;
  private waiting: (() => void)[] = [];

  /** Lets one waiter pass. */
  open(): void {
    const next = this.waiting.shift();
    if (next) next();
    else this.permits += 1;
  }

  pass(): Promise<void> {
    if (this.permits > 0) {
      this.permits -= 1;
      return Promise.resolve();
    }
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}
