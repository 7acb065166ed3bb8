export { BgpFollowers, type Follower } from './followers.ts';
export { BgpMemory } from './memory.ts';
export { type Concerned, notificationAdvice } from './notification-advice.ts';
export type { Originated } from './originations.ts';
export { BgpRecordings, type Recorded, records } from './recordings.ts';
export * from './router.ts';
export * from './trial.ts';
export * from './view.ts';
