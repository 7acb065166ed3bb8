/**
 * A hundred thousand malformed datagrams at a running gateway whose tunnel carries traffic meanwhile.
 *
 * They are made from one seed: recorded messages of strongSwan with flipped bits, cut off, with wrong lengths; random octets; forged
 * messages and fragments with the SPIs of the live IKE SA, ESP with those of the live Child SA; keepalives. One sender has the
 * address of the peer (and other ports), the other one that no connection knows.
 * The books must balance: each datagram the kernel handed over stands under exactly one name in the status.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Bytes, concat, fromHex, putU16, putU32, seededRandom, seededU32, u16 } from '../../src/core/index.ts';
import type { ChildSaStatus, GatewayStatus, IkeSaStatus } from '../../src/gateway/status.ts';
import { Bulkhead } from '../support/bulkhead.ts';
import { ADDRESSES, type Place, Topology } from '../support/netns.ts';
import { requirePeers } from '../support/peers.ts';
import { sessions } from '../support/sessions.ts';
import { bulkheadEnd, flood } from './ends.ts';

const DATAGRAMS = 100_000;
const SEED = 0x5eed;
/** Datagrams a second and sender. */
const RATE = 3000;
const COOKIE_THRESHOLD = 20;
/** The old generation of V8's heap, one a thread: half of it is in use, so whatever would keep a few hundred octets a datagram ends here. */
const HEAP_MEGABYTES = 48;
/** What heaps, and buffers that V8 is slow to give back, may still grow by in the second half. */
const GROWTH_OCTETS = 96e6;

const describeWithPeers = requirePeers('linux', 'root', 'koffi', 'netns', 'tun', 'ethtool', 'ping');

describeWithPeers('100,000 malformed datagrams', () => {
  let network: Topology;
  let tested: Bulkhead;
  let peer: Bulkhead;
  let folder: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), `bh-robust-${process.pid}-`));
    network = new Topology();
    const limits = { limits: { cookieThreshold: COOKIE_THRESHOLD } };
    peer = await Bulkhead.start(network, 'gwB', bulkheadEnd({ encapsulation: 'udp', start: 'listen' }, {}, 'B'));
    const document = bulkheadEnd({ encapsulation: 'udp', start: 'boot' }, limits);
    const env = { NODE_OPTIONS: `--max-old-space-size=${HEAP_MEGABYTES}` };
    tested = await Bulkhead.start(network, 'gwA', document, { env });
    await tested.when((c) => c.state === 'up');
  });

  afterAll(async () => {
    await tested?.stop();
    await peer?.stop();
    await network?.close();
    rmSync(folder, { recursive: true, force: true });
  });

  it('RFC 7296 §2.4, §2.21.4: alive, the tunnel untouched, every datagram accounted for', async () => {
    const [ike, child, before] = [await one(tested.ikeSas()), await one(tested.childSas()), await tested.status()];
    const lostBefore = await overflows(network);
    const writtenBefore = tested.log.length;
    const batches = await makeDatagrams(ike, child, folder);
    const samples: { readonly octets: number; readonly halfOpen: number }[] = [];

    const watching = { done: false };
    const watch = async (): Promise<void> => {
      while (!watching.done) {
        const { halfOpen } = await tested.status();
        samples.push({ octets: residentOctets(tested.pid), halfOpen });
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
    };
    const watcher = watch();
    let sent = 0;
    const pings = await flood(
      network,
      async () => {
        const counts = await Promise.all(batches.map(({ place, file }) => send(network, place, file)));
        sent = counts.reduce((sum, count) => sum + count, 0);
      },
      { intervalMs: 50 },
    );
    watching.done = true;
    await watcher;

    // Alive, and the tunnel is the one it was.
    expect(tested.running).toBe(true);
    expect(pings.lost.length).toBeLessThanOrEqual(pings.sent * 0.02);
    expect(await network.ping('hostA', ADDRESSES.hostB, 5)).toBe(5);
    const [ikeAfter, childAfter] = [await one(tested.ikeSas()), await one(tested.childSas())];
    expect([ikeAfter.id, ikeAfter.spiI, ikeAfter.spiR]).toEqual([ike.id, ike.spiI, ike.spiR]);
    expect([ikeAfter.local, ikeAfter.remote, ikeAfter.state]).toEqual([ike.local, ike.remote, 'established']);
    expect([childAfter.id, childAfter.spiIn, childAfter.spiOut]).toEqual([child.id, child.spiIn, child.spiOut]);
    expect(childAfter.packetsIn - child.packetsIn).toBeGreaterThan(100);

    // Every datagram under one name.
    const after = await tested.status();
    const counted = difference(before, after);
    const lost = (await overflows(network)) - lostBefore;
    process.stderr.write(`  ${sent} sent, ${lost} lost in the kernel; ${JSON.stringify(counted)}\n`);
    expect(sent).toBe(DATAGRAMS);
    expect(total(counted)).toBe(sent - lost);
    expect(lost).toBeLessThan(DATAGRAMS * 0.05);
    for (const reason of EXPECTED) expect(counted[reason], reason).toBeGreaterThan(0);
    expect(after.packets.inUse).toBeLessThan(after.packets.poolSize / 4);

    // Bounded.
    expect(Math.max(...samples.map((s) => s.halfOpen))).toBeLessThanOrEqual(COOKIE_THRESHOLD);
    const warm = samples.slice(Math.floor(samples.length / 2)).map((s) => s.octets);
    process.stderr.write(`  resident: ${samples.map((s) => Math.round(s.octets / 1e6)).join(' ')} MB\n`);
    expect(Math.max(...warm) - warm[0]!).toBeLessThan(GROWTH_OCTETS);
    expect(tested.log.length - writtenBefore).toBeLessThan(2e6);
  }, 90_000);
});

