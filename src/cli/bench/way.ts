/** What the two ways of measuring have in common: two gateways, a document for each, and rounds. */
import { CliError, EXIT } from '../io.ts';
import type { Ledger, Part } from './ledger.ts';

export interface Plan {
  readonly suite: string;
  /** Of one measurement. */
  readonly millis: number;
  readonly parts: ReadonlySet<Part>;
  readonly signal: AbortSignal;
  /** Says what is being done. */
  readonly step: (words: string) => void;
}

/** Two gateways that are connected. */
export interface Way {
  /** For programs. */
  readonly name: 'namespaces' | 'loopback';
  /** For the heading. */
  readonly words: string;
  /** One sample of each subject wanted. */
  round(ledger: Ledger): Promise<void>;
  close(): Promise<void>;
}

export type Side = 'a' | 'b';
export const otherSide = (side: Side): Side => (side === 'a' ? 'b' : 'a');

/** Outside (RFC 5737) and inside addresses: of the gateway, and of the host behind it. */
export const OUTSIDE = { a: '192.0.2.1', b: '192.0.2.2' } as const;
export const INSIDE = { a: '10.1.0.254', b: '10.2.0.254' } as const;
export const HOST = { a: '10.1.0.1', b: '10.2.0.1' } as const;
const NETWORK = { a: '10.1.0.0/24', b: '10.2.0.0/24' } as const;

export const TENANT = 'bench';
export const CONNECTION = 'peer';
export const INTERFACE = 'inside';
export const IKE_PROPOSAL = 'aes128gcm16-prfsha256-curve25519';

/** The document of one side as text; JSON is YAML. */
export function documentText(side: Side, suite: string, iface: object, psk: object): string {
  const other = otherSide(side);
  const connection = {
    name: CONNECTION,
    remote: { address: OUTSIDE[other] },
    auth: { psk },
    ike: { proposals: [IKE_PROPOSAL] },
    child: { proposals: [suite], local: [NETWORK[side]], remote: [NETWORK[other]] },
    start: side === 'a' ? 'demand' : 'listen',
    encapsulation: 'udp',
  };
  const tenant = {
    name: TENANT,
    interfaces: [{ name: INTERFACE, addresses: [`${INSIDE[side]}/24`], ...iface }],
    connections: [connection],
  };
  const gateway = { name: `bench-${side}`, external: { addresses: [OUTSIDE[side]] } };
  return JSON.stringify({ version: 1, gateway, tenants: [tenant] });
}

export const interrupted = (): CliError => new CliError(EXIT.error, 'interrupted', 'interrupted', '');

export const failed = (problem: string, advice = ''): CliError => new CliError(EXIT.error, 'bench', problem, advice);
