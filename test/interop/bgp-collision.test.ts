/**
 * RFC 4271 §6.8 with daemons of others: both dial at once, fifty times each. Whoever has the higher identifier keeps the connection that it
 * dialled: half of the sessions here have ours higher, half theirs.
 *
 * FRR 8.4 now and then gives up both, or one without a word (https://github.com/FRRouting/frr/issues/1219): when our Cease for the
 * connection that it dialled crosses the other one becoming Established. It is back at once. GoBGP 3.10 and OpenBGPD 7.7 compare nothing: what
 * was there first stays, and the other is closed without a word. ExaBGP 4.2.21 takes what comes in place of what it has dialled, and
 * compares in OpenConfirm alone; what it takes then it never reads, so here its identifier is always the higher one.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { SessionView } from '../../src/bgp/index.ts';
import type { BgpDaemon } from '../support/bgp-daemon.ts';
import type { BgpHost } from '../support/bgp-host.ts';
import { BgpLink } from '../support/bgp-link.ts';
import { requirePeers } from '../support/peers.ts';
import { enterPrivateNetwork } from '../support/private-network.ts';
import { newHost, OURS, PEERS, told } from './bgp-ends.ts';

const describeWithPeers = requirePeers('linux', 'root', 'netns', 'koffi', ...PEERS.map(({ name }) => name));
const COLLISIONS = 50;
/** `fewestClean`: of those whose rule is the RFC's, how often at least it was kept to the letter. */
const KINDS = [
  { ...PEERS[0], sessions: 25, fewestClean: COLLISIONS / 2 },
  { ...PEERS[1], sessions: 25, fewestClean: COLLISIONS },
  { ...PEERS[2], sessions: 50 },
  { ...PEERS[3], sessions: 50, theirsHigher: true },
  { ...PEERS[4], sessions: 50 },
] as const;

describeWithPeers.each(KINDS)('$name and a speaker', (kind) => {
  let link: BgpLink;
  let daemon: BgpDaemon;
  let host: BgpHost;
  let names: readonly string[];
  let before: readonly SessionView[];
  let crossed: Promise<unknown>;

  const higher = (i: number): boolean => !('theirsHigher' in kind) && i % 2 === 1;

  const crossAll = () => {
    before = names.map((name) => host.view(name));
    crossed = Promise.all(names.map((name) => host.cross(name)));
    crossed.catch(() => {});
  };

  beforeAll(async () => {
    if (!entered) enterPrivateNetwork();
    entered = true;
    link = new BgpLink(kind.number);
    const peers = link.more(kind.sessions);
    host = newHost();
    daemon = kind.make({ link, asn: kind.asn, peerAs: OURS, announces: told(kind), peers });
    names = peers.map((_, i) => `session${i}`);
    for (const [i, local] of peers.entries()) {
      await host.listen(local);
      // Theirs is 10.9.n.2.
      const identifier = higher(i) ? 0x0a09_ff00 + i : 0x0a08_ff00 + i;
      const session = { remoteAs: kind.asn, identifier };
      host.add({ name: names[i]!, remote: link.theirs, local, other: link.ours6, session, starts: false });
    }
    // Its first dials would be refused otherwise, and some daemons then take their time.
    crossAll();
    await daemon.start();
  });
  afterAll(async () => {
    host?.kill();
    await daemon?.stop();
    link?.close();
  });

  it(`${COLLISIONS} collisions`, async () => {
    let clean = 0;
    for (let round = 0; round < COLLISIONS / kind.sessions; round++) {
      if (round > 0) crossAll();
      await crossed;
      for (const name of names) await host.established(name);
      for (const prefix of told(kind))
        await host.when(() => host.paths(prefix).length === kind.sessions, `${prefix} is not there`);
      await daemon.hears('10.77.0.0/16');
      for (const [i, name] of names.entries()) {
        const [was, is] = [before[i]!, host.view(name)];
        if ('fewestClean' in kind) clean += resolved(was, is, higher(i)) ? 1 : 0;
        else
          expect(is).toMatchObject({ connectionsEstablished: was.connectionsEstablished + 1, connectionsDropped: 0 });
        host.tell(name, { type: 'stop', subcode: 2 });
      }
    }
    if ('fewestClean' in kind) expect(clean).toBeGreaterThanOrEqual(kind.fewestClean);
  });
});

/** One session came of two connections, the one that the RFC wants, and the other was told; unless the daemon gave up both, or one without a word. */
function resolved(before: SessionView, after: SessionView, weAreHigher: boolean): boolean {
  if (after.connectionsEstablished !== before.connectionsEstablished + 1) return false;
  expect(after.connectionsDropped).toBe(before.connectionsEstablished);
  expect(after.session?.dialledBy).toBe(weAreHigher ? 'us' : 'peer');
  return [after.lastErrorSent, after.lastErrorReceived].some((error) => error?.code === 6 && error.subcode === 7);
}

let entered = false;
