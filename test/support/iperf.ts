/** iperf3 between two places of a test network, in numbers. */
import type { Place, Topology } from './netns.ts';

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
