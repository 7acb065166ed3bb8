export * from './agenda.ts';
export * from './bytes.ts';
export * from './errors.ts';
export * from './machine.ts';
export * from './random.ts';
export * from './reader.ts';
export * from './secret.ts';
export * from './writer.ts';
