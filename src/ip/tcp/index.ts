export {
  TCP_LIMITS,
  type TcpAction,
  type TcpClosure,
  type TcpConnected,
  type TcpConnectionId,
  type TcpCounters,
  type TcpHostOptions,
  type TcpLimits,
  type TcpListenOptions,
  type TcpOptions,
  USER_TIMEOUT_MS,
} from './contract.ts';
export { TcpHost } from './host.ts';
