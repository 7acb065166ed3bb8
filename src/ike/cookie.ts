/**
 * Stateless cookies of a responder: proof that an initiator receives what is sent to its address.
 *
 * Read first: RFC 7296 §2.6. When cookies are demanded is the endpoint's decision.
 * Deliberate limits: a cookie lives for one to two `ROTATE` periods.
 * Invariant: the jar holds two secrets, however many cookies it makes.
 */
import { type Bytes, concat, type Millis, type Random, Secret } from '../core/index.ts';
import { equalSecret, hmacSha256 } from '../crypto/index.ts';
import type { Endpoint } from '../ip/index.ts';

/** Initiators answer at once; §2.6 asks only that the secret change frequently under attack. */
const ROTATE: Millis = 60_000;
const SECRET_LENGTH = 32;

interface Version {
  readonly number: number;
  readonly secret: Secret;
  readonly since: Millis;
}

export class CookieJar {
  readonly #random: Random;
  #current: Version | undefined;
  #previous: Version | undefined;

  constructor(random: Random) {
    this.#random = random;
  }

  /** <version of secret> | HMAC-SHA-256(secret, Ni | IPi | SPIi), 33 octets of the 64 allowed; the port plays no part (§2.6). */
  make(nonceI: Bytes, peer: Endpoint, spiI: Bytes, now: Millis): Bytes {
    this.#rotate(now);
    return seal(this.#current!, nonceI, peer, spiI);
  }

  check(cookie: Bytes, nonceI: Bytes, peer: Endpoint, spiI: Bytes, now: Millis): boolean {
    this.#rotate(now);
    const version = [this.#current, this.#previous].find((v) => v?.number === cookie[0]);
    if (version === undefined || now - version.since >= 2 * ROTATE) return false;
    return equalSecret(seal(version, nonceI, peer, spiI), cookie);
  }

  #rotate(now: Millis): void {
    const old = this.#current;
    if (old !== undefined && now - old.since < ROTATE) return;
    this.#previous = old;
    const number = ((old?.number ?? -1) + 1) & 0xff;
    this.#current = { number, secret: new Secret(this.#random(SECRET_LENGTH)), since: now };
  }
}

const seal = ({ number, secret }: Version, nonceI: Bytes, peer: Endpoint, spiI: Bytes): Bytes =>
  concat(Uint8Array.of(number), hmacSha256(secret.reveal(), concat(nonceI, peer.address, spiI)));
