/** UPDATEs of our own making, one after the other in a run of octets: what a member that left the log has not read. */
import { type Bytes, u16 } from '../../core/index.ts';
import { ATTRIBUTE } from '../message/iana.ts';

export interface OwnUpdate {
  readonly octets: Bytes;
  readonly withdraws: boolean;
}

export function* updatesIn(octets: Bytes): Generator<OwnUpdate> {
  for (let at = 0; at < octets.length; ) {
    const length = u16(octets, at + 16);
    const update = octets.subarray(at, at + length);
    yield { octets: update, withdraws: u16(update, 19) > 0 || update[24] === ATTRIBUTE.MP_UNREACH_NLRI };
    at += length;
  }
}
