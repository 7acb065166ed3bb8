/** What `bench` measures, and the samples of every round until they become medians. */

export const PARTS = ['tcp', 'udp', 'ping', 'ike', 'crypto'] as const;
export type Part = (typeof PARTS)[number];

/** What is measured: its words and in what. */
export interface Subject {
  readonly part: Part;
  /** For programs. */
  readonly name: string;
  readonly words: string;
  readonly unit: 'bit/s' | 'datagrams/s' | 'µs' | 'handshakes/s';
}

export const SMALL = 64;
export const LARGE = 1300;

export const SUBJECTS = {
  tcpOut: { part: 'tcp', name: 'tcp-a-b', words: 'TCP a → b, one stream', unit: 'bit/s' },
  tcpBack: { part: 'tcp', name: 'tcp-b-a', words: 'TCP b → a, one stream', unit: 'bit/s' },
  large: { part: 'udp', name: 'udp-large', words: `datagrams of ${LARGE} octets`, unit: 'bit/s' },
  small: { part: 'udp', name: 'udp-small', words: `datagrams of ${SMALL} octets`, unit: 'datagrams/s' },
  trip: { part: 'ping', name: 'round-trip', words: `there and back, ${SMALL} octets`, unit: 'µs' },
  ike: { part: 'ike', name: 'ike', words: 'IKE handshakes, one by one', unit: 'handshakes/s' },
} as const satisfies Record<string, Subject>;

/** Processor time of both gateways for what passed through the tunnel. */
export interface Processor {
  readonly value: number;
  readonly unit: 'ns/octet' | 'µs/datagram';
}

export interface Measurement extends Pick<Subject, 'name' | 'unit'> {
  readonly tunnel: number;
  /** The same without gateways; null where there is no such thing. */
  readonly bare: number | null;
  /** `tunnel` to `bare`. */
  readonly ratio: number | null;
  readonly processor: Processor | null;
}

interface Samples {
  readonly tunnel: number[];
  readonly bare: number[];
  readonly processor: number[];
  unit: Processor['unit'] | undefined;
}

export class Ledger {
  readonly #samples = new Map<Subject, Samples>();

  enter(subject: Subject, way: 'tunnel' | 'bare', value: number, processor?: Processor): void {
    const samples = this.#samples.get(subject) ?? { tunnel: [], bare: [], processor: [], unit: undefined };
    this.#samples.set(subject, samples);
    samples[way].push(value);
    if (processor === undefined) return;
    samples.processor.push(processor.value);
    samples.unit = processor.unit;
  }

  /** Medians, in the order in which their subjects were measured first. */
  measurements(): Measurement[] {
    return [...this.#samples].map(([{ name, unit }, samples]) => {
      const tunnel = rounded(median(samples.tunnel));
      const bare = samples.bare.length === 0 ? null : rounded(median(samples.bare));
      const ratio = bare === null || bare === 0 ? null : rounded(tunnel / bare);
      const processor =
        samples.unit === undefined ? null : { value: rounded(median(samples.processor)), unit: samples.unit };
      return { name, unit, tunnel, bare, ratio, processor };
    });
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >>> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** Four digits are more than two runs have in common. */
export const rounded = (value: number): number => Number(value.toPrecision(4));
