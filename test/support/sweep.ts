/**
 * Echo requests of every size, and what becomes of each: answered with the same octets, refused with an MTU, or neither.
 *
 * `ping` takes one size a process; this is one process for thousands. It sends on a raw socket in the namespace of a host, a
 * window at a time, and never twice, but for what is too large: errors may have been too many for the router's limit.
 */
import { createRequire } from 'node:module';
import type { Place, Topology } from './netns.ts';

export interface SweepOptions {
  /** Octets behind the ICMP header, first and last. */
  readonly from: number;
  readonly to: number;
  /**
   * `set`: as one packet with DF (IPv6: as one packet), whatever is known of the way. `clear`: without DF (IPv6: in fragments
   * where the way is known to be narrow).
   */
  readonly df: 'set' | 'clear';
  /** Payloads longer than this count as too large: they go at the pace at which a router may answer with errors. */
  readonly fits?: number;
}

export interface Sweep {
  /** Sizes that were answered, as ranges: `0-1410 1412`. */
  readonly answered: string;
  /** Sizes for which an ICMP error named an MTU, by that MTU. */
  readonly refused: Readonly<Record<string, string>>;
  /** Sizes of which nothing was heard. */
  readonly silent: string;
  /** Answers with other octets than were sent. */
  readonly wrong: string;
}

/** From the host at `from` to the address `to`. */
export async function sweep(network: Topology, from: Place, to: string, options: SweepOptions): Promise<Sweep> {
  const { df, fits = 0xffff } = options;
  const words = [to, options.from, options.to, df, fits].map(String);
  return JSON.parse(await network.must(from, process.execPath, ['-e', SWEEP, ...words])) as Sweep;
}

/** linux/in.h, linux/in6.h: IP_MTU_DISCOVER 10 and IPV6_MTU_DISCOVER 23, both with DONT 0 and PROBE 3; ICMP6_FILTER is left open. */
const SWEEP = `
  const koffi = require(${JSON.stringify(createRequire(import.meta.url).resolve('koffi'))});
  const libc = koffi.load('libc.so.6');
  const call = (signature) => libc.func(signature);
  const socket = call('int socket(int, int, int)');
  const setsockopt = call('int setsockopt(int, int, int, void *, int)');
  const sendto = call('long sendto(int, void *, size_t, int, void *, int)');
  const recv = call('long recv(int, _Out_ uint8_t *, size_t, int)');
  const poll = call('int poll(void *, ulong, int)');
  const [to, first, last, df, fits] = process.argv.slice(1);
  const v6 = to.includes(':');
  const groups = (text) => (text === '' ? [] : text.split(':').map((group) => parseInt(group, 16)));
  const [head, tail] = v6 ? to.split('::').map(groups) : [];
  const octets = v6
    ? [...head, ...Array(8 - head.length - tail.length).fill(0), ...tail].flatMap((group) => [group >> 8, group & 0xff])
    : to.split('.').map(Number);
  const int = (value) => Buffer.from(Int32Array.of(value).buffer);
  const fd = socket(v6 ? 10 : 2, 3 | 0x800, v6 ? 58 : 1);
  const set = (level, name, value) => {
    if (setsockopt(fd, level, name, int(value), 4) < 0) throw new Error('setsockopt ' + level + ' ' + name);
  };
  set(1, 33, 16 << 20);
  set(1, 32, 1 << 20);
  if (v6) set(41, 23, df === 'set' ? 3 : 0);
  else set(0, 10, df === 'set' ? 3 : 0);
  const name = Buffer.from(v6 ? [10, 0, 0, 0, 0, 0, 0, 0, ...octets, 0, 0, 0, 0] : [2, 0, 0, 0, ...octets, ...Array(8).fill(0)]);
  const id = process.pid & 0xffff;
  const request = Buffer.alloc(8 + 0x10000);
  const answer = Buffer.alloc(0x10100);
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(fd);
  pollfd.writeInt16LE(1, 4);
  const fill = (size) => {
    request.writeUInt16BE(v6 ? 0x8000 : 0x0800);
    request.writeUInt16BE(0, 2);
    request.writeUInt16BE(id, 4);
    request.writeUInt16BE(size, 6);
    for (let i = 0; i < size; i++) request[8 + i] = size * 7 + i;
    if (v6) return;
    let sum = 0;
    for (let i = 0; i < 8 + size; i++) sum += i & 1 ? request[i] : request[i] << 8;
    while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
    request.writeUInt16BE(~sum & 0xffff, 2);
  };
  const pending = new Set();
  const answered = [];
  const wrong = [];
  const refused = {};
  const hear = () => {
    const length = Number(recv(fd, answer, answer.length, 0x40));
    if (length < 0) return false;
    const at = v6 ? 0 : (answer[0] & 15) * 4;
    const type = answer[at];
    if (type === (v6 ? 129 : 0)) {
      const size = answer.readUInt16BE(at + 6);
      if (answer.readUInt16BE(at + 4) !== id || !pending.delete(size)) return true;
      fill(size);
      const same = length - at === 8 + size && request.compare(answer, at + 8, length, 8, 8 + size) === 0;
      (same ? answered : wrong).push(size);
    } else if (v6 ? type === 2 : type === 3 && answer[at + 1] === 4) {
      const quoted = at + 8 + (v6 ? 40 : (answer[at + 8] & 15) * 4);
      const size = answer.readUInt16BE(quoted + 6);
      if (answer.readUInt16BE(quoted + 4) !== id || !pending.delete(size)) return true;
      const mtu = v6 ? answer.readUInt32BE(at + 4) : answer.readUInt16BE(at + 6);
      (refused[mtu] ??= []).push(size);
    }
    return true;
  };
  const drain = (millis) => {
    if (poll(pollfd, 1, millis) > 0) while (hear());
  };
  const WINDOW = 32;
  const PATIENCE = 1200;
  const silent = [];
  let due = performance.now();
  let heardAt = due;
  const wait = (ready) => {
    while (!ready()) {
      const before = pending.size;
      drain(1);
      const now = performance.now();
      if (pending.size < before || pending.size === 0) heardAt = now;
      if (now - heardAt < PATIENCE) continue;
      silent.push(...pending);
      pending.clear();
      heardAt = now;
    }
  };
  const ask = (size) => {
    if (size > Number(fits)) due = Math.max(due + 1.05, performance.now() - 20);
    wait(() => pending.size < WINDOW && performance.now() >= due);
    fill(size);
    pending.add(size);
    if (sendto(fd, request, 8 + size, 0, name, name.length) < 0) throw new Error('sendto ' + size);
    drain(0);
  };
  for (let size = Number(first); size <= Number(last); size++) ask(size);
  wait(() => pending.size === 0);
  const large = silent.filter((size) => size > Number(fits));
  silent.splice(0, silent.length, ...silent.filter((size) => size <= Number(fits)));
  for (const size of large) ask(size);
  wait(() => pending.size === 0);
  const ranges = (sizes) => {
    const parts = [];
    for (const size of [...sizes].sort((a, b) => a - b)) {
      const part = parts.at(-1);
      if (part !== undefined && part[1] === size - 1) part[1] = size;
      else parts.push([size, size]);
    }
    return parts.map(([a, b]) => (a === b ? a : a + '-' + b)).join(' ');
  };
  for (const mtu of Object.keys(refused)) refused[mtu] = ranges(refused[mtu]);
  console.log(JSON.stringify({ answered: ranges(answered), refused, silent: ranges(silent), wrong: ranges(wrong) }));
`;
