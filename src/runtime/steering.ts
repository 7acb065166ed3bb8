/**
 * Which of several sockets gets a packet of ESP: decided by its SPI, in the kernel, with classic BPF.
 *
 * Read first: socket(7) (SO_REUSEPORT, SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_FILTER), `bpf.ts`. SPIs of plane `i` of `n`
 * are `i` modulo `n`. IKE messages (SPI zero) and what is shorter than an SPI go to the first.
 * Limits: the kernel counts the sockets of one address and port in the order in which they were bound, and looks at the first
 * packet of a train only (UDP_GRO).
 */
import {
  attachProgram,
  type Instruction,
  JUMP_EQUAL,
  LOAD_IPV4_HEADER_LENGTH,
  LOAD_WORD,
  LOAD_WORD_BEHIND,
  MODULO,
  NOTHING,
  RETURN,
  RETURN_A,
  SO_ATTACH_FILTER,
  SO_ATTACH_REUSEPORT_CBPF,
  WHOLE,
} from './bpf.ts';
import type { Syscalls } from './syscalls.ts';

/** For one of the UDP sockets that share an address and port (SO_REUSEPORT); holds for all of them. False: refused. */
export function steerBySpi(sys: Syscalls, fd: number, planes: number): boolean {
  return attachProgram(sys, fd, SO_ATTACH_REUSEPORT_CBPF, [
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
  return attachProgram(sys, fd, SO_ATTACH_FILTER, [
    ...load,
    [MODULO, 0, 0, planes],
    [JUMP_EQUAL, 0, 1, plane],
    [RETURN, 0, 0, WHOLE],
    [RETURN, 0, 0, NOTHING],
  ]);
}

/** Lets several sockets of this process have one address and port. */
export const SO_REUSEPORT = 15;
