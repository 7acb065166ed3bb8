/**
 * A protection that is made when the first packet needs it: an idle SA costs its keys and nothing else, a used one not even those.
 *
 * Invariant: from outside like the engine's own, `dispose` included.
 */
import { type Bytes, invariant } from '../core/index.ts';
import type { Burst } from './burst.ts';
import type { Encryption, Engine, Integrity, IvKind, Protection, ProtectionKeys } from './contract.ts';
import { checkKeys } from './layout.ts';

/** `keys` are not copied: they must stay as they are until the first packet, or `dispose`. */
export const lazyProtection = (
  engine: Engine,
  encryption: Encryption,
  integrity: Integrity | undefined,
  keys: ProtectionKeys,
): Protection => new LazyProtection(engine, encryption, integrity, keys);

class LazyProtection implements Protection {
  readonly ivLength: number;
  readonly ivKind: IvKind;
  readonly blockSize: number;
  readonly icvLength: number;
  readonly #engine: Engine;
  readonly #encryption: Encryption;
  readonly #integrity: Integrity | undefined;
  /** Until it is made, or its end. */
  #keys: ProtectionKeys | undefined;
  #made: Protection | undefined;

  constructor(engine: Engine, encryption: Encryption, integrity: Integrity | undefined, keys: ProtectionKeys) {
    checkKeys(encryption, integrity, keys);
    this.ivLength = encryption.ivLength;
    this.ivKind = encryption.ivKind;
    this.blockSize = encryption.blockSize;
    this.icvLength = integrity?.icvLength ?? encryption.icvLength;
    this.#engine = engine;
    this.#encryption = encryption;
    this.#integrity = integrity;
    this.#keys = keys;
  }

  seal(buf: Bytes, from: number, iv: number, end: number, high: number): void {
    (this.#made ?? this.#make()).seal(buf, from, iv, end, high);
  }

  open(buf: Bytes, from: number, iv: number, end: number, high: number): boolean {
    return (this.#made ?? this.#make()).open(buf, from, iv, end, high);
  }

  sealBurst(burst: Burst, first: number, stop: number): void {
    (this.#made ?? this.#make()).sealBurst(burst, first, stop);
  }

  openBurst(burst: Burst, first: number, stop: number): void {
    (this.#made ?? this.#make()).openBurst(burst, first, stop);
  }

  dispose(): void {
    this.#keys = undefined;
    this.#made?.dispose?.();
  }

  #make(): Protection {
    const keys = this.#keys;
    invariant(keys !== undefined, 'a protection is not used after its end');
    const made = this.#engine.protection(this.#encryption, this.#integrity, keys);
    this.#made = made;
    this.#keys = undefined;
    return made;
  }
}
