/** The identification of IPv4 packets of our own (RFC 6864 §4.3): no two in flight share one, and a counter lasts longest. */
import { putU16 } from '../core/index.ts';
import { ipv4Checksum, ipv4Identification, type Packet, updateChecksum16 } from '../ip/index.ts';

export class Identification {
  #last: number;

  constructor(begin: number) {
    this.#last = begin;
  }

  stamp({ buf, start }: Packet): void {
    this.#last = (this.#last + 1) & 0xffff;
    const checksum = updateChecksum16(ipv4Checksum(buf, start), ipv4Identification(buf, start), this.#last);
    putU16(buf, start + 4, this.#last);
    putU16(buf, start + 10, checksum);
  }
}
