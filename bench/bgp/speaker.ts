/**
 * Bulkhead's BGP speaker as a process of its own: `node speaker.js ADDRESS PORT IDENTIFIER-ADDRESS NAME=ADDRESS=ASN…`. Runs until it is told
 * to end. What forwards takes nothing, as in the daemons beside it.
 */
import { compilePolicy } from '../../src/bgp/policy/compile.ts';
import { sessionConfiguration } from '../../src/bgp/session/index.ts';
import { Speaker } from '../../src/bgp/speaker.ts';
import { u32 } from '../../src/core/index.ts';
import { parseAddress } from '../../src/ip/index.ts';
import { realClock, tcpTransport } from '../../src/runtime/bgp-transport.ts';
import { systemRandom } from '../../src/runtime/clock.ts';
import { SpeakerHost } from '../../src/runtime/speaker-host.ts';
import { OUR_AS } from './feeds.ts';

const [at, port, ...peers] = process.argv.slice(2);
const address = parseAddress(at!)!;
const all = compilePolicy('all');
if (!all.ok) throw new Error('a policy without clauses compiles');
const speaker = new Speaker({ localAs: OUR_AS, routerId: u32(address, 0), forwards: false }, systemRandom);
const host = new SpeakerHost(speaker, {
  transport: tcpTransport({
    problem: (why) => {
      throw new Error(why);
    },
  }),
  clock: realClock,
  told: (action) => {
    if (action.do === 'log') process.stderr.write(`${action.peer}: ${action.event}: ${action.why}\n`);
  },
});
for (const text of peers) {
  const [name, from, asn] = text.split('=');
  const session = sessionConfiguration({
    asn: OUR_AS,
    identifier: u32(address, 0),
    remoteAs: Number(asn),
    passive: true,
    idleHold: { initialMillis: 100, mostMillis: 1_000, forgetMillis: 1_000 },
  });
  host.add(
    { name: name!, session, import: all.policy, export: all.policy },
    { address: parseAddress(from!)!, port: Number(port) },
  );
}
host.listen({ address, port: Number(port) }, () => process.stdout.write('listening\n'));
