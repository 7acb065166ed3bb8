export * from './router.ts';
export * from './view.ts';