/** Reasons that must have occurred; there may be others. */
const EXPECTED = [
  'ike-malformed',
  'ike-forged',
  'ike-stale',
  'ike-unknown-spi',
  'ike-no-connection',
  'ike-init-cookie',
  'espUnknownSpi',
  'espIntegrity',
  'espShort',
  'keepalive',
];

/**
 * What counts datagrams on the sockets: IKE messages, also those that control had no room for, ESP packets, keepalives. The
 * others are packets of the tunnel and of the TUN device; a suppressed answer is counted beside its datagram.
 */
const DATAGRAM = /^(ike-(?!error-answer-suppressed)|ikeRefused$|esp|keepalive$)/;

function difference(before: GatewayStatus, after: GatewayStatus): Record<string, number> {
  const grown = Object.entries(after.drops).map(([name, count]) => [name, count - (before.drops[name] ?? 0)] as const);
  const accepted = ['accepted', after.ikeAccepted - before.ikeAccepted] as const;
  return Object.fromEntries([...grown.filter(([name, count]) => count > 0 && DATAGRAM.test(name)), accepted]);
}

const total = (counted: Record<string, number>): number => Object.values(counted).reduce((sum, n) => sum + n, 0);

async function one<T>(many: Promise<readonly T[]>): Promise<T> {
  const found = await many;
  expect(found).toHaveLength(1);
  return found[0]!;
}

const residentOctets = (pid: number): number =>
  Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/^VmRSS:\s+(\d+) kB/m)![1]) * 1024;

/** Datagrams that found no room in a socket's buffer at gwA. */
async function overflows(network: Topology): Promise<number> {
  const rows = (await network.must('gwA', 'cat', ['/proc/net/snmp']))
    .split('\n')
    .filter((row) => row.startsWith('Udp:'));
  const [names, values] = rows.map((row) => row.split(' '));
  return Number(values![names!.indexOf('InErrors')]);
}

/** A sender's file: for each datagram port (2), length (2), octets. */
interface Batch {
  readonly place: Place;
  readonly file: string;
}

