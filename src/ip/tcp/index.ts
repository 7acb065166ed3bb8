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
} from './contract.ts';
export { TcpHost } from './host.ts';
