/** RFC 9293 §3.3.2 and §3.10 as a table: what each event makes of each state. */
import { describe, expect, it } from 'vitest';
import { TCP_FLAG } from '../../../src/ip/index.ts';
import { A, B, HandPeer, sequenceOf } from './support.ts';

const { syn, ack, rst, fin } = TCP_FLAG;

/** How a connection gets into a state; `sequence` and `acknowledgment` are then those of the peer's next segment. */
const INTO: Readonly<Record<string, (peer: HandPeer) => void>> = {
  synSent(peer) {
    const dialled = peer.host.connect({ address: A, port: 0 }, { address: B, port: 179 }, {}, peer.now);
    if ('refused' in dialled) throw new Error(dialled.refused);
    peer.id = dialled.id;
    const [packet] = peer.take(dialled.actions);
    peer.port = (packet![20]! << 8) | packet![21]!;
    peer.acknowledgment = (sequenceOf(packet!) + 1) >>> 0;
  },
  synReceived(peer) {
    INTO.synSent!(peer);
    peer.says(syn, { acknowledgment: 0 });
    peer.sequence += 1;
  },
  established(peer) {
    peer.establish();
  },
  finWait1(peer) {
    peer.establish();
    peer.take(peer.host.close(peer.id, peer.now));
  },
  finWait2(peer) {
    INTO.finWait1!(peer);
    peer.acknowledgment += 1;
    peer.says(ack);
  },
  closing(peer) {
    INTO.finWait1!(peer);
    peer.says(fin | ack);
    peer.sequence += 1;
    peer.acknowledgment += 1;
  },
  closeWait(peer) {
    peer.establish();
    peer.says(fin | ack);
    peer.sequence += 1;
  },
  lastAck(peer) {
    INTO.closeWait!(peer);
    peer.take(peer.host.close(peer.id, peer.now));
    peer.acknowledgment += 1;
  },
  timeWait(peer) {
    INTO.finWait2!(peer);
    peer.says(fin | ack);
    peer.sequence += 1;
  },
};

const EVENTS: Readonly<Record<string, (peer: HandPeer) => void>> = {
  rst: (peer) => void peer.says(rst | ack),
  syn: (peer) => void peer.says(syn, { acknowledgment: 0 }),
  fin: (peer) => void peer.says(fin | ack),
  ack: (peer) => void peer.says(ack, { acknowledgment: acknowledged(peer) }),
  close: (peer) => void peer.take(peer.host.close(peer.id, peer.now)),
  abort: (peer) => void peer.take(peer.host.abort(peer.id)),
};

/** Of everything sent, a FIN included. */
const acknowledged = (peer: HandPeer): number =>
  peer.host.state(peer.id) === 'finWait1' ? peer.acknowledgment + 1 : peer.acknowledgment;

//                 rst         syn            fin            ack            close       abort
const TABLE = `
  synSent        | gone      | synReceived  | synSent      | synSent      | gone      | gone
  synReceived    | gone      | synReceived  | closeWait    | established  | finWait1  | gone
  established    | gone      | established  | closeWait    | established  | finWait1  | gone
  finWait1       | gone      | finWait1     | closing      | finWait2     | finWait1  | gone
  finWait2       | gone      | finWait2     | timeWait     | finWait2     | finWait2  | gone
  closing        | gone      | closing      | timeWait     | timeWait     | closing   | gone
  closeWait      | gone      | closeWait    | closeWait    | closeWait    | lastAck   | gone
  lastAck        | gone      | lastAck      | gone         | gone         | lastAck   | gone
  timeWait       | timeWait  | timeWait     | timeWait     | timeWait     | timeWait  | gone`;

const CASES = TABLE.trim()
  .split('\n')
  .flatMap((line) => {
    const [from, ...after] = line.split('|').map((word) => word.trim());
    return Object.keys(EVENTS).map((event, i) => [from!, event, after[i]!] as const);
  });

describe('RFC 9293 §3.10: from each state, by each event', () => {
  it.each(CASES)('%s, %s: %s', (from, event, after) => {
    const peer = new HandPeer();
    INTO[from]!(peer);
    expect(peer.host.state(peer.id)).toBe(from);
    EVENTS[event]!(peer);
    expect(peer.host.state(peer.id) ?? 'gone').toBe(after);
    const closures = peer.told.filter((line) => line.startsWith('closed')).length;
    expect(closures).toBe(after === 'gone' || after === 'timeWait' ? 1 : 0);
  });
});
