/**
 * The OpenSSL that is part of the node binary, called directly: its EVP functions are exported, so no library is loaded.
 *
 * Read first: EVP_EncryptInit(3), HMAC(3). Leaves to others: keys, packets (`openssl.ts`).
 * Invariant: no second libcrypto ever enters the process; its symbols would mix with node's and crash it.
 */
import type { Koffi } from '../koffi.ts';
import { loadKoffi } from '../koffi.ts';
import { Block } from './block.ts';

/** Handles and addresses are numbers; 0 is NULL. Functions give 1 for success. */
export interface OpenSsl {
  readonly koffi: Koffi;
  /** `OpenSSL 3.0.19 27 Jan 2026`. */
  readonly version: string;
  /** For one call: filled, passed, read, forgotten. */
  readonly scratch: Block;
  /** The cipher of that name, kept for the life of the process; 0: this OpenSSL lacks it. */
  cipher(name: string): number;
  /** EVP_sha256 and the like; 0: this OpenSSL lacks it. */
  hash(name: string): number;
  newCipher(): number;
  freeCipher(context: number): void;
  cipherInit(context: number, cipher: number, engine: number, key: number, iv: number, encrypt: number): number;
  cipherUpdate(context: number, out: number, outLength: number, input: number, length: number): number;
  cipherFinal(context: number, out: number, outLength: number): number;
  cipherControl(context: number, command: number, argument: number, pointer: number): number;
  noPadding(context: number, padding: number): number;
  newHmac(): number;
  freeHmac(context: number): void;
  hmacInit(context: number, key: number, keyLength: number, hash: number, engine: number): number;
  hmacUpdate(context: number, input: number, length: number): number;
  hmacFinal(context: number, out: number, outLength: number): number;
  clearErrors(): void;
}

export type OpenSslOr = { readonly ok: true; readonly openssl: OpenSsl } | { readonly ok: false; readonly why: string };

/** Same answer for the life of the thread. `why` is a sentence for people. */
export function loadOpenSsl(): OpenSslOr {
  loaded ??= attempt();
  return loaded;
}

let loaded: OpenSslOr | undefined;

function attempt(): OpenSslOr {
  const ffi = loadKoffi();
  if (!ffi.ok) return ffi;
  try {
    return { ok: true, openssl: bind(ffi.koffi) };
  } catch (error) {
    return { ok: false, why: `this node binary does not export OpenSSL: ${(error as Error).message}` };
  }
}

function bind(koffi: Koffi): OpenSsl {
  const binary = koffi.load(null);
  // biome-ignore lint/suspicious/noExplicitAny: the interface above types what C does not.
  const call = (name: string, result: string, ...parameters: string[]): any => binary.func(name, result, parameters);
  const fetch = call('EVP_CIPHER_fetch', POINTER, POINTER, 'str', 'str');
  const ciphers = new Map<string, number>();
  const fetched = (name: string): number => {
    let handle = ciphers.get(name);
    if (handle === undefined) {
      handle = fetch(0, name, null) as number;
      ciphers.set(name, handle);
    }
    return handle;
  };
  const hashes = new Map<string, number>();
  for (const name of HASHES) hashes.set(name, call(`EVP_${name}`, POINTER)());
  return {
    koffi,
    version: call('OpenSSL_version', 'str', 'int')(0),
    scratch: new Block(koffi, 256),
    cipher: fetched,
    hash: (name) => hashes.get(name) ?? 0,
    newCipher: call('EVP_CIPHER_CTX_new', POINTER),
    freeCipher: call('EVP_CIPHER_CTX_free', 'void', POINTER),
    cipherInit: call('EVP_CipherInit_ex', 'int', POINTER, POINTER, POINTER, POINTER, POINTER, 'int'),
    cipherUpdate: call('EVP_CipherUpdate', 'int', POINTER, POINTER, POINTER, POINTER, 'int'),
    cipherFinal: call('EVP_CipherFinal_ex', 'int', POINTER, POINTER, POINTER),
    cipherControl: call('EVP_CIPHER_CTX_ctrl', 'int', POINTER, 'int', 'int', POINTER),
    noPadding: call('EVP_CIPHER_CTX_set_padding', 'int', POINTER, 'int'),
    newHmac: call('HMAC_CTX_new', POINTER),
    freeHmac: call('HMAC_CTX_free', 'void', POINTER),
    hmacInit: call('HMAC_Init_ex', 'int', POINTER, POINTER, 'int', POINTER, POINTER),
    hmacUpdate: call('HMAC_Update', 'int', POINTER, POINTER, 'size_t'),
    hmacFinal: call('HMAC_Final', 'int', POINTER, POINTER, POINTER),
    clearErrors: call('ERR_clear_error', 'void'),
  };
}

const POINTER = 'uintptr_t';
const HASHES = ['sha1', 'sha256', 'sha384', 'sha512'];
