/**
 * A lab that stays up: its virtual time follows the clock, every tenant pings its site or the server, and the control API answers for `gw`.
 *
 * Leaves to others: what is printed (`lab.ts`).
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiProblem, GatewayBackend, type KeysStatus } from '../api/index.ts';
import { showDocument } from '../config/index.ts';
import type { Millis } from '../core/index.ts';
import type { GatewayEvent } from '../gateway/index.ts';
import { type Hoster, type Query, resolveDocument } from '../lab/index.ts';
import { KeyLog } from '../runtime/keylog.ts';

/** Where the rows of `gw` go while keys are on. A folder of its own making goes with it. */
export class LabKeys {
  #log: KeyLog | undefined;
  #made: string | undefined;
  readonly #lab: Hoster;
  readonly #preferred: string | undefined;

  constructor(lab: Hoster, preferred?: string) {
    this.#lab = lab;
    this.#preferred = preferred;
    lab.gw.observe((action) => {
      if (action.do === 'key') this.#log?.append(action.table, action.row);
    });
  }

  get status(): KeysStatus {
    return { enabled: this.#log !== undefined, folder: this.#log?.folder ?? null };
  }

  /** Without a folder: the preferred one, else a temporary one. Throws SystemError when the folder is not ours alone. */
  set(enabled: boolean, folder?: string): KeysStatus {
    const log = enabled ? new KeyLog(folder ?? this.#preferred ?? this.#temporary()) : undefined;
    this.#lab.gw.dispatch({ type: 'keys', enabled: false });
    this.#log = log;
    this.#lab.gw.dispatch({ type: 'keys', enabled });
    return this.status;
  }

  close(): void {
    this.#lab.gw.dispatch({ type: 'keys', enabled: false });
    this.#log = undefined;
    if (this.#made !== undefined) rmSync(this.#made, { recursive: true, force: true });
  }

  #temporary(): string {
    this.#made ??= mkdtempSync(join(tmpdir(), 'bulkhead-lab-keys-'));
    return this.#made;
  }
}

export class LabSession {
  readonly backend: GatewayBackend;
  readonly #lab: Hoster;
  /** Milliseconds of a clock that only grows. */
  readonly #clock: () => Millis;
  readonly #offset: Millis;
  readonly #pings: Query[] = [];
  #counts = { sent: 0, answered: 0, lost: 0 };
  #pingAt: Millis;
  #advancing = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(lab: Hoster, keys: LabKeys, clock: () => Millis = () => performance.now()) {
    this.#lab = lab;
    this.#clock = clock;
    this.#offset = lab.timeline.now - clock();
    this.#pingAt = lab.timeline.now + PING_INTERVAL;
    this.backend = new GatewayBackend({
      gateway: lab.gw.gateway,
      dispatch: (event) => this.#dispatch(event),
      now: () => this.#advance(),
      keys: () => keys.status,
      setKeys: (enabled, folder) => {
        this.#advance();
        return keys.set(enabled, folder);
      },
      reload: () => Promise.reject(NO_FILE),
      configText: () => showDocument(resolveDocument(lab.documents.gw).document),
    });
    lab.gw.observe((action) => this.backend.observe(action));
    this.#turn();
  }

  /** Pings in the background so far. */
  get pings(): { readonly sent: number; readonly answered: number; readonly lost: number } {
    this.#count();
    return { ...this.#counts };
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#advance();
  }

  #dispatch(event: GatewayEvent): void {
    this.#advance();
    this.#lab.gw.dispatch(event);
    this.#schedule();
  }

  #turn(): void {
    const now = this.#advance();
    if (now >= this.#pingAt) {
      this.#pings.push(...this.#lab.pingOnce());
      this.#pingAt = now + PING_INTERVAL;
      this.#count();
    }
    this.#schedule();
  }

  /** Whoever asks from inside an action sees the moment of that action. */
  #advance(): Millis {
    const { timeline } = this.#lab;
    if (!this.#advancing) {
      this.#advancing = true;
      timeline.advanceTo(this.#clock() + this.#offset);
      this.#advancing = false;
    }
    return timeline.now;
  }

  #schedule(): void {
    clearTimeout(this.#timer);
    const due = Math.min(this.#lab.timeline.deadline()?.at ?? Number.POSITIVE_INFINITY, this.#pingAt);
    this.#timer = setTimeout(() => this.#turn(), Math.max(0, due - this.#lab.timeline.now));
  }

  #count(): void {
    for (const query of this.#pings.splice(0)) {
      if (query.outcome === 'waiting') this.#pings.push(query);
      else {
        this.#counts.sent += 1;
        this.#counts[query.outcome === 'reply' ? 'answered' : 'lost'] += 1;
      }
    }
  }
}

const NO_FILE = new ApiProblem(
  409,
  'no-file',
  'the lab has no document to read again: its own is built in',
  'For documents of your own: bulkhead run -c gateway.yaml',
);
const PING_INTERVAL: Millis = 1000;
