/**
 * Classic BPF programs attached to sockets: what the kernel decides of a packet before anybody reads it.
 *
 * Read first: linux/filter.h, linux/bpf_common.h; socket(7) (SO_ATTACH_FILTER). Leaves to others: the programs, and why.
 */
import { Arena } from './memory.ts';
import type { Syscalls } from './syscalls.ts';

export type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, value: number];

/** By `option` of SOL_SOCKET; what was attached before by it goes. False: refused. */
export function attachProgram(sys: Syscalls, fd: number, option: number, program: readonly Instruction[]): boolean {
  /* struct sock_fprog: len (2) | padding (6) | filter (8); struct sock_filter: code (2) | jt (1) | jf (1) | k (4) */
  const arena = new Arena(sys.koffi, 16 + program.length * 8);
  arena.view.setUint16(0, program.length, true);
  arena.putWord(8, arena.base + 16);
  for (const [i, [code, jumpTrue, jumpFalse, value]] of program.entries()) {
    const at = 16 + i * 8;
    arena.view.setUint16(at, code, true);
    arena.view.setUint8(at + 2, jumpTrue);
    arena.view.setUint8(at + 3, jumpFalse);
    arena.view.setUint32(at + 4, value, true);
  }
  return sys.setsockopt(fd, SOL_SOCKET, option, arena.base, 16) === 0;
}

const SOL_SOCKET = 1;

/** Options to attach by: a filter of this socket; who of several sockets with one address and port gets it. */
export const SO_ATTACH_FILTER = 26;
export const SO_ATTACH_REUSEPORT_CBPF = 51;

/** LD and LDX: W, H, B ABS; W IND; B MSH. ALU MOD K. JMP JEQ K, JSET K. RET A, RET K. */
export const LOAD_WORD = 0x20;
export const LOAD_HALF = 0x28;
export const LOAD_OCTET = 0x30;
export const LOAD_WORD_BEHIND = 0x40;
export const LOAD_IPV4_HEADER_LENGTH = 0xb1;
export const MODULO = 0x94;
export const JUMP_EQUAL = 0x15;
export const JUMP_SET = 0x45;
export const RETURN_A = 0x16;
export const RETURN = 0x06;
/** What RETURN gives: the packet as it is, or not at all. */
export const WHOLE = 0xffff_ffff;
export const NOTHING = 0;
