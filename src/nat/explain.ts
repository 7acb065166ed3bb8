/**
 * What a NAT would do with a flow, in words and data, without doing it: the questions of `trace`.
 *
 * The answers follow the decisions of `nat-state.ts` in their order. They are about whole packets and queries: what becomes of
 * an ICMP error is what becomes of the flow it quotes, the other way round.
 */
import {
  DROP,
  DROP_NAMES,
  DROP_TEXT,
  type DropReason,
  formatAddress,
  IP_PROTOCOL,
  ipv4Octets,
  PASS,
  protocolName,
} from '../ip/index.ts';
import type { NatFlow, NatSessionView } from './contract.ts';
import type { Nat } from './nat.ts';
import type { NatState } from './nat-state.ts';

export interface NatExplanation {
  /** PASS, or the DROP code. */
  readonly verdict: number;
  /** What was considered, in order; the last says what comes of it. */
  readonly words: readonly string[];
  /** The session that is there already. */
  readonly session?: NatSessionView;
  /** What source (outbound) or destination (inbound) become. No port: it would be drawn by chance. */
  readonly translated?: { readonly address: number; readonly port?: number };
}

/** `flow` as it comes from the tenant. */
export function explainOutbound({ state, external }: Nat, flow: NatFlow): NatExplanation {
  const { protocol, source, sourcePort, destination, opens = true } = flow;
  if (!isTranslated(protocol)) return refused([`${protocolName(protocol)} has no ports`], DROP.natProtocol);
  const name = `${protocolName(protocol)} ${endpoint(source, sourcePort)}`;
  const row = state.findOutbound(protocol, source | 0, sourcePort, destination | 0, remotePortOf(flow, false));
  if (row >= 0) {
    const session = state.view(row);
    return passed([sessionText(session, external)], external, session.externalPort, session);
  }
  const words = [`no session of ${name} with ${endpoint(destination, remotePortOf(flow, false))}`];
  if (!opens) return refused(words, DROP.natNoSession);
  if (state.isFull) return refused([...words, `${state.limits.sessions} sessions are the limit`], DROP.natLimit);
  const ruled = state.rules.portsOf(protocol, source | 0, sourcePort)?.[0];
  if (ruled !== undefined)
    return passed([...words, `a rule gives ${name} the external port ${ruled}`], external, ruled);
  const mapped = state.externalPortFor(protocol, source | 0, sourcePort);
  if (mapped >= 0) return passed([...words, `${name} is mapped to external port ${mapped} already`], external, mapped);
  const ports = state.portsOf(protocol);
  if (ports.isOpen(sourcePort))
    return passed([...words, `external port ${sourcePort} is free, and kept`], external, sourcePort);
  words.push(`external port ${sourcePort} is ${ports.isTaken(sourcePort) ? 'taken' : 'not for dynamic mappings'}`);
  if (!ports.hasRoomFor(sourcePort)) return refused(words, DROP.natNoPort);
  return passed([...words, 'another one of its range and parity is drawn, if there is one'], external);
}

/** `flow` as it comes from outside. */
export function explainInbound({ state, external }: Nat, flow: NatFlow): NatExplanation {
  const { protocol, source, destination, destinationPort, opens = true } = flow;
  if (!isTranslated(protocol)) return refused([`${protocolName(protocol)} has no ports`], DROP.natProtocol);
  if (destination !== external) {
    return refused([`${address(destination)} is not the external address ${address(external)}`], DROP.natNoSession);
  }
  const remotePort = remotePortOf(flow, true);
  const row = state.findInbound(protocol, destinationPort, source | 0, remotePort);
  if (row >= 0) {
    const session = state.view(row);
    return passed([sessionText(session, external)], session.innerAddress, session.innerPort, session);
  }
  const port = `${protocolName(protocol)} port ${destinationPort}`;
  const words = [`no session of ${port} with ${endpoint(source, remotePort)}`];
  const rule = state.rules.find(protocol, destinationPort);
  if (rule !== undefined) {
    words.push(`a rule leads ${port} to ${endpoint(rule.address, rule.port)}`);
    if (!opens) return refused(words, DROP.natNoSession);
    if (state.findOutbound(protocol, rule.address | 0, rule.port, source | 0, remotePort) >= 0) {
      return refused([...words, 'the two are in a session by another rule'], DROP.natNoPort);
    }
    return full(state, words) ?? passed(words, rule.address, rule.port);
  }
  const permission = state.table.permission(protocol, destinationPort, source | 0);
  if (permission < 0) {
    if (!state.portsOf(protocol).isTaken(destinationPort)) return refused(words, DROP.natNoSession);
    return refused([...words, `filtering is by ${state.filtering}`], DROP.natFiltered);
  }
  const [inner, innerPort] = [state.innerAddress(permission) >>> 0, state.innerPort(permission)];
  words.push(`filtering by ${state.filtering} lets it in to ${endpoint(inner, innerPort)}`);
  if (!opens) return refused(words, DROP.natNoSession);
  return full(state, words) ?? passed(words, inner, innerPort);
}

function full(state: NatState, words: readonly string[]): NatExplanation | undefined {
  if (!state.isFull) return undefined;
  return refused([...words, `${state.limits.sessions} sessions are the limit`], DROP.natLimit);
}

function passed(words: readonly string[], address: number, port?: number, session?: NatSessionView): NatExplanation {
  return {
    verdict: PASS,
    words,
    translated: port === undefined ? { address } : { address, port },
    ...(session !== undefined && { session }),
  };
}

const refused = (words: readonly string[], verdict: number): NatExplanation => ({
  verdict,
  words: [...words, DROP_TEXT[DROP_NAMES[verdict] as DropReason]],
});

const isTranslated = (protocol: number): boolean =>
  protocol === IP_PROTOCOL.tcp || protocol === IP_PROTOCOL.udp || protocol === IP_PROTOCOL.icmp;

/** Queries have one identifier, which is the inner host's. */
const remotePortOf = (flow: NatFlow, inbound: boolean): number =>
  flow.protocol === IP_PROTOCOL.icmp ? 0 : inbound ? flow.sourcePort : flow.destinationPort;

const sessionText = (s: NatSessionView, external: number): string =>
  `session ${protocolName(s.protocol)} ${endpoint(s.innerAddress, s.innerPort)} = ${endpoint(external, s.externalPort)} ` +
  `with ${endpoint(s.remoteAddress, s.remotePort)}, ${s.state}, ${s.secondsLeft} s left`;

const address = (value: number): string => formatAddress(ipv4Octets(value));
const endpoint = (value: number, port: number): string => `${address(value)}:${port}`;
