/**
 * From the document's words to what the protocols need: a ConnectionConfig becomes an IkeConnection.
 *
 * The document was checked before it came here; what does not parse now is a bug of ours.
 */
import type { ConnectionConfig, SelectorConfig } from '../config/index.ts';
import { invariant, type Secret } from '../core/index.ts';
import {
  type Identity,
  type IkeConnection,
  identityOfAddress,
  type Proposal,
  type ProposalOptions,
  parseIdentity,
  parseProposal,
} from '../ike/index.ts';
import { type Address, lastOf, networkOf, type TrafficSelector } from '../ip/index.ts';

export function compileConnection(tenant: string, config: ConnectionConfig, psk: Secret): IkeConnection {
  const { child, ike, legacy, remote } = config;
  return {
    name: `${tenant}/${config.name}`,
    localAddress: config.local.address,
    remoteAddress: remote.address,
    localId: compileIdentity(config.local.id, config.local.address),
    remoteId: compileIdentity(remote.id, remote.address),
    psk,
    ikeProposals: ike.proposals.map((words) => compileProposal(words, 'ike', { legacy })),
    ikeLifetimeSeconds: ike.lifetimeSeconds,
    giveUpSeconds: ike.giveUpSeconds,
    child: {
      proposals: child.proposals.map((words) => compileProposal(words, 'esp', { legacy, esn: child.esn })),
      local: child.local.map(compileSelector),
      remote: child.remote.map(compileSelector),
      lifetimeSeconds: child.lifetimeSeconds,
      lifetimeBytes: child.lifetimeBytes,
      lifetimePackets: child.lifetimePackets,
    },
    start: config.start,
    dpdSeconds: config.dpdSeconds,
    forceEncapsulation: config.encapsulation === 'udp',
    remotePort: remote.port,
  };
}

export function compileSelector({ prefix, protocol, startPort, endPort }: SelectorConfig): TrafficSelector {
  return { protocol, startPort, endPort, start: networkOf(prefix), end: lastOf(prefix) };
}

function compileProposal(words: string, use: 'ike' | 'esp', options: ProposalOptions): Proposal {
  const parsed = parseProposal(words, use, options);
  invariant(parsed.ok, 'the document check parsed every proposal');
  return parsed.proposal;
}

function compileIdentity(text: string, address: Address | undefined): Identity {
  const parsed = parseIdentity(text);
  if (parsed.ok) return parsed.identity;
  invariant(address !== undefined, 'the document check parsed every identity');
  return identityOfAddress(address);
}
