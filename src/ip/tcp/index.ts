export * from './contract.ts';
export { TcpHost } from './host.ts';
