/**
 * Which of several sockets gets a packet of ESP: decided by its SPI, in the kernel, with classic BPF.
 *
 * Read first: socket(7) (SO_REUSEPORT, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_FILTER), linux/filter.h. SPIs of plane `i` of `n`
 * are `i` modulo `n`. IKE messages (SPI zero) and what is shorter than an SPI go to the first.
 * Limits: the kernel counts the sockets of one address and port in the order in which they were bound, and looks at the first
 * packet of a train only (UDP_GRO).
 */
import { Arena } from './memory.ts';
import type { Syscalls } from './syscalls.ts';

/** For one of the UDP sockets that share an address and port (SO_REUSEPORT); holds for all of them. False: refused. */
export function steerBySpi(sys: Syscalls, fd: number, planes: number): boolean {
  return attach(sys, fd, SO_ATTACH_REUSEPORT_CBPF, [
    [LOAD_WORD, 0, 0, 0],
    [MODULO, 0, 0, planes],
    [RETURN_A, 0, 0, 0],
  ]);
}

/** Raw sockets of a protocol all get every packet: this one keeps what is for its plane. False: refused. */
export function keepOwnSpis(sys: Syscalls, fd: number, ipv6: boolean, planes: number, plane: number): boolean {
  // An IPv4 raw socket sees the IP header, an IPv6 one does not (RFC 3542 §3).
  const load: Instruction[] = ipv6
    ? [[LOAD_WORD, 0, 0, 0]]
    : [
        [LOAD_IPV4_HEADER_LENGTH, 0, 0, 0],
        [LOAD_WORD_BEHIND, 0, 0, 0],
      ];
  return attach(sys, fd, SO_ATTACH_FILTER, [
    ...load,
    [MODULO, 0, 0, planes],
    [JUMP_EQUAL, 0, 1, plane],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, 0],
  ]);
}

/** Lets several sockets of this process have one address and port. */
export const SO_REUSEPORT = 15;

type Instruction = readonly [code: number, jumpTrue: number, jumpFalse: number, value: number];

/* struct sock_fprog: len (2) | padding (6) | filter (8); struct sock_filter: code (2) | jt (1) | jf (1) | k (4) */
function attach(sys: Syscalls, fd: number, option: number, program: readonly Instruction[]): boolean {
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
const SO_ATTACH_FILTER = 26;
const SO_ATTACH_REUSEPORT_CBPF = 51;

/** linux/bpf_common.h: LD W ABS, LD W IND, LDX B MSH, ALU MOD K, JMP JEQ K, RET A, RET K. */
const LOAD_WORD = 0x20;
const LOAD_WORD_BEHIND = 0x40;
const LOAD_IPV4_HEADER_LENGTH = 0xb1;
const MODULO = 0x94;
const JUMP_EQUAL = 0x15;
const RETURN_A = 0x16;
const RETURN = 0x06;
const WHOLE = 0xffff_ffff;
