/**
 * Asks a BGP speaker three things over TCP: does it open, does it take a route with an attribute that nobody knows, and what does it answer
 * to a message of 18 octets? It must accept a peer from here with this AS number.
 *
 *   node examples/bgp-script.js 192.0.2.1 179 65002
 */
import process from 'node:process';
import { dialPeer, IPV4_UNICAST, MESSAGE } from 'bulkhead/bgp';
import { realClock, tcpTransport } from 'bulkhead/bgp/tcp';
import { parseAddress, parsePrefix } from 'bulkhead/ip';

const [host = '127.0.0.1', port = '179', asn = '65002'] = process.argv.slice(2);
const say = (line) => process.stdout.write(`${line}\n`);
const transport = tcpTransport({ problem: say });
const to = { address: parseAddress(host), port: Number(port) };
const open = {
  myAs: Number(asn),
  identifier: 0xc0000202,
  capabilities: [
    { name: 'multiprotocol', family: IPV4_UNICAST },
    { name: 'fourOctetAs', asn: Number(asn) },
  ],
};

const peer = await dialPeer(transport, to, realClock);
const theirs = await peer.establish(open);
say(`AS ${theirs.myAs} is established, hold time ${theirs.holdSeconds} s`);

peer.sendUpdate({
  attributes: [
    { flags: 0x40, type: 1, value: { name: 'origin', origin: 'igp' } },
    { flags: 0x40, type: 2, value: { name: 'asPath', segments: [{ type: 'sequence', asns: [Number(asn)] }] } },
    { flags: 0x40, type: 3, value: { name: 'nextHop', address: parseAddress('192.0.2.2') } },
    { flags: 0xc0, type: 99, value: { name: 'unknown', value: Uint8Array.of(1, 2, 3) } },
  ],
  nlri: [{ prefix: parsePrefix('198.51.100.0/24') }],
});
await peer.expectEndOfRib();
await peer.expectNothing(300);
say('it has told all it has, and takes an attribute that nobody knows');

peer.sendMessage(MESSAGE.KEEPALIVE, new Uint8Array(0), { length: 18 });
await peer.expectNotification(1, 2, Uint8Array.of(0, 18));
say(`it answers 18 octets with Bad Message Length, and ends: ${await peer.expectClosed()}`);