async function makeDatagrams(ike: IkeSaStatus, child: ChildSaStatus, folder: string): Promise<readonly Batch[]> {
  const maker = new Maker(fromHex(ike.spiI), fromHex(ike.spiR), fromHex(child.spiIn));
  const places: readonly Place[] = ['gwB', 'inet'];
  return places.map((place) => {
    const parts: Bytes[] = [];
    for (let i = 0; i < DATAGRAMS / places.length; i++) {
      const { port, octets } = maker.next();
      const head = new Uint8Array(4);
      putU16(head, 0, port);
      putU16(head, 2, octets.length);
      parts.push(head, octets);
    }
    const file = join(folder, place);
    writeFileSync(file, Buffer.concat(parts));
    return { place, file };
  });
}

/** Sends a file at RATE; gives how many datagrams the kernel took. */
async function send(network: Topology, place: Place, file: string): Promise<number> {
  const words = ['-e', SENDER, file, ADDRESSES.gwA, String(RATE)];
  const sender = network.start(place, process.execPath, words);
  if ((await sender.end(75_000)) !== 0) throw new Error(`the sender: ${sender.stderr}`);
  return Number(sender.stdout);
}

/** Runs in a namespace. Ten milliseconds' worth of datagrams at a time. */
const SENDER = `
  const [file, address, rate] = process.argv.slice(1);
  const octets = require('node:fs').readFileSync(file);
  const socket = require('node:dgram').createSocket('udp4');
  socket.on('error', () => {});
  let at = 0, taken = 0, waiting = 0, began = Date.now(), sent = 0;
  const turn = () => {
    const due = Math.min((Date.now() - began) * rate / 1000, sent + rate / 50);
    for (; at < octets.length && sent < due; sent++) {
      const port = octets.readUInt16BE(at), length = octets.readUInt16BE(at + 2);
      waiting++;
      socket.send(octets.subarray(at + 4, at + 4 + length), port, address, (error) => { waiting--; if (!error) taken++; });
      at += 4 + length;
    }
    if (at < octets.length || waiting > 0) return setTimeout(turn, 10);
    console.log(taken);
    socket.close();
  };
  socket.bind(0, turn);
`;

