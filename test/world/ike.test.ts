/**
 * Two IKE endpoints over a bad link while operators, lifetimes and crashes do their worst; then the link is clean and both
 * ends must agree. Everything follows from the seed in the test's title.
 */
import { describe, expect, it } from 'vitest';
import { seededU32 } from '../../src/core/index.ts';
import type { IkeConnection } from '../../src/ike/index.ts';
import { draws } from '../support/draws.ts';
import {
  CLEAN,
  connection,
  disagreements,
  type IkePair,
  IkePair as Pair,
  proposals,
  type Side,
} from '../support/ike-pair.ts';

const SIDES: readonly Side[] = ['a', 'b'];

class Dice {
  readonly #next: () => number;
  constructor(seed: number) {
    this.#next = seededU32(seed);
  }
  below(n: number): number {
    return Math.floor((this.#next() / 2 ** 32) * n);
  }
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }
  of<T>(...choices: readonly T[]): T {
    return choices[this.below(choices.length)]!;
  }
}

/** Runs that differ in nothing but their seed; a failure names it. */
function seeds(first: number, count: number, run: (seed: number) => void): void {
  const wrong: string[] = [];
  for (let seed = first; seed < first + count; seed++) {
    try {
      run(seed);
    } catch (error) {
      const { message, actual } = error as Error & { actual?: unknown };
      wrong.push(`seed ${seed}: ${message}${actual === undefined ? '' : `: ${JSON.stringify(actual)}`}`);
      if (wrong.length === 3) break;
    }
  }
  expect(wrong).toEqual([]);
}

const act = (w: IkePair, side: Side, type: 'acquire' | 'terminate' | 'rekey', what: 'ike' | 'child'): void =>
  type === 'acquire'
    ? w.do(side, { type, connection: 'lab/net', packet: undefined })
    : w.do(side, { type, connection: 'lab/net', what });

function chaos(seed: number): void {
  const dice = new Dice(seed);
  const loss = dice.of(0, 0.1, 0.2, 0.2, 0.3);
  const w = new Pair(seed, {
    loss,
    duplicate: dice.of(0, 0.1, 0.3),
    delay: [dice.between(0, 50), dice.between(50, 300)],
  });
  const group = dice.of('', '', '-x25519');
  const child = { ...connection('a').child, proposals: proposals('esp', `aes128gcm16${group}-noesn`) };
  const common = {
    dpdSeconds: dice.of(5, 10, 30),
    giveUpSeconds: dice.of(20, 40),
    ikeLifetimeSeconds: dice.of(60, 200, 28_800),
    psk: connection('a').psk,
  };
  const lifetimeSeconds = dice.of(30, 60, 3600);
  const config = (side: Side): Partial<IkeConnection> => {
    const { local, remote } = connection(side).child;
    return { ...common, start: dice.of('demand', 'boot', 'boot'), child: { ...child, local, remote, lifetimeSeconds } };
  };
  w.configure(config('a'), config('b'));
  for (let i = dice.between(5, 15); i > 0; i--) {
    const side = dice.of(...SIDES);
    const what = dice.of('ike', 'child', 'child');
    const both = dice.below(3) === 0;
    const type = dice.of(
      ...(['acquire', 'acquire', 'rekey', 'rekey', 'rekey', 'rekey', 'terminate'] as const),
      ...(['restart', 'reload', 'expire'] as const),
    );
    if (type === 'restart') w.restart(side);
    else if (type === 'reload') reload(w, side, dice);
    else if (type === 'expire') {
      const spis = [...w[side].esp.keys()];
      if (spis.length > 0) w.do(side, { type, spiIn: dice.of(...spis), hard: dice.of(true, false) });
    } else for (const s of both ? SIDES : [side]) act(w, s, type, s === side ? what : dice.of('ike', 'child'));
    w.runFor(dice.of(0, 20, 100, 400, 2000, dice.between(0, 20_000)));
  }
  w.link = CLEAN;
  // Longer than DPD, giving up, and the DELETEs that are owed after that.
  w.runFor(250_000);
  for (const side of SIDES) act(w, side, 'acquire', 'child');
  rest(w.runFor(40_000));
  expect(disagreements(w)).toEqual([]);
  for (const end of [w.a, w.b]) expect([end.ike.sas.size, end.esp.size]).toEqual([1, 1]);
  shutdown(w);
}

/** Another document, and perhaps at once the old one again. */
function reload(w: IkePair, side: Side, dice: Dice): void {
  const old = [...w[side].ike.connections.values()].map(({ config }) => config);
  const changed = old.map((config) => ({ ...config, dpdSeconds: dice.of(5, 20) }));
  w.do(side, { type: 'configure', connections: dice.of(changed, []) });
  w.runFor(dice.of(0, 50, 1000));
  w.do(side, { type: 'configure', connections: dice.of(changed, old) });
}

/** To a moment without rekeys and without replaced SAs that still receive. */
function rest(w: IkePair): void {
  const busy = (end: IkePair['a']) =>
    end.esp.size > [...end.ike.sas].reduce((sum, sa) => sum + (sa.active === undefined ? sa.children.size : -1), 0);
  for (let i = 0; i < 100 && (busy(w.a) || busy(w.b)); i++) w.runFor(1_000).settle(1_000);
}

function shutdown(w: IkePair): void {
  for (const side of SIDES) w.do(side, { type: 'shutdown' });
  w.runFor(3_000);
  for (const end of [w.a, w.b]) {
    expect([end.done, end.ike.sas.size, end.esp.size, end.ike.spis.size, end.ike.deadline()]).toEqual([
      true,
      0,
      0,
      0,
      undefined,
    ]);
  }
}

/** Only rekeys, by either end or both, over a link that loses IKE but not ESP. */
function rekeysOnly(seed: number): void {
  const dice = new Dice(seed ^ 0xabcdef);
  const most = dice.of(5, 30, 300);
  const w = new Pair(seed, CLEAN);
  const group = dice.of('', '-x25519');
  const child = { ...connection('a').child, proposals: proposals('esp', `aes128gcm16${group}-noesn`) };
  const mirrored = (side: Side) => ({
    ...child,
    local: connection(side).child.local,
    remote: connection(side).child.remote,
  });
  w.configure({ child: mirrored('a') }, { child: mirrored('b') })
    .acquire()
    .runFor(100);
  w.link = { loss: dice.of(0, 0.1, 0.2), duplicate: dice.of(0, 0.2), delay: [dice.between(0, most), most] };
  w.probing = true;
  for (let i = dice.between(3, 8); i > 0; i--) {
    const first = dice.of(...SIDES);
    const second: Side = first === 'a' ? 'b' : 'a';
    act(w, first, 'rekey', dice.of('ike', 'child', 'child'));
    if (dice.below(3) > 0) {
      if (dice.below(2) === 0) w.runFor(dice.between(0, most * 2));
      act(w, second, 'rekey', dice.of('ike', 'child'));
    }
    w.runFor(dice.of(most, 1000, 5000, 30_000));
  }
  w.link = CLEAN;
  w.runFor(10_000);
  w.probing = false;
  // A redundant IKE SA whose initiator forgot it is closed after giving up twice.
  rest(w.runFor(350_000));
  expect(w.lostProbes).toEqual([]);
  expect(w.probes).toBeGreaterThan(10);
  expect(disagreements(w)).toEqual([]);
  for (const end of [w.a, w.b]) expect([end.ike.sas.size, end.esp.size]).toEqual([1, 1]);
  shutdown(w);
}

describe('two IKE endpoints', () => {
  it.each([10_000, 20_000, 30_000, 40_000])(
    'agree after loss, crashes and crossing operators (seeds from %i)',
    (first) => {
      seeds(first, draws(75), chaos);
    },
  );

  it.each([100_000, 200_000])('RFC 7296 §2.8: lose no packet by rekeys (seeds from %i)', (first) => {
    seeds(first, draws(75), rekeysOnly);
  });
});
