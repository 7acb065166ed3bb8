/** Signals of the operating system as the three things an operator wants: stop, stop at once, reload. */

export interface SignalActions {
  /** SIGTERM or SIGINT for the first time. */
  readonly stop: (signal: NodeJS.Signals) => void;
  /** SIGTERM or SIGINT once more. */
  readonly force: (signal: NodeJS.Signals) => void;
  /** SIGHUP. */
  readonly reload: () => void;
}

/** Installs the handlers; what it returns takes them away again. */
export function onSignals(actions: SignalActions): () => void {
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) return actions.force(signal);
    stopping = true;
    actions.stop(signal);
  };
  const reload = (): void => actions.reload();
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
  process.on('SIGHUP', reload);
  return () => {
    process.off('SIGTERM', stop);
    process.off('SIGINT', stop);
    process.off('SIGHUP', reload);
  };
}
