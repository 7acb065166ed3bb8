/**
 * The operating system's side of a gateway, and the only I/O: sockets, TUN and TAP devices, packet sockets, files, clock, log, signals.
 * What uses system calls works through the optional package koffi; `doctor` says what is missing without it.
 */
export { PollSet, Wakeup } from './batch-wait.ts';
export { isoNow, monotonicMillis, systemRandom } from './clock.ts';
export { type DoctorCheck, type DoctorOptions, doctor } from './doctor.ts';
export { engineCandidates } from './engines/index.ts';
export { type FileText, readText, secretSource } from './files.ts';
export { Host, type HostOptions } from './host.ts';
export { KeyLog } from './keylog.ts';
export { createLog, type Log, type LogFields, type LogFormat, type LogLevel, type LogOptions } from './log.ts';
export type {
  BatchCounters,
  OffloadState,
  SocketOffloadName,
  SocketOffloadOptions,
  SocketOffloads,
  TunOffloadName,
  TunOffloadOptions,
  TunOffloads,
} from './offload.ts';
export { openPacketSocket, type PacketSocket, type PacketSocketOptions } from './packet-socket.ts';
export { openRaw, type RawOptions } from './raw.ts';
export { Readiness } from './readiness.ts';
export { onSignals, type SignalActions } from './signals.ts';
export {
  type BatchSocket,
  type Carrier,
  type DatagramSocket,
  FAILED,
  FULL,
  type Receive,
  SENT,
  type SendResult,
  type SocketCounters,
  type SocketFeatures,
  TOO_BIG,
  UNKNOWN_TOS,
} from './socket.ts';
export { StateFile } from './state.ts';
export { loadSums, type PacketMemory, packetMemory, type SumsOr, type WasmMemory } from './sums.ts';
export { loadSyscalls, requireSyscalls, type Syscalls, SystemError } from './syscalls.ts';
export { openTap, openTun, type TapOptions, type Tun, type TunOptions } from './tun.ts';
export { openNativeUdp, openUdp, type UdpOptions } from './udp.ts';
export { openUnderlay, type Underlay, type UnderlayKind, type UnderlayOptions } from './underlay.ts';
export { PlaneHost, type PlaneHostOptions } from './worker/plane-host.ts';
export { Planes } from './worker/planes.ts';
