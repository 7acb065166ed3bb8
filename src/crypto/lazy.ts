/**
 * A protection that is made when the first packet needs it: an idle SA costs its keys and nothing else.
 *
 * Invariant: from outside like the engine's own, `dispose` included.
 */
import { invariant } from '../core/index.ts';
import type { Encryption, Engine, Integrity, Protection, ProtectionKeys } from './contract.ts';
import { checkKeys } from './layout.ts';

/** `keys` are not copied: they must stay as they are until the first packet, or `dispose`. */
export function lazyProtection(
  engine: Engine,
  encryption: Encryption,
  integrity: Integrity | undefined,
  keys: ProtectionKeys,
): Protection {
  checkKeys(encryption, integrity, keys);
  let made: Protection | undefined;
  let disposed = false;
  const use = (): Protection => {
    if (made === undefined) {
      invariant(!disposed, 'a protection is not used after its end');
      made = engine.protection(encryption, integrity, keys);
    }
    return made;
  };
  const { ivLength, ivKind, blockSize } = encryption;
  return {
    ivLength,
    ivKind,
    blockSize,
    icvLength: integrity?.icvLength ?? encryption.icvLength,
    seal: (buf, from, iv, end, high) => use().seal(buf, from, iv, end, high),
    open: (buf, from, iv, end, high) => use().open(buf, from, iv, end, high),
    sealBurst: (burst, first, stop) => use().sealBurst(burst, first, stop),
    openBurst: (burst, first, stop) => use().openBurst(burst, first, stop),
    dispose: () => {
      disposed = true;
      made?.dispose?.();
    },
  };
}
