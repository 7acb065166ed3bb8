/** The NAT beside the naive one: same packets, same time, same verdicts, octets and sessions. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DROP_NAMES } from '../../src/ip/index.ts';
import { FRAGMENT_MS, type NatFiltering, WAITING_MS } from '../../src/nat/index.ts';
import { ROW } from '../../src/nat/sessions.ts';
import {
  ACK,
  be,
  be32,
  counting,
  cut,
  EXTERNAL,
  error,
  expectValid,
  FIN,
  num,
  ping,
  placed,
  RST,
  rule,
  SYN,
  tcp,
  text,
  udp,
  World,
} from './fixture.ts';
import { type Changes, Model, type ModelConfiguration, rebuilt, stateName } from './model.ts';

const HOSTS = ['10.1.0.10', '10.1.0.11', '10.1.0.12'];
const REMOTES = ['192.0.2.1', '192.0.2.2'];
const INNER_PORTS = [2000, 2001, 53, 80];
const REMOTE_PORTS = [53, 443];
const EXTERNAL_PORTS = [2000, 2001, 2002, 53, 54, 80];
const RULES = [
  [],
  ['udp 53 > 10.1.0.12:53', 'tcp 80 > 10.1.0.11:80'],
  ['udp 53 > 10.1.0.12:53', 'udp 54 > 10.1.0.12:53', 'tcp 2000 > 10.1.0.12:80'],
];

const flags = fc.constantFrom(SYN, SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST);
const protocol = fc.constantFrom(1, 6, 6, 17, 17);
const pick = fc.nat(1000);
/** A wrong checksum and one that is owed are rare. */
const flaw = fc.constantFrom('none', 'none', 'none', 'none', 'wrong', 'owed', 'zero');
const configuration = fc.record({
  rules: fc.constantFrom(...RULES),
  filtering: fc.constantFrom<NatFiltering>('address', 'address', 'endpoint-independent', 'address-and-port'),
  sessions: fc.constantFrom(5, 12, 100),
  udpInboundRefresh: fc.boolean(),
});
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant('out' as const),
      protocol,
      flags,
      flaw,
      host: pick,
      port: pick,
      remote: pick,
      remotePort: pick,
    }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('in' as const),
      protocol,
      flags,
      flaw,
      known: fc.boolean(),
      port: pick,
      remote: pick,
      remotePort: pick,
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('connect' as const), host: pick, port: pick, remote: pick }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('error' as const),
      outbound: fc.boolean(),
      session: pick,
      quoted: fc.constantFrom(28, 40, 99),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fragment' as const),
      outbound: fc.boolean(),
      host: fc.nat(1),
      port: pick,
      id: fc.nat(1),
      piece: fc.nat(2),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(1, 10, 25, 60, 100, 125, 1700) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const), protocol }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('configure' as const), to: configuration }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;
type Configuration = typeof configuration extends fc.Arbitrary<infer T> ? T : never;

describe('the NAT and the naive NAT', () => {
  it.each([
    [1, 4095],
    [2000, 2002],
  ])('do the same, dynamic ports %i to %i', (...ports) => {
    fc.assert(
      fc.property(configuration, fc.array(step, { minLength: 10, maxLength: 70, size: 'max' }), (first, steps) => {
        const pair = new Pair(first, ports);
        for (const s of steps) {
          pair.take(s);
          pair.compare();
        }
      }),
      { numRuns: 60 },
    );
  });
});

class Pair {
  readonly #world: World;
  readonly #model: Model;
  /** First fragments that passed, and those that wait, by direction, addresses and identification. */
  readonly #passed = new Map<string, { until: number; changes: Changes }>();
  #waiting: { key: string; until: number; piece: Uint8Array }[] = [];

