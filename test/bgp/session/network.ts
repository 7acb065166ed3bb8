/** Two sessions and the wire between them, in virtual time: connections with a delay each way, that can be cut or cross. */

import type { ConnectionId, SessionAction, SessionEvent } from '../../../src/bgp/contract.ts';
import { Session, type SessionConfiguration, sessionConfiguration } from '../../../src/bgp/session/index.ts';
import { type Millis, seededRandom, seededU32 } from '../../../src/core/index.ts';

export type Side = 'a' | 'b';
export const other = (side: Side): Side => (side === 'a' ? 'b' : 'a');

interface Wire {
  readonly names: Record<Side, ConnectionId>;
  readonly dialled: Side;
  readonly open: Record<Side, boolean>;
  /** When the last thing arrives at a side: the next is later. */
  readonly arrival: Record<Side, Millis>;
}

interface Due {
  readonly at: Millis;
  readonly order: number;
  readonly run: () => void;
}

export type Settings = Partial<SessionConfiguration>;

export class Network {
  now: Millis = 0;
  readonly sessions: Record<Side, Session>;
  readonly actions: Record<Side, SessionAction[]> = { a: [], b: [] };
  /** Whether dials reach the other side. */
  reachable = true;
  /** Whether what is sent arrives. */
  delivers = true;
  /** Everything takes 5 milliseconds and up to as many more; in each direction of a connection in order. */
  spread = 10;
  readonly #wires: Wire[] = [];
  readonly #u32: () => number;
  #due: Due[] = [];
  #order = 0;
  #accepted = 0;

