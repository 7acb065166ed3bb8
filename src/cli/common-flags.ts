/** Flags that many commands have. */
import type { Flag } from './flags.ts';

export const JSON_FLAG: Flag = { flags: '--json', text: 'print JSON' };
export const API: Flag = {
  flags: '--api <socket>',
  text: 'control socket of the gateway, default unix:/run/bulkhead/control.sock',
};
export const TENANT: Flag = { flags: '-t, --tenant <name>', text: 'only this tenant' };
export const COMMON = [API, JSON_FLAG];