class Maker {
  readonly #spiI: Bytes;
  readonly #spiR: Bytes;
  readonly #spiIn: Bytes;
  readonly #draw = seededU32(SEED);
  readonly #octets = seededRandom(SEED);
  readonly #messages: readonly Bytes[] = sessions().flatMap((s) => s.messages.map((m) => m.octets));
  readonly #esp: readonly Bytes[] = sessions().flatMap((s) => s.esp.map((e) => e.octets));
  readonly #kinds: readonly (() => Bytes)[] = [
    () => this.#recorded(),
    () => this.#flipped(this.#recorded()),
    () => this.#flipped(this.#recorded()),
    () => this.#cut(this.#recorded()),
    () => this.#longer(this.#recorded()),
    () => this.#misled(this.#recorded()),
    () => this.#misled(this.#recorded()),
    () => this.#renewed(this.#recorded()),
    () => this.#renewed(this.#flipped(this.#recorded())),
    () => this.#forged(),
    () => this.#forged(),
    () => this.#headed(),
    () => this.#octets(this.#below(1400)),
    () => this.#octets(this.#below(64)),
  ];

  constructor(spiI: Bytes, spiR: Bytes, spiIn: Bytes) {
    this.#spiI = spiI;
    this.#spiR = spiR;
    this.#spiIn = spiIn;
  }

  next(): { readonly port: number; readonly octets: Bytes } {
    if (this.#below(4) === 0) return { port: NATT, octets: this.#espLike() };
    // What goes to the NAT-T port has the non-ESP marker in front, mostly.
    const octets = this.#kinds[this.#below(this.#kinds.length)]!();
    if (this.#below(2) === 0) return { port: IKE, octets };
    return { port: NATT, octets: this.#below(8) === 0 ? octets : concat(MARKER, octets) };
  }

  #below(bound: number): number {
    return this.#draw() % bound;
  }

  #recorded(): Bytes {
    return this.#messages[this.#below(this.#messages.length)]!.slice();
  }

  #flipped(octets: Bytes): Bytes {
    for (let n = this.#below(8); n >= 0; n--) octets[this.#below(octets.length)]! ^= 1 << this.#below(8);
    return octets;
  }

  #cut(octets: Bytes): Bytes {
    const cut = octets.subarray(0, this.#below(octets.length));
    return this.#below(2) === 0 ? cut : fitted(cut);
  }

  #longer(octets: Bytes): Bytes {
    const more = concat(octets, this.#octets(this.#below(600)));
    return this.#below(2) === 0 ? more : fitted(more);
  }

  /** A wrong length: the header's, or that of one of its payloads. */
  #misled(octets: Bytes): Bytes {
    const lie = [0, 1, 3, 4, 5, 0x7fff, 0xffff, octets.length][this.#below(8)]!;
    if (this.#below(3) === 0) putU32(octets, LENGTH_AT, lie);
    else {
      let at = HEADER;
      for (let hops = this.#below(6); hops > 0 && at + 4 < octets.length; hops--)
        at += Math.max(4, u16(octets, at + 2));
      if (at + 4 <= octets.length) putU16(octets, at + 2, lie);
    }
    return octets;
  }

  /** A fresh initiator SPI: to the gateway this is a peer it never saw. */
  #renewed(octets: Bytes): Bytes {
    octets.set(this.#octets(8), 0);
    return octets;
  }

  /** With the SPIs of the live IKE SA: any exchange, either direction, SK or fragment, with or without a plausible body. */
  #forged(): Bytes {
    const type = [SK, SKF, SKF, this.#below(256)][this.#below(4)]!;
    const body = this.#octets(this.#below(this.#below(8) === 0 ? 1400 : 200));
    const payload = concat(Uint8Array.of(this.#below(64), 0, 0, 0), body);
    putU16(payload, 2, payload.length);
    if (type === SKF && body.length >= 4) payload.set([0, 1 + this.#below(3), 0, this.#below(5)], 4);
    const head = concat(this.#spiI, this.#spiR, Uint8Array.of(type, 0x20, 34 + this.#below(5), this.#below(64)));
    const id = new Uint8Array(8);
    putU32(id, 0, this.#below(4) > 0 ? this.#below(2) : this.#draw());
    return fitted(concat(head, id, payload));
  }

  /** A header in order, and nothing behind it that is. */
  #headed(): Bytes {
    const octets = this.#octets(HEADER + this.#below(400));
    octets.set([33 + this.#below(20), 0x20, 34 + this.#below(5), 0x08], 16);
    return fitted(octets);
  }

  #espLike(): Bytes {
    switch (this.#below(8)) {
      case 0:
        return Uint8Array.of(0xff);
      case 1:
        return this.#octets(this.#below(8));
      case 2:
        return this.#esp[this.#below(this.#esp.length)]!;
      case 3:
        return concat(this.#octets(4), this.#octets(this.#below(1400)));
      default: {
        const sequence = new Uint8Array(4);
        putU32(sequence, 0, this.#below(2) === 0 ? this.#below(2000) : this.#draw());
        return concat(this.#spiIn, sequence, this.#octets(this.#below(this.#below(4) === 0 ? 1400 : 120)));
      }
    }
  }
}

/** The header says how long the datagram is. */
function fitted(octets: Bytes): Bytes {
  if (octets.length < HEADER) return octets;
  const out = octets.slice();
  putU32(out, LENGTH_AT, out.length);
  return out;
}

const IKE = 500;
const NATT = 4500;
const HEADER = 28;
/** Offset of the Length field in the IKE header. */
const LENGTH_AT = 24;
const MARKER = new Uint8Array(4);
const SK = 46;
const SKF = 53;
