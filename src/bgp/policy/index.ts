export * from './compile.ts';
export * from './policy.ts';
export * from './record.ts';
