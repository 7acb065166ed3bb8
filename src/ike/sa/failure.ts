/**
 * Failures in words: what happened, and what a person does next. The protocol code of each stands in the machine;
 * here stand only the sentences, so that one failure always reads the same.
 */
import type { Failure } from '../contract.ts';
import { NOTIFY, notifyName } from '../iana.ts';

export const noProposal = (where: 'IKE' | 'ESP', by: 'us' | 'peer', lines: readonly string[]): Failure => ({
  code: 'no-proposal',
  problem:
    by === 'us'
      ? `the peer offered no ${where} proposal that this connection allows`
      : `the peer refused every ${where} proposal of this connection (NO_PROPOSAL_CHOSEN)`,
  advice:
    by === 'us'
      ? `make ${where === 'IKE' ? 'ike.proposals' : 'child.proposals'} contain one of theirs, or change the other end`
      : `compare with the other end's ${where === 'IKE' ? 'proposals' : 'esp_proposals'}: it does not tell us what it would accept`,
  lines,
});

export const authenticationFailed = (by: 'us' | 'peer', lines: readonly string[]): Failure => ({
  code: 'authentication',
  problem:
    by === 'us'
      ? "the peer's AUTH payload does not verify: the pre-shared keys differ"
      : 'the peer refused our authentication (AUTHENTICATION_FAILED): its pre-shared key differs, or it does not know our identity',
  advice:
    'compare the pre-shared key and both identities with the other end (white space at the end of a key file counts there)',
  lines,
});

export const identityMismatch = (lines: readonly string[]): Failure => ({
  code: 'identity',
  problem: 'no connection for these addresses has the identity the peer sent',
  advice: 'set remote.id to what the peer sends, or its local id to what is expected here',
  lines,
});

export const selectorsRefused = (by: 'us' | 'peer', lines: readonly string[]): Failure => ({
  code: 'selectors',
  problem:
    by === 'us'
      ? 'the offered traffic selectors have nothing in common with ours (TS_UNACCEPTABLE)'
      : 'the peer accepts none of the offered traffic selectors (TS_UNACCEPTABLE)',
  advice: "make child.local and child.remote the mirror image of the other end's",
  lines,
});

export const noAnswer = (to: string, tries: number, seconds: number): Failure => ({
  code: 'no-answer',
  problem: `nothing answers at ${to}: ${tries} requests in ${Math.round(seconds)} s`,
  advice: 'check the address, that UDP 500 and 4500 pass every firewall between, and that the other end is running',
  lines: [],
});

export const peerGone = (to: string, seconds: number): Failure => ({
  code: 'dpd',
  problem: `the peer ${to} stopped answering: no reply for ${Math.round(seconds)} s`,
  advice: 'the tunnel was taken down here; it comes back with the next packet (demand) or by itself (boot)',
  lines: [],
});

export const groupRefused = (theirs: string, ours: readonly string[]): Failure => ({
  code: 'invalid-ke',
  problem: `the peer demands the key exchange group ${theirs}, which this connection does not allow`,
  advice: `add ${theirs} to the proposals, or have the other end accept one of: ${ours.join(', ')}`,
  lines: [],
});

export const syntaxError = (by: 'us' | 'peer', detail: string): Failure => ({
  code: 'syntax',
  problem:
    by === 'us'
      ? `the peer sent a message that cannot be understood: ${detail}`
      : `the peer could not understand our message (INVALID_SYNTAX)${detail === '' ? '' : `: ${detail}`}`,
  advice: 'capture the exchange with key log on and read it with `bulkhead decode`',
  lines: [],
});

export const policyRefused = (problem: string, advice: string): Failure => ({
  code: 'policy',
  problem,
  advice,
  lines: [],
});

/** An error notify of the peer's that has no sentence of its own. */
export const peerError = (notify: number, exchange: string): Failure => {
  if (notify === NOTIFY.INVALID_SYNTAX) return syntaxError('peer', exchange);
  if (notify === NOTIFY.INVALID_MAJOR_VERSION) {
    return {
      code: 'version',
      problem: 'the peer does not speak IKEv2 (INVALID_MAJOR_VERSION)',
      advice: 'set the other end to version 2; IKEv1 is not supported here',
      lines: [],
    };
  }
  return {
    code: notify === NOTIFY.TEMPORARY_FAILURE ? 'temporary' : 'peer-error',
    problem: `the peer answered ${exchange} with ${notifyName(notify)}`,
    advice: "the reason stands in the other end's log",
    lines: [],
  };
};
