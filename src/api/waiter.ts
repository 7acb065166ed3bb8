/** Who waits until there is something, or until a signal says that it is over. */
export class Waiter {
  #wake = (): void => {};

  /** There is something. */
  wake(): void {
    this.#wake();
  }

  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#wake = () => {};
        resolve();
      };
      signal.addEventListener('abort', done);
      this.#wake = done;
    });
  }
}
