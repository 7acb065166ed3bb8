/** MRT files (RFC 6396, RFC 8050): records and their octets, what is in a file, its routes as UPDATEs again, a dump of tables. */
export * from './dump.ts';
export * from './framer.ts';
export * from './iana.ts';
export * from './record.ts';
export * from './recorder.ts';
export * from './replay.ts';
export * from './route-attributes.ts';
export * from './survey.ts';
export * from './types.ts';
export * from './update-packer.ts';
