/**
 * What `bench` tells a traffic process (`traffic.ts`) and what that answers: one line of JSON each, one order at a time.
 * Every answer comes when its order is done, except that of `reflect`, which comes when it begins.
 */

/** An IP address and a port, as text and number. */
export interface Place {
  readonly address: string;
  readonly port: number;
}

export type Order =
  /** TCP of this namespace is controlled by that algorithm. */
  | { readonly do: 'congestion'; readonly algorithm: string }
  /** A TCP server that sends to whoever connects until they go away. */
  | { readonly do: 'serve'; readonly address: string }
  /** One TCP stream from such a server. */
  | { readonly do: 'pull'; readonly from: string; readonly to: Place; readonly millis: number }
  /** Answers datagrams until it is told to stop, at most so long. */
  | { readonly do: 'reflect'; readonly address: string; readonly millis: number }
  /** As many datagrams as arrive: those under way are bounded, and counted by the reflector. */
  | {
      readonly do: 'flood';
      readonly from: string;
      readonly to: Place;
      readonly length: number;
      readonly millis: number;
    }
  /** One datagram there and back at a time. */
  | {
      readonly do: 'bounce';
      readonly from: string;
      readonly to: Place;
      readonly length: number;
      readonly millis: number;
    };

export interface Answers {
  readonly congestion: object;
  readonly serve: Pick<Place, 'port'>;
  readonly reflect: Pick<Place, 'port'>;
  readonly pull: Passed;
  readonly flood: Passed;
  /** Of each round trip that came back. */
  readonly bounce: { readonly micros: readonly number[] };
}

/** Octets or datagrams: in the measured time, and with those of the time before it. */
export interface Passed {
  readonly count: number;
  readonly seconds: number;
  readonly total: number;
}

export type Answer<T extends Order['do']> = Answers[T] | { readonly problem: string };

/** Of a measurement, what comes before it counts: TCP grows its window, caches and code become warm. */
export const warmUp = (millis: number): number => Math.min(200, millis / 2);

/** Of the time of a measurement, what suffices where each sample is short and the median is stable. */
export const brief = (millis: number): number => millis / 2;
