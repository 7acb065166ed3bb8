/**
 * A question about a packet that nobody sends, and its answer: every decision on its way, in order, each with its reason.
 *
 * Plain data, so that it may cross to the thread that has the state which decides.
 */
import type { DropReason, FlowRecord } from '../../ip/index.ts';

/** How the packet comes in. */
export type TraceDoor =
  /** In NVGRE from the VM that has this customer address, or from a machine of this host. */
  | { readonly by: 'vm'; readonly vsid: number; readonly ca: Uint8Array }
  /** By an interface of the compartment: a port of the host's, a segment, or the tunnel of a connection. */
  | { readonly by: 'interface'; readonly interface: number }
  /** It is the gateway's own. */
  | { readonly by: 'gateway' };

export interface TraceQuestion {
  readonly compartment: number;
  readonly door: TraceDoor;
  /** Of ICMP queries both ports are the identifier. */
  readonly flow: FlowRecord;
  /** Octets of the IP packet. */
  readonly size: number;
  readonly hopLimit: number;
  /** DF; without meaning for IPv6. */
  readonly dontFragment: boolean;
  /** It may begin a session: a SYN, an echo request. */
  readonly opens: boolean;
}

export type StageName =
  | 'door'
  | 'switch'
  | 'compartment'
  | 'fib'
  | 'mtu'
  | 'local'
  | 'nat'
  | 'neighbour'
  | 'sa'
  | 'encapsulation'
  | 'out';

export interface TraceStage {
  readonly stage: StageName;
  /** What was decided, in a few words: a prefix and its way, an address and port, a MAC. */
  readonly decision: string;
  /** Why, in one sentence. */
  readonly why: string;
  /** What else was considered, a line each. */
  readonly detail: readonly string[];
  /** The packet goes no further. */
  readonly drop?: DropReason;
  /** It waits until something is known: a neighbour, an SA. */
  readonly waits?: true;
  /** Of the SA that was found. */
  readonly spiIn?: number;
}

/** What becomes of the packet in the end. */
export type TraceOutcome = 'out' | 'local' | 'waits' | 'dropped';

export function outcomeOf(stages: readonly TraceStage[]): TraceOutcome {
  const last = stages.at(-1);
  if (last === undefined || last.drop !== undefined) return 'dropped';
  if (last.waits === true) return 'waits';
  return last.stage === 'local' ? 'local' : 'out';
}
