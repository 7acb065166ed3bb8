import { describe, expect, test } from 'vitest';
import { type MrtPage, MrtStream, tablePages, WAITING_OCTETS } from '../../src/api/mrt-stream.ts';
import { decodeRecord, dumpRib, IPV4_UNICAST, MrtFramer, type MrtRecord, Rib } from '../../src/bgp/index.ts';
import { formatPrefix } from '../../src/ip/index.ts';
import { addr } from '../support/packets.ts';

const PREFIXES = 3000;
const OCTETS_OF_PAGE = 32_768;

function recordsOf(pages: readonly MrtPage[]): MrtRecord[] {
  const framer = new MrtFramer();
  const records: MrtRecord[] = [];
  for (const { octets } of pages) {
    framer.push(new Uint8Array(Buffer.from(octets, 'base64')));
    for (let frame = framer.next(); frame !== undefined; frame = framer.next())
      records.push(decodeRecord(frame.octets.slice()));
  }
  framer.end();
  return records;
}

describe('pages of a table', () => {
  function tables() {
    const rib = new Rib({ localAs: 65_010, routerId: 1 });
    for (let i = 0; i < PREFIXES; i++)
      rib.originate({ address: Uint8Array.of(10, i >>> 8, i & 0xff, 0), length: 24 }, { why: 'a network' });
    rib.flush();
    const options = { collector: 1, view: 'contoso', families: [IPV4_UNICAST], seconds: 1000, now: 0 };
    return dumpRib(rib, options);
  }

  test('whole records, each page small, and others have their turn between two', async () => {
    const pages: MrtPage[] = [];
    let turns = 0;
    let going = true;
    const other = (): void => {
      turns += 1;
      if (going) setImmediate(other);
    };
    setImmediate(other);
    for await (const page of tablePages({ records: tables(), isThere: () => true })) pages.push(page);
    going = false;
    expect(pages.length).toBeGreaterThan(3);
    expect(turns).toBeGreaterThanOrEqual(pages.length - 1);
    for (const { octets } of pages) expect(Buffer.from(octets, 'base64').length).toBeLessThan(OCTETS_OF_PAGE + 100);
    expect(pages.map(({ end }) => end)).toEqual([...pages.slice(1).map(() => undefined), 'whole']);
    expect(pages.reduce((sum, { routes }) => sum + routes, 0)).toBe(PREFIXES);
    expect(pages.reduce((sum, { records }) => sum + records, 0)).toBe(PREFIXES + 1);
    const prefixes = recordsOf(pages).flatMap((r) => (r.kind === 'rib' ? [formatPrefix(r.prefix)] : []));
    expect([new Set(prefixes).size, prefixes[0], prefixes.at(-1)]).toEqual([PREFIXES, '10.0.0.0/24', '10.11.183.0/24']);
  });

  test('a router that is gone ends it, and that is said', async () => {
    const pages: MrtPage[] = [];
    let there = 2;
    const isThere = (): boolean => there-- > 0;
    for await (const page of tablePages({ records: tables(), isThere })) pages.push(page);
    expect(pages.map(({ end }) => end)).toEqual([undefined, undefined, 'cut']);
    expect(pages[2]).toEqual({ octets: '', records: 0, routes: 0, missed: 0, end: 'cut' });
  });
});

describe('messages for a slow reader', () => {
  const message = (octets: number): MrtRecord => ({
    kind: 'message',
    time: { seconds: 1, micros: 2 },
    ...{ peerAs: 65_020, localAs: 65_010, interfaceIndex: 0, peer: addr('10.2.0.1'), local: addr('10.1.0.1') },
    ...{ fourOctetAs: true, addPath: false, sent: false },
    message: new Uint8Array(octets),
  });
  /** Header, microseconds, session. */
  const AROUND = 12 + 4 + 20;

  test('so many octets wait; records beyond are counted with the next page, and what waits at the end is told', async () => {
    const stream = new MrtStream({ tenant: 'contoso', peer: undefined });
    const one = message(4096 - AROUND);
    for (let i = 0; i < WAITING_OCTETS / 4096 + 7; i++) stream.offer(one);
    const over = new AbortController();
    over.abort();
    const pages: MrtPage[] = [];
    for await (const page of stream.pages(over.signal)) pages.push(page);
    expect(pages.map(({ missed }) => missed)).toEqual([7, ...pages.slice(1).map(() => 0)]);
    expect(pages.every(({ records }) => records === OCTETS_OF_PAGE / 4096)).toBe(true);
    expect(pages.length).toBe(WAITING_OCTETS / OCTETS_OF_PAGE);
    // There is room again.
    stream.offer(one);
    const again = await stream.pages(over.signal).next();
    expect(again.value).toMatchObject({ records: 1, missed: 0 });
    expect(recordsOf([again.value as MrtPage])).toEqual([one]);
  });

  test('who waits is woken', async () => {
    const stream = new MrtStream({ tenant: 'contoso', peer: undefined });
    const over = new AbortController();
    const pages = stream.pages(over.signal);
    const first = pages.next();
    stream.offer(message(19));
    expect((await first).value).toMatchObject({ records: 1 });
    const last = pages.next();
    over.abort();
    expect(await last).toEqual({ done: true, value: undefined });
  });
});
