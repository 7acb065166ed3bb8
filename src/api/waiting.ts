/**
 * Waiting for a command to come to its end: looks at the connection once at the beginning and again whenever the backend says
 * that something changed, never by polling.
 */
import type { ConnectionStatus } from '../gateway/status.ts';
import type { Backend, CommandStatus, SaKind } from './backend.ts';

export interface Command {
  readonly command: CommandStatus['command'];
  readonly tenant: string;
  readonly connection: string;
  readonly what: SaKind;
}

type Verdict = Pick<CommandStatus, 'outcome' | 'why'> | undefined;

/** Begins `command` and waits at most `waitSeconds` (0: not at all). Undefined when the connection is unknown. */
export async function perform(
  backend: Backend,
  command: Command,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<CommandStatus | undefined> {
  const look = (): ConnectionStatus | undefined =>
    backend.connections().find(({ tenant, name }) => tenant === command.tenant && name === command.connection);
  const before = look();
  if (before === undefined) return undefined;
  const startedAt = performance.now();
  begin(backend, command);
  const answer = (verdict: NonNullable<Verdict>): CommandStatus => ({
    command: command.command,
    ...verdict,
    connection: look() ?? before,
  });
  if (waitSeconds === 0) return answer(BEGUN);
  const judged = (): Verdict => judge(command, before, look(), (performance.now() - startedAt) / 1000);
  const verdict = await awaited(judged, (changed) => backend.watch(changed), waitSeconds, signal);
  if (typeof verdict !== 'string') return answer(verdict);
  const { state, why } = look() ?? before;
  return answer(unfinished(verdict, waitSeconds, `the connection is ${state}: ${why}`));
}

/** Of a command for whose outcome nobody waits. */
export const BEGUN = { outcome: 'begun', why: 'nobody waits for the outcome' } as const;

/** What there is to say where `awaited` has come to no verdict; `now`: how things stand. */
export function unfinished(how: 'late' | 'gone', waitSeconds: number, now: string): NonNullable<Verdict> {
  const why = how === 'gone' ? 'the asker went away' : `no outcome within ${waitSeconds} s; ${now}`;
  return { outcome: 'timeout', why };
}

/** What `judged` says as soon as it says something: it is asked now and whenever `watch` tells of a change. */
export function awaited<T>(
  judged: () => T | undefined,
  watch: (changed: () => void) => () => void,
  waitSeconds: number,
  signal: AbortSignal,
): Promise<T | 'late' | 'gone'> {
  return new Promise((resolve) => {
    const finish = (verdict: T | 'late' | 'gone'): void => {
      clearTimeout(timer);
      unwatch();
      signal.removeEventListener('abort', gone);
      resolve(verdict);
    };
    const check = (): void => {
      const verdict = judged();
      if (verdict !== undefined) finish(verdict);
    };
    const gone = (): void => finish('gone');
    const timer = setTimeout(() => finish('late'), waitSeconds * 1000);
    const unwatch = watch(check);
    signal.addEventListener('abort', gone);
    check();
  });
}

function begin(backend: Backend, { command, tenant, connection, what }: Command): void {
  if (command === 'up') backend.up(tenant, connection);
  else if (command === 'down') backend.down(tenant, connection, what);
  else backend.rekey(tenant, connection, what);
}

/** What has become of the command; undefined while that is open. */
export function judge(
  { command, what }: Pick<Command, 'command' | 'what'>,
  before: ConnectionStatus,
  after: ConnectionStatus | undefined,
  elapsedSeconds: number,
): Verdict {
  if (after === undefined) {
    if (command === 'down') return { outcome: 'done', why: 'the connection is gone' };
    return { outcome: 'failed', why: 'the connection was removed from the document' };
  }
  const failure = after.lastFailure;
  if (command !== 'down' && failure !== undefined && failure.secondsAgo < elapsedSeconds) {
    return { outcome: 'failed', why: failure.problem };
  }
  if (command === 'up') {
    const isUp = after.childSas.length > 0 && (after.state === 'up' || after.state === 'rekeying');
    if (isUp) return { outcome: 'done', why: after.why };
    const mustWait = after.start === 'listen' && after.ikeSas.length === 0;
    return mustWait ? { outcome: 'failed', why: 'this connection only listens: the peer must begin' } : undefined;
  }
  const old = new Set(idsOf(before, what));
  const left = idsOf(after, what).filter((id) => old.has(id));
  const fresh = idsOf(after, what).filter((id) => !old.has(id));
  if (command === 'down') return left.length === 0 ? { outcome: 'done', why: after.why } : undefined;
  if (old.size === 0) return { outcome: 'failed', why: `there is no ${what === 'ike' ? 'IKE' : 'Child'} SA to rekey` };
  if (fresh.length > 0) return { outcome: 'done', why: after.why };
  return left.length === 0 ? { outcome: 'failed', why: 'the SA was lost before it was rekeyed' } : undefined;
}

const idsOf = (status: ConnectionStatus, what: SaKind): number[] =>
  (what === 'ike' ? status.ikeSas : status.childSas).map((sa) => sa.id);
