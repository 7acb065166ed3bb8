/**
 * What every IKE SA of an endpoint shares: randomness, limits, SPI allocation, the way out for actions.
 * `registry.ts` implements it; tasks and responders see nothing else of the endpoint.
 */
import type { Millis, Random } from '../../core/index.ts';
import type { Failure, IkeAction, IkeConnection } from '../contract.ts';
import type { Connection } from './connection.ts';
import type { IkeSa } from './ike-sa.ts';
import type { RetransmitPolicy } from './window.ts';

export interface IkeOptions {
  readonly random: Random;
  readonly retransmit?: RetransmitPolicy;
  /** An unanswered request means the peer is gone. */
  readonly giveUpSeconds?: number;
  /** Half-open IKE SAs at which cookies are demanded (RFC 7296 §2.6). */
  readonly cookieThreshold?: number;
  /** Half-open IKE SAs at which nothing new is accepted, with or without cookie. */
  readonly maxHalfOpen?: number;
  /** Emits `keys` actions. Off: the secrets never leave the endpoint but for ESP. */
  readonly exportKeys?: boolean;
  readonly ikePort?: number;
  readonly nattPort?: number;
}

export const DEFAULTS = {
  giveUpSeconds: 165,
  cookieThreshold: 30,
  maxHalfOpen: 1000,
  ikePort: 500,
  nattPort: 4500,
} as const;

export interface Limits {
  readonly retransmit: RetransmitPolicy;
  readonly giveUpMillis: Millis;
  readonly cookieThreshold: number;
  readonly maxHalfOpen: number;
  readonly exportKeys: boolean;
  readonly ikePort: number;
  readonly nattPort: number;
}

export interface Environment {
  readonly random: Random;
  readonly limits: Limits;
  emit(action: IkeAction): void;
  report(
    level: 'debug' | 'info' | 'warn' | 'error',
    sa: IkeSa | Connection | undefined,
    what: string,
    text: string,
  ): void;
  /** An attempt of ours came to nothing: the connection is held down for a while, whoever waits for it is told. */
  fail(connection: Connection | undefined, failure: Failure, now: Millis): void;
  /** Something of the peer's failed, or a rekey: worth telling, but nothing here depends on it. */
  note(connection: Connection | undefined, failure: Failure, now: Millis): void;
  nextIkeId(): number;
  nextChildId(): number;
  /** A fresh inbound SPI, above 255 and in use nowhere else, as the connection wants it; freed with `freeSpi`. */
  allocateSpi(connection: IkeConnection): number;
  freeSpi(spi: number): void;
  /** An inbound SA that packets may still be under way to: removed from ESP after a moment. */
  drain(spiIn: number, now: Millis, why: string): void;
  register(sa: IkeSa): void;
  /** Its deadline may have changed. */
  touch(sa: IkeSa): void;
  /** Authenticated: no longer half-open. */
  established(sa: IkeSa): void;
  /** Its last act: nothing more is sent or received on it. */
  unregister(sa: IkeSa, now: Millis): void;
  connectionsFor(sa: IkeSa): readonly Connection[];
  /** The Child SAs of `sa` are found under it from now on. */
  own(sa: IkeSa): void;
  /** A Child SA of `sa` came into use: whoever waits for it may go on. */
  childUp(sa: IkeSa): void;
}
