/** What the tables are told when they are made, and of what is their own. */
import type { Community } from '../message/community.ts';
import type { Family } from '../message/types.ts';
import type { AttributeAccount } from './attribute-budget.ts';
import type { DampeningOptions } from './dampening.ts';
import type { DecisionOptions } from './decision.ts';
import type { Resolve } from './next-hops.ts';
import type { PeerOptions } from './peer.ts';

export interface RibOptions {
  readonly localAs: number;
  readonly routerId: number;
  /** RFC 4456 §7. Default: the router identifier. */
  readonly clusterId?: number;
  /** Whether routes of clients are reflected to other clients. Default true. */
  readonly clientToClient?: boolean;
  readonly families?: readonly Family[];
  readonly decision?: Partial<DecisionOptions>;
  readonly resolve?: Resolve;
  /** RFC 2439; absent: routes may change as often as they like. */
  readonly dampening?: DampeningOptions;
  /** Whether `takeRoutes` is asked. Default true. */
  readonly forwards?: boolean;
  /** Of the hash of prefixes. */
  readonly seed?: number;
  readonly queueOctets?: number;
  /** Of attribute sets. Default ATTRIBUTE_OCTETS. */
  readonly attributeOctets?: number;
  /** With the tables of other routers; whoever opened it closes it. */
  readonly account?: AttributeAccount;
}

/** Of a peer whose session stays. */
export type PeerChange = {
  readonly [K in Exclude<keyof PeerOptions, 'send' | 'receive'>]?: PeerOptions[K] | undefined;
};

/** What a route of our own says. The next hop is ours. */
export interface Origination {
  readonly origin?: 'igp' | 'egp' | 'incomplete';
  readonly med?: number;
  readonly localPreference?: number;
  readonly communities?: readonly Community[];
  readonly weight?: number;
  /** For people: a network of the document, a connected prefix, a connection. */
  readonly why: string;
}
