/**
 * The refusal of a peer's public value, the same for every group.
 *
 * Read first: RFC 6989 §2 (the tests) and §2.5 (what the peer is owed: INVALID_SYNTAX, or silence in IKE_SA_INIT).
 */
import { type Bytes, WireError } from '../core/index.ts';

export function refuse(problem: string): never {
  throw new WireError('ke.publicValue', 0, problem, INVALID_SYNTAX);
}

/** RFC 7296 §3.4: the length is part of the group's definition. */
export function checkLength(publicValue: Bytes, length: number): void {
  if (publicValue.length !== length) refuse(`is ${publicValue.length} octets long, the group has ${length}`);
}

const INVALID_SYNTAX = 7;