  constructor(configuration: Configuration, ports: readonly [number, number]) {
    this.#world = new World({
      ...settings(configuration),
      ports: { first: ports[0], last: ports[1] },
    });
    this.#model = new Model(num(EXTERNAL), this.#modelled(configuration), ports, (session, choices) => {
      const row = this.#row(session.protocol, session.external, session.remote, session.remotePort);
      const left = (this.#world.nat.state.table.word(row, ROW.expires) - this.#world.now) | 0;
      const inbound = session.protocol === 17 && this.#configuration.udpInboundRefresh;
      if (!inbound) expect(choices, 'ends of sessions that let this one in').toContain(this.#world.now + left);
      return this.#world.now + left;
    });
    this.#configuration = configuration;
  }
  #configuration: Configuration;

  take(s: Step): void {
    switch (s.do) {
      case 'out': {
        const remote = `${of(REMOTES, s.remote)}:${of(REMOTE_PORTS, s.remotePort)}`;
        this.#pass(
          'out',
          packetOf(s.protocol, `${of(HOSTS, s.host)}:${of(INNER_PORTS, s.port)}`, remote, s.flags),
          s.flaw,
        );
        break;
      }
      case 'in': {
        const sessions = this.#model.sessions;
        const known = s.known && sessions.length > 0 ? of(sessions, s.port) : undefined;
        const port = known?.external ?? of(EXTERNAL_PORTS, s.port);
        const from =
          known !== undefined && s.remote % 2 === 0 ? `${text(known.remote)}:${known.remotePort}` : undefined;
        const remote = from ?? `${of(REMOTES, s.remote)}:${of(REMOTE_PORTS, s.remotePort)}`;
        this.#pass('in', packetOf(known?.protocol ?? s.protocol, remote, `${EXTERNAL}:${port}`, s.flags), s.flaw);
        break;
      }
      case 'connect': {
        const [inside, remote] = [`${of(HOSTS, s.host)}:${of(INNER_PORTS, s.port)}`, `${of(REMOTES, s.remote)}:443`];
        this.#pass('out', packetOf(6, inside, remote, SYN), 'none');
        const session = this.#model.sessions.find(
          (o) =>
            o.protocol === 6 &&
            `${text(o.inner)}:${o.innerPort} ${text(o.remote)}:${o.remotePort}` === `${inside} ${remote}`,
        );
        if (session === undefined) break;
        this.#pass('in', packetOf(6, remote, `${EXTERNAL}:${session.external}`, SYN | ACK), 'none');
        this.#pass('out', packetOf(6, inside, remote, ACK), 'none');
        break;
      }
      case 'error':
        if (this.#model.sessions.length > 0) this.#error(s.outbound, s.session, s.quoted);
        break;
      case 'fragment':
        this.#fragment(s);
        break;
      case 'wait':
        this.#wait(s.seconds);
        break;
      case 'flush': {
        const rest = this.#model.sessions.filter((session) => session.protocol !== s.protocol);
        expect(this.#world.nat.flush({ protocol: s.protocol })).toBe(this.#model.sessions.length - rest.length);
        this.#model.sessions = rest;
        break;
      }
      case 'configure':
        this.#configuration = s.to;
        this.#world.reconfigure(settings(s.to));
        this.#model.reconfigure(this.#modelled(s.to));
        this.#leaveOnePort();
        break;
    }
  }

  compare(): void {
    const named = (s: { protocol: number; externalPort: number; remoteAddress: number; remotePort: number }): string =>
      [s.protocol, s.externalPort, s.remoteAddress, s.remotePort].join();
    const views = [...this.#world.nat.sessions()].sort((a, b) => (named(a) < named(b) ? -1 : 1));
    const expected = this.#model.sessions
      .map((s) => ({
        protocol: s.protocol,
        innerAddress: s.inner,
        innerPort: s.innerPort,
        externalPort: s.external,
        remoteAddress: s.remote,
        remotePort: s.remotePort,
        state: stateName(s),
        fromOutside: (s.protocol === 6 && s.tcp.syn.length > 0 ? s.tcp.first : s.first) === 'in',
        packetsOut: s.packets.out,
        octetsOut: s.octets.out,
        packetsIn: s.packets.in,
        octetsIn: s.octets.in,
      }))
      .sort((a, b) => (named(a) < named(b) ? -1 : 1));
    expect(views.map(({ secondsLeft: _, ...view }) => view)).toEqual(expected);
    for (const s of this.#model.sessions) {
      const row = this.#row(s.protocol, s.external, s.remote, s.remotePort);
      expect(this.#world.nat.state.table.word(row, ROW.expires), 'end of a session').toBe(s.expires | 0);
    }
    expect(this.#world.nat.counters.sessions).toBe(expected.length);
  }

  #pass(direction: 'out' | 'in', packet: Uint8Array, flaw: string): void {
    const sent = flawed(packet, flaw);
    const [verdict, after] = this.#translate(direction, sent, flaw === 'owed');
    const chosen = be(after, packet[9] === 1 ? 24 : 20);
    const { now } = this.#world;
    const expectation =
      direction === 'out' ? this.#model.outbound(packet, now, chosen) : this.#model.inbound(packet, now);
    expect(verdict).toBe(expectation.verdict);
    if (expectation.changes === undefined) {
      expect(after).toEqual(sent);
      return;
    }
    const right = rebuilt(flaw === 'zero' ? sent : packet, expectation.changes);
    if (flaw === 'none' || flaw === 'zero') expectValid(after);
    const field = checksumAt(packet);
    if (flaw === 'owed') right.set(sent.slice(field, field + 2), field);
    if (flaw === 'wrong') {
      expect(() => expectValid(after)).toThrow(/checksum/);
      right.set(after.slice(field, field + 2), field);
    }
    expect(after).toEqual(right);
  }

  #error(outbound: boolean, which: number, quoted: number): void {
    const s = of(this.#model.sessions, which);
    const inner = `${text(s.inner)}:${s.innerPort}`;
    const remote = `${text(s.remote)}:${s.protocol === 1 ? s.innerPort : s.remotePort}`;
    const outside = `${EXTERNAL}:${s.external}`;
    if (outbound) {
      const remoteOutside = `${text(s.remote)}:${s.protocol === 1 ? s.external : s.remotePort}`;
      const came = packetOf(s.protocol, remoteOutside, outside, ACK, 0);
      const delivered = rebuilt(came, { destination: s.inner, destinationPort: s.innerPort });
      const [verdict, after] = this.#translate('out', error('10.1.0.1', text(s.remote), delivered, { quoted }));
      expect(verdict).toBe('pass');
      expect(after).toEqual(error(EXTERNAL, text(s.remote), came, { quoted }));
    } else {
      const sent = packetOf(s.protocol, inner, remote, ACK);
      const left = rebuilt(sent, { source: num(EXTERNAL), sourcePort: s.external });
      const [verdict, after] = this.#translate('in', error('198.51.100.1', EXTERNAL, left, { quoted }));
      expect(verdict).toBe('pass');
      expect(after).toEqual(error('198.51.100.1', text(s.inner), sent, { quoted }));
    }
  }

  #fragment(s: Extract<Step, { do: 'fragment' }>): void {
    const direction = s.outbound ? 'out' : 'in';
    const port = of(INNER_PORTS, s.port);
    const [inside, remote] = [`${HOSTS[s.host]}:${port}`, `${REMOTES[0]}:${REMOTE_PORTS[0]}`];
    const [from, to] = s.outbound
      ? [inside, remote]
      : [`${REMOTES[s.host]}:53`, `${EXTERNAL}:${of(EXTERNAL_PORTS, s.port)}`];
    // The identification tells apart what later fragments do not: their ports.
    const packet = udp(from, to, counting(100), { id: s.id * 100 + (s.outbound ? port : be(udp(from, to), 22)) });
    const key = [direction, be32(packet, 12), be32(packet, 16), be(packet, 4)].join();
    const piece = cut(packet, 40)[s.piece]!;
    const { now } = this.#world;
    const [verdict, after] = this.#translate(direction, piece);
    const known = this.#passed.get(key);
    if (s.piece > 0) {
      if (known === undefined || known.until <= now) {
        expect(verdict).toBe('fragment');
        this.#waiting.push({ key, until: now + WAITING_MS, piece });
        return;
      }
      expect(verdict).toBe('pass');
      expect(after).toEqual(rebuilt(piece, known.changes));
      return;
    }
    const expectation =
      direction === 'out' ? this.#model.outbound(piece, now, be(after, 20)) : this.#model.inbound(piece, now);
    expect(verdict).toBe(expectation.verdict);
    if (expectation.changes === undefined) return;
    const fresh = known === undefined || known.until <= now;
    const identification = s.outbound ? (fresh ? be(after, 4) : known.changes.identification!) : be(packet, 4);
    const changes = { ...expectation.changes, identification };
    expect(after).toEqual(cut(rebuilt(packet, changes), 40)[0]);
    this.#passed.set(key, { until: now + FRAGMENT_MS, changes });
    const followers = this.#waiting.filter((waiting) => waiting.key === key);
    this.#waiting = this.#waiting.filter((waiting) => waiting.key !== key);
    expect(this.#world.followers(direction)).toEqual(followers.map((waiting) => rebuilt(waiting.piece, changes)));
  }

  #wait(seconds: number): void {
    const until = this.#world.now + seconds * 1000;
    const { nat } = this.#world;
    for (let due = nat.deadline(); due !== undefined && due.at <= until; due = nat.deadline()) {
      this.#world.now = Math.max(this.#world.now, due.at);
      const swept = (nat.state.sweepAt ?? Number.POSITIVE_INFINITY) <= this.#world.now;
      nat.expire(this.#world.now);
      if (swept) this.#model.expire(this.#world.now);
      this.#waiting = this.#waiting.filter((waiting) => waiting.until > this.#world.now);
    }
    this.#world.now = until;
    for (const s of this.#model.sessions) expect(s.expires, 'a session is ended in time').toBeGreaterThan(until - 1000);
  }

  /** Of an endpoint that had two rules and has none, the sessions with one port stay. */
  #leaveOnePort(): void {
    const there = new Set(
      [...this.#world.nat.sessions()].map((s) => `${s.protocol} ${s.innerAddress} ${s.innerPort} ${s.externalPort}`),
    );
    const nameOf = (s: { protocol: number; inner: number; innerPort: number }): string =>
      `${s.protocol} ${s.inner} ${s.innerPort}`;
    const ruled = (s: { protocol: number; external: number }): boolean =>
      this.#configuration.rules.map(rule).some((r) => r.protocol === s.protocol && r.externalPort === s.external);
    for (const s of this.#model.sessions) {
      if (ruled(s) || there.has(`${nameOf(s)} ${s.external}`)) continue;
      const kept = this.#model.sessions.filter(
        (o) => nameOf(o) === nameOf(s) && there.has(`${nameOf(o)} ${o.external}`),
      );
      expect(new Set(kept.map((o) => o.external)).size, 'ports kept').toBe(1);
    }
    this.#model.sessions = this.#model.sessions.filter((s) => there.has(`${nameOf(s)} ${s.external}`));
  }

  #translate(direction: 'out' | 'in', octets: Uint8Array, partial = false): [string, Uint8Array] {
    const packet = placed(octets);
    packet.partial = partial;
    const { nat, now } = this.#world;
    const verdict = direction === 'out' ? nat.outbound(packet, now) : nat.inbound(packet, now);
    return [DROP_NAMES[verdict]!, packet.buf.slice(packet.start, packet.end)];
  }

  #row(protocol: number, external: number, remote: number, remotePort: number): number {
    const row = this.#world.nat.state.findInbound(protocol, external, remote | 0, remotePort);
    expect(row).toBeGreaterThanOrEqual(0);
    return row;
  }

  #modelled(to: Configuration): ModelConfiguration {
    const { rules, filtering, timeouts } = settings(to);
    return { rules: rules.map(rule), filtering, timeouts, sessions: to.sessions };
  }
}

