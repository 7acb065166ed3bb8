/** What a peer knows after it has read UPDATEs: written apart from the codec and the tables, for models of tests. */
import { type Bytes, toHex, u16 } from '../../../src/core/index.ts';

export class Receiver {
  /** Attributes in hexadecimal, with the next hop of MP_REACH_NLRI; by `length/prefix`, behind `path identifier:` with ADD-PATH. */
  readonly routes = new Map<string, string>();
  readonly faults: string[] = [];
  messages = 0;
  ends = 0;
  readonly #addPath: boolean;
  /** Whether withdrawals of what is not there are faults. */
  strict = true;

  constructor(addPath = false) {
    this.#addPath = addPath;
  }

  read(octets: Bytes): void {
    for (let at = 0; at < octets.length; ) {
      const length = u16(octets, at + 16);
      this.#message(octets.subarray(at, at + length));
      at += length;
    }
  }

  #message(b: Bytes): void {
    if (b[18] !== 2) return;
    this.messages++;
    if (b.length > 4096) this.faults.push('too long');
    const withdrawnEnd = 21 + u16(b, 19);
    const attributesEnd = withdrawnEnd + 2 + u16(b, withdrawnEnd);
    const attributes = new Map<number, Bytes>();
    for (let at = withdrawnEnd + 2; at < attributesEnd; ) {
      const wide = (b[at]! & 0x10) !== 0;
      const value = at + (wide ? 4 : 3);
      const length = wide ? u16(b, at + 2) : b[at + 2]!;
      attributes.set(b[at + 1]!, b.subarray(value, value + length));
      at = value + length;
    }
    const gone = this.#prefixes(b.subarray(21, withdrawnEnd), 4);
    const come = this.#prefixes(b.subarray(attributesEnd), 4);
    const reach = attributes.get(14);
    const unreach = attributes.get(15);
    if (unreach !== undefined) gone.push(...this.#prefixes(unreach.subarray(3), unreach[1] === 1 ? 4 : 16));
    if (reach !== undefined) come.push(...this.#prefixes(reach.subarray(5 + reach[3]!), reach[1] === 1 ? 4 : 16));
    if (gone.length + come.length === 0) this.ends++;
    const text = [...attributes]
      .filter(([type]) => type !== 14 && type !== 15)
      .map(([type, value]) => `${type}=${toHex(value)}`);
    if (reach !== undefined) text.push(`hop=${toHex(reach.subarray(4, 4 + reach[3]!))}`);
    this.#apply(gone, come, text.join(' '));
  }

  #apply(gone: readonly string[], come: readonly string[], attributes: string): void {
    for (const prefix of gone) {
      if (come.includes(prefix)) this.faults.push(`${prefix} comes and goes`);
      if (!this.routes.delete(prefix) && this.strict) this.faults.push(`${prefix} was not there`);
    }
    for (const prefix of come) {
      if (this.routes.get(prefix) === attributes && this.strict) this.faults.push(`${prefix} again, unchanged`);
      this.routes.set(prefix, attributes);
    }
  }

  #prefixes(b: Bytes, width: number): string[] {
    const out: string[] = [];
    for (let at = 0; at < b.length; ) {
      const id = this.#addPath ? `${toHex(b.subarray(at, at + 4))}:` : '';
      if (this.#addPath) at += 4;
      const octets = (b[at]! + 7) >>> 3;
      if (octets > width) this.faults.push('prefix too long');
      out.push(`${id}${b[at]}/${toHex(b.subarray(at + 1, at + 1 + octets))}`);
      at += 1 + octets;
    }
    return out;
  }
}
