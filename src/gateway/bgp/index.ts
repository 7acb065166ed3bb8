export { BgpFollowers, type Follower } from './followers.ts';
export * from './router.ts';
export * from './trial.ts';
export * from './view.ts';
