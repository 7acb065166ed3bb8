/** What `esp.ts` is to show, in ratios of medians of one run: what Bulkhead must reach at least, and what it aims at. */
import { median } from './support.ts';
import { delivered, type Turn } from './turn.ts';

export interface Target {
  readonly what: string;
  /** Keys of contenders. */
  readonly of: string;
  readonly over: string;
  readonly measure: Measure;
  readonly atLeast: number;
  readonly aim?: number;
}

export type Measure = 'tcp' | 'udp';

export const TARGETS: readonly Target[] = [
  { what: 'TCP Bulkhead / libipsec', of: 'bulkhead', over: 'libipsec', measure: 'tcp', atLeast: 15, aim: 25 },
  { what: 'TCP Bulkhead / wireguard-go of 2022', of: 'bulkhead', over: 'wireguard-go', measure: 'tcp', atLeast: 20 },
  {
    what: 'TCP Bulkhead / wireguard-go, newer',
    of: 'bulkhead',
    over: 'wireguard-go-newer',
    measure: 'tcp',
    atLeast: 5,
    aim: 8,
  },
  { what: 'TCP Bulkhead / OpenVPN', of: 'bulkhead', over: 'openvpn', measure: 'tcp', atLeast: 15, aim: 30 },
  { what: 'TCP Bulkhead / bare veth', of: 'bulkhead', over: 'veth', measure: 'tcp', atLeast: 0.16, aim: 0.3 },
  { what: 'TCP Bulkhead / C relay', of: 'bulkhead', over: 'relay', measure: 'tcp', atLeast: 0.5, aim: 0.85 },
  { what: 'UDP 64 Bulkhead / bare veth', of: 'bulkhead', over: 'veth', measure: 'udp', atLeast: 1.2, aim: 2.5 },
  {
    what: 'TCP engine openssl / ipsec-mb',
    of: 'bulkhead-openssl',
    over: 'bulkhead',
    measure: 'tcp',
    atLeast: 0.6,
    aim: 0.8,
  },
];

/** TCP of both directions together; UDP delivered. */
const MEASURES: Readonly<Record<Measure, (turn: Turn) => number>> = {
  tcp: (turn) => turn.forward + turn.backward,
  udp: delivered,
};

/** Undefined when either has no turns. */
export function ratio(target: Target, turns: ReadonlyMap<string, readonly Turn[]>): number | undefined {
  const [of, over] = [target.of, target.over].map((key) => turns.get(key)?.map(MEASURES[target.measure]) ?? []);
  return of!.length === 0 || over!.length === 0 ? undefined : median(of!) / median(over!);
}

export function verdict({ atLeast, aim }: Target, measured: number): string {
  if (measured < atLeast) return 'missed';
  return aim !== undefined && measured >= aim ? 'aim met' : 'met';
}
