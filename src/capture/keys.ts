/**
 * The keys a dissector may use, found by the SPIs of a packet.
 *
 * Several rows for one pair of IKE SPIs are kept in order: an SA changes its keys after IKE_INTERMEDIATE (RFC 9370 §2.2.2).
 * Invariant: keys come in and never out again; only keyed protections do.
 */
import type { Bytes } from '../core/index.ts';
import { toHex } from '../core/index.ts';
import type { Encryption, Integrity, Protection } from '../crypto/index.ts';
import { protection } from '../crypto/index.ts';
import type { Address, Prefix } from '../ip/index.ts';
import { contains } from '../ip/index.ts';
import type { TableIssue } from './uat.ts';
import { type EspKeys, type IkeKeys, parseEspTable, parseIkeTable } from './wireshark.ts';

/** One direction of one SA, ready to open packets. */
export interface Opener {
  readonly encryption: Encryption;
  readonly integrity: Integrity | undefined;
  readonly protection: Protection;
}

export interface EspOpener extends Opener {
  /** Undefined where the table does not say. */
  readonly esn: boolean | undefined;
  /** The highest sequence number seen, exact; begins at the upper half the table gives. */
  top: number;
}

export class KeyRing {
  readonly #ike = new Map<string, { initiator: Opener; responder: Opener }[]>();
  readonly #esp: { keys: EspKeys; opener: EspOpener }[] = [];
  readonly #espBySpi = new Map<number, { keys: EspKeys; opener: EspOpener }[]>();

  /** How many SAs it can open: IKE SAs, and directions of Child SAs. */
  get size(): { readonly ike: number; readonly esp: number } {
    let ike = 0;
    for (const rows of this.#ike.values()) ike += rows.length;
    return { ike, esp: this.#esp.length };
  }

  /** Adds the text of an `ikev2_decryption_table`; gives the lines it left out. */
  addIkeTable(text: string): readonly TableIssue[] {
    const { rows, issues } = parseIkeTable(text);
    for (const row of rows) this.addIke(row);
    return issues;
  }

  /** Adds the text of an `esp_sa`; gives the lines it left out. */
  addEspTable(text: string): readonly TableIssue[] {
    const { rows, issues } = parseEspTable(text);
    for (const row of rows) this.addEsp(row);
    return issues;
  }

  addIke(keys: IkeKeys): void {
    const { encryption, integrity } = keys;
    const key = pairOf(keys.spiI, keys.spiR);
    const rows = this.#ike.get(key) ?? [];
    rows.push({
      initiator: {
        encryption,
        integrity,
        protection: protection(encryption, integrity, {
          encryption: keys.skEi.reveal(),
          integrity: keys.skAi.reveal(),
        }),
      },
      responder: {
        encryption,
        integrity,
        protection: protection(encryption, integrity, {
          encryption: keys.skEr.reveal(),
          integrity: keys.skAr.reveal(),
        }),
      },
    });
    this.#ike.set(key, rows);
  }

  addEsp(keys: EspKeys): void {
    const { encryption, integrity, esn, high } = keys;
    const opener: EspOpener = {
      encryption,
      integrity,
      protection: protection(encryption, integrity, {
        encryption: keys.encryptionKey.reveal(),
        integrity: keys.integrityKey.reveal(),
      }),
      esn,
      top: high * 0x1_0000_0000,
    };
    const row = { keys, opener };
    this.#esp.push(row);
    if (keys.spi === undefined) return;
    const rows = this.#espBySpi.get(keys.spi) ?? [];
    rows.push(row);
    this.#espBySpi.set(keys.spi, rows);
  }

  /** For messages of the original initiator (the I flag) or the original responder. */
  ike(spiI: Bytes, spiR: Bytes, initiator: boolean): readonly Opener[] {
    const rows = this.#ike.get(pairOf(spiI, spiR)) ?? [];
    return rows.map((row) => (initiator ? row.initiator : row.responder));
  }

  /** Those whose addresses fit come alone, unless none fits: behind a NAT a capture shows addresses no end knows of. */
  esp(spi: number, source: Address | undefined, destination: Address | undefined): readonly EspOpener[] {
    const rows = this.#espBySpi.get(spi) ?? this.#esp.filter(({ keys }) => keys.spi === undefined);
    const fitting = rows.filter(({ keys }) => within(keys.source, source) && within(keys.destination, destination));
    return (fitting.length > 0 ? fitting : rows).map(({ opener }) => opener);
  }
}

const pairOf = (spiI: Bytes, spiR: Bytes): string => `${toHex(spiI)}/${toHex(spiR)}`;
const within = (prefix: Prefix | undefined, address: Address | undefined): boolean =>
  prefix === undefined || address === undefined || contains(prefix, address);
