/** The control API: what it asks of a gateway, the application, and its socket. */
export { createApi, PATHS } from './app.ts';
export * from './backend.ts';
export type { BgpBackend, BgpCommandStatus, BgpLine } from './bgp-backend.ts';
export { type Envelope, type ErrorEnvelope, envelope, errorEnvelope, SCHEMA_VERSION } from './envelope.ts';
export { GatewayBackend, type GatewayHost, type WorkerFacts } from './gateway-backend.ts';
export type { MrtPage } from './mrt-stream.ts';
export { type ApiServer, type Handler, serveApi } from './server.ts';
