/** Routers of tenants in one process: each a whole speaker with two established sessions and a hundred routes of each. */

import { encodeControlMessage, IPV4_UNICAST, KEEPALIVE } from '../../src/bgp/message/index.ts';
import { compilePolicy } from '../../src/bgp/policy/compile.ts';
import { sessionConfiguration } from '../../src/bgp/session/index.ts';
import { Speaker } from '../../src/bgp/speaker.ts';
import type { SpeakerEvent } from '../../src/bgp/speaker-contract.ts';
import { type Bytes, concat, seededRandom } from '../../src/core/index.ts';
import { update, usual } from '../../test/bgp/rib/speakers.ts';
import { print } from '../support.ts';
import { OUR_AS } from './feeds.ts';

export function tenants(): void {
  const updates = [1, 2].map((peer) => routes(peer));
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  const begun = process.cpuUsage();
  const speakers: Speaker[] = [];
  let out = 0;
  for (let i = 0; i < TENANTS; i++) {
    const speaker = new Speaker({ localAs: OUR_AS, routerId: 0x0a00_0001 }, seededRandom(i));
    for (const peer of [1, 2]) establish(speaker, peer);
    for (const peer of [1, 2]) out += tell(speaker, peer, updates[peer - 1]!);
    speakers.push(speaker);
  }
  const { user, system } = process.cpuUsage(begun);
  globalThis.gc?.();
  const octets = (process.memoryUsage().rss - before) / TENANTS;
  print(`${speakers.length} routers of tenants with 2 peers and ${ROUTES} routes of each, in process`);
  print(
    `  ${((user + system) / 1e6).toFixed(2)} s, ${(octets / 1024).toFixed(0)} KB a router, ${out} octets said to peers`,
  );
  print();
}

function establish(speaker: Speaker, peer: number): void {
  const asn = OUR_AS + peer;
  const name = String(peer);
  const session = sessionConfiguration({ asn: OUR_AS, identifier: 0x0a00_0001, remoteAs: asn, passive: true });
  speaker.handle({ type: 'add-peer', peer: { name, session, import: ALL, export: ALL } }, 0);
  const local = { address: Uint8Array.of(10, 0, 0, 254), port: 179 };
  const remote = { address: Uint8Array.of(10, 0, 0, peer), port: 40_000 };
  const capabilities = [
    { name: 'multiprotocol', family: IPV4_UNICAST },
    { name: 'fourOctetAs', asn },
  ] as const;
  const open = { kind: 'open', version: 4, myAs: asn, holdSeconds: 90, identifier: peer, capabilities } as const;
  const events: readonly Extract<SpeakerEvent, { type: 'session' }>['event'][] = [
    { type: 'start' },
    { type: 'connected', connection: 1, direction: 'in', local, remote },
  ];
  for (const event of events) speaker.handle({ type: 'session', peer: name, event }, 0);
  tell(speaker, peer, concat(encodeControlMessage(open), encodeControlMessage(KEEPALIVE)));
}

/** Octets that the speaker had to say to that or another peer. */
function tell(speaker: Speaker, peer: number, octets: Bytes): number {
  let out = 0;
  const event = { type: 'received', connection: 1, octets } as const;
  for (const action of speaker.handle({ type: 'session', peer: String(peer), event }, 0))
    if (action.do === 'session' && action.action.do === 'send') out += action.action.octets.length;
  return out;
}

const routes = (peer: number): Bytes =>
  update(
    new Uint8Array(0),
    usual([OUR_AS + peer], [10, 0, 0, peer]),
    concat(...Array.from({ length: ROUTES }, (_, i) => Uint8Array.of(24, 20, peer, i))),
  );

const compiled = compilePolicy('all');
if (!compiled.ok) throw new Error('a policy without clauses compiles');
const ALL = compiled.policy;
const TENANTS = 1000;
const ROUTES = 100;