  constructor(seed: number, a: Settings = {}, b: Settings = {}) {
    this.#u32 = seededU32(seed);
    this.sessions = {
      a: new Session(
        sessionConfiguration({ asn: 65001, identifier: 1, remoteAs: 'any', ...a }),
        seededRandom(this.#u32()),
      ),
      b: new Session(
        sessionConfiguration({ asn: 65002, identifier: 2, remoteAs: 'any', ...b }),
        seededRandom(this.#u32()),
      ),
    };
  }

  /** Replaces one side, as a process that begins again; its connections are reset when `told`, else the other side is left believing in them. */
  restart(side: Side, settings: Settings, told: boolean): void {
    for (const wire of this.#wires) {
      if (told) this.#shut(wire, side, 'reset');
      else wire.open[side] = false;
    }
    const own = side === 'a' ? { asn: 65001, identifier: 1 } : { asn: 65002, identifier: 2 };
    this.sessions[side] = new Session(
      sessionConfiguration({ ...own, remoteAs: 'any', ...settings }),
      seededRandom(this.#u32()),
    );
    this.actions[side] = [];
  }

  start(): void {
    this.handle('a', { type: 'start' });
    this.handle('b', { type: 'start' });
  }

  handle(side: Side, event: SessionEvent): readonly SessionAction[] {
    const actions = this.sessions[side].handle(event, this.now);
    for (const action of actions) {
      this.actions[side].push(action);
      this.#perform(side, action);
    }
    return actions;
  }

  /** Both see every connection fail. */
  cut(): void {
    for (const wire of this.#wires) for (const side of ['a', 'b'] as const) this.#tellClosed(wire, side, 'cut', 0);
  }

  runUntil(end: Millis): void {
    for (let next = this.#next(); next <= end; next = this.#next()) this.#turn(next);
    this.now = end;
  }

  /** Until `condition`, and how long it took; fails when it takes longer than `most`. */
  until(condition: () => boolean, most: Millis): Millis {
    const begun = this.now;
    while (!condition()) {
      const next = this.#next();
      if (!(next <= begun + most)) throw new Error(`not within ${most} ms: ${this.states()}`);
      this.#turn(next);
    }
    return this.now - begun;
  }

  states(): string {
    return `${this.sessions.a.state} ${this.sessions.b.state}`;
  }

  both(state: string): boolean {
    return this.states() === `${state} ${state}`;
  }

  openWires(): number {
    return this.#wires.filter((w) => w.open.a && w.open.b).length;
  }

  of<D extends SessionAction['do']>(side: Side, kind: D): Extract<SessionAction, { do: D }>[] {
    return this.actions[side].filter((x): x is Extract<SessionAction, { do: D }> => x.do === kind);
  }

  #next(): Millis {
    return Math.min(...this.#due.map((d) => d.at), this.#deadline('a'), this.#deadline('b'));
  }

  #turn(at: Millis): void {
    this.now = Math.max(this.now, at);
    const due = this.#due.filter((d) => d.at <= this.now).sort((x, y) => x.at - y.at || x.order - y.order);
    this.#due = this.#due.filter((d) => d.at > this.now);
    for (const d of due) d.run();
    for (const side of ['a', 'b'] as const) if (this.#deadline(side) <= this.now) this.handle(side, { type: 'tick' });
  }

  #deadline(side: Side): Millis {
    return this.sessions[side].deadline()?.at ?? Number.POSITIVE_INFINITY;
  }

  #perform(side: Side, action: SessionAction): void {
    if (action.do === 'dial') this.#dial(side, action.connection);
    if (action.do === 'close') {
      const wire = this.#wire(side, action.connection);
      if (wire !== undefined) this.#shut(wire, side, action.abort ? 'reset' : 'closed');
    }
    if (action.do === 'send') {
      const wire = this.#wire(side, action.connection);
      if (wire === undefined) throw new Error(`sent on ${action.connection}, which is closed`);
      const octets = action.octets.slice();
      if (this.delivers) this.#later(wire, other(side), () => this.#deliver(wire, other(side), octets));
      if (this.delivers) this.handle(side, { type: 'drained', connection: action.connection, queued: 0 });
    }
  }

  #dial(side: Side, name: ConnectionId): void {
    const peer = other(side);
    const accepted = ++this.#accepted;
    const names = side === 'a' ? { a: name, b: accepted } : { a: accepted, b: name };
    const wire: Wire = { names, dialled: side, open: { a: false, b: false }, arrival: { a: 0, b: 0 } };
    wire.open[side] = true;
    this.#wires.push(wire);
    this.#later(wire, peer, () => {
      if (!this.reachable) return this.#tellClosed(wire, side, 'refused');
      if (!wire.open[side]) return;
      this.#later(wire, side, () => {
        if (wire.open[side]) this.#connected(wire, side);
      });
      wire.open[peer] = true;
      this.#connected(wire, peer);
    });
  }

  #connected(wire: Wire, side: Side): void {
    const end = (s: Side, port: number) => ({ address: Uint8Array.of(192, 0, 2, s === 'a' ? 1 : 2), port });
    const dialled = wire.dialled === side;
    this.handle(side, {
      type: 'connected',
      connection: wire.names[side],
      direction: dialled ? 'out' : 'in',
      local: end(side, dialled ? 50000 : 179),
      remote: end(other(side), dialled ? 179 : 50000),
    });
  }

  #deliver(wire: Wire, side: Side, octets: Uint8Array): void {
    if (wire.open[side]) this.handle(side, { type: 'received', connection: wire.names[side], octets });
  }

  #shut(wire: Wire, side: Side, why: string): void {
    if (!wire.open[side]) return;
    wire.open[side] = false;
    this.#tellClosed(wire, other(side), why);
  }

  #tellClosed(wire: Wire, side: Side, why: string, delay?: Millis): void {
    const tell = (): void => {
      if (!wire.open[side]) return;
      wire.open[side] = false;
      this.handle(side, { type: 'closed', connection: wire.names[side], why });
    };
    if (delay === 0) tell();
    else this.#later(wire, side, tell);
  }

  #wire(side: Side, name: ConnectionId): Wire | undefined {
    return this.#wires.find((w) => w.names[side] === name && w.open[side]);
  }

  #later(wire: Wire, to: Side, run: () => void): void {
    const at = Math.max(wire.arrival[to] + 0.01, this.now + 5 + (this.#u32() % this.spread));
    wire.arrival[to] = at;
    this.#due.push({ at, order: this.#order++, run });
  }
}
