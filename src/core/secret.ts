/**
 * Octets nobody may see by accident: the string, JSON and inspect forms print `<secret>`.
 * `reveal()` is the one way to the octets and easy to search for. Comparison stands in `crypto/` (constant time).
 */
import { type Bytes, EMPTY } from './bytes.ts';

const HIDDEN = '<secret>';

export class Secret {
  readonly #octets: Bytes;

  constructor(octets: Bytes) {
    this.#octets = octets.length === 0 ? EMPTY : octets.slice();
  }

  static fromText(text: string): Secret {
    return new Secret(new TextEncoder().encode(text));
  }

  get length(): number {
    return this.#octets.length;
  }

  reveal(): Bytes {
    return this.#octets;
  }

  toString(): string {
    return HIDDEN;
  }

  toJSON(): string {
    return HIDDEN;
  }

  [Symbol.for('nodejs.util.inspect.custom')](): string {
    return HIDDEN;
  }
}