const settings = ({ rules, filtering, sessions, udpInboundRefresh }: Configuration) => ({
  rules,
  filtering,
  limits: { sessions },
  timeouts: {
    tcpEstablishedSeconds: 1800,
    tcpTransientSeconds: 120,
    udpSeconds: 120,
    icmpSeconds: 30,
    udpInboundRefresh,
  },
});

function packetOf(protocol: number, from: string, to: string, flags: number, echo = 8): Uint8Array {
  if (protocol === 6) return tcp(from, to, flags, counting(5));
  if (protocol === 17) return udp(from, to, counting(11));
  const [source, destination] = [from.split(':'), to.split(':')];
  const outside = source[0] !== EXTERNAL && destination[0] === EXTERNAL;
  return ping(source[0]!, destination[0]!, Number(outside ? destination[1] : source[1]), echo);
}

function flawed(packet: Uint8Array, flaw: string): Uint8Array {
  const out = packet.slice();
  const field = checksumAt(packet);
  if (flaw === 'wrong') out[field + 1]! ^= 0x55;
  if (flaw === 'owed') out.set([0xab, 0xcd], field);
  if (flaw === 'zero' && packet[9] === 17) out.set([0, 0], field);
  return out;
}

const checksumAt = (packet: Uint8Array): number => 20 + { 1: 2, 6: 16, 17: 6 }[packet[9]!]!;
const of = <T>(list: readonly T[], index: number): T => list[index % list.length]!;
