/** iperf3 between two places of a test network, in numbers. */
import { ADDRESSES, type Place, type Topology } from './netns.ts';
import type { TestProcess } from './process.ts';

export interface IperfOptions {
  readonly seconds?: number;
  readonly udp?: boolean;
  /** Octets of a datagram or of a TCP write. */
  readonly length?: number;
  /** Bits a second; UDP only. 0: as many as go. */
  readonly bitsPerSecond?: number;
  /** The server sends. */
  readonly reverse?: boolean;
  readonly streams?: number;
  /** The client's own address. */
  readonly bind?: string;
}

export interface IperfResult {
  /** What arrived at the receiver. */
  readonly bitsPerSecond: number;
  readonly bytes: number;
  /** UDP: datagrams sent and lost. */
  readonly packets: number;
  readonly lost: number;
  /** TCP. */
  readonly retransmits: number;
  readonly json: unknown;
}

/** Serves once at `server`, whose address is `address`, and runs the client at `client`. */
export async function iperf(
  topology: Topology,
  client: Place,
  server: Place,
  address: string,
  options: IperfOptions = {},
): Promise<IperfResult> {
  const { seconds = 2, udp = false, length, bitsPerSecond = 0, reverse = false, streams = 1, bind } = options;
  const daemon = topology.start(server, 'iperf3', ['-s', '-1', '-B', address, '-f', 'k', '--forceflush']);
  try {
    await daemon.line(/Server listening/);
    const words = ['-c', address, '-t', seconds, '-J', '-P', streams, '--connect-timeout', 5000];
    if (udp) words.push('-u', '-b', bitsPerSecond);
    if (length !== undefined) words.push('-l', length);
    if (reverse) words.push('-R');
    if (bind !== undefined) words.push('-B', bind);
    const finished = await topology.run(client, 'iperf3', words.map(String));
    const json = JSON.parse(finished.stdout || '{}') as Report;
    if (json.error !== undefined || json.end === undefined) throw new Error(`iperf3: ${json.error ?? finished.stderr}`);
    const sum = udp ? json.end.sum : json.end.sum_received;
    return {
      bitsPerSecond: sum?.bits_per_second ?? 0,
      bytes: sum?.bytes ?? 0,
      packets: json.end.sum?.packets ?? 0,
      lost: json.end.sum?.lost_packets ?? 0,
      retransmits: json.end.sum_sent?.retransmits ?? 0,
      json,
    };
  } finally {
    await daemon.stop();
  }
}

/**
 * TCP from hostA to hostB and back at once, so many seconds, while something happens at the given times. Gives the longest time in
 * seconds in which nothing arrived at one of them.
 */
export async function longestSilence(
  topology: Topology,
  seconds: number,
  happens: readonly (readonly [atMillis: number, what: () => void])[],
): Promise<number> {
  const words = ['-R', '-b', '50M', '-i', '0.1', '-t', String(seconds), '-J'];
  const hosts = ['hostA', 'hostB'] as const;
  const servers = hosts.map((host) =>
    topology.start(host, 'iperf3', ['-s', '-1', '-B', ADDRESSES[host], '--forceflush']),
  );
  const receivers: TestProcess[] = [];
  const timers: ReturnType<typeof setTimeout>[] = [];
  try {
    for (const server of servers) await server.line(/Server listening/);
    receivers.push(topology.start('hostA', 'iperf3', ['-c', ADDRESSES.hostB, ...words]));
    receivers.push(topology.start('hostB', 'iperf3', ['-c', ADDRESSES.hostA, ...words]));
    timers.push(...happens.map(([at, what]) => setTimeout(what, at)));
    const ends = await Promise.all(receivers.map((receiver) => receiver.end()));
    if (ends.some((code) => code !== 0)) throw new Error(`iperf3: ${receivers.map(({ output }) => output).join('')}`);
    return Math.max(...receivers.map(({ stdout }) => silenceIn(stdout, seconds)));
  } finally {
    timers.forEach(clearTimeout);
    for (const each of [...receivers, ...servers]) await each.stop();
  }
}

function silenceIn(report: string, seconds: number): number {
  const { intervals } = JSON.parse(report) as { intervals: { sum: { bytes: number; seconds: number } }[] };
  if (intervals.length < 5 * seconds) throw new Error(`iperf3 tells of ${intervals.length} intervals in ${seconds} s`);
  let [now, longest] = [0, 0];
  for (const { sum } of intervals) {
    now = sum.bytes === 0 ? now + sum.seconds : 0;
    longest = Math.max(longest, now);
  }
  return longest;
}

interface Report {
  readonly error?: string;
  readonly end?: {
    readonly sum?: Sum;
    readonly sum_sent?: Sum;
    readonly sum_received?: Sum;
  };
}

interface Sum {
  readonly bits_per_second?: number;
  readonly bytes?: number;
  readonly packets?: number;
  readonly lost_packets?: number;
  readonly retransmits?: number;
}
