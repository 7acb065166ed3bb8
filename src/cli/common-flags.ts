/** Flags that many commands have. */
import { type Flag, wholeNumber } from './flags.ts';

export const JSON_FLAG: Flag = { flags: '--json', text: 'print JSON' };
export const API: Flag = {
  flags: '--api <socket>',
  text: 'control socket of the gateway, default unix:/run/bulkhead/control.sock',
};
export const TENANT: Flag = { flags: '-t, --tenant <name>', text: 'only this tenant' };
export const WAIT: Flag = {
  flags: '-w, --wait [seconds]',
  text: 'wait for the outcome, 30 s where nothing is said; exit 124 when the time is over',
  parse: wholeNumber(1, 3600),
  alone: 30,
};
export const COMMON = [API, JSON_FLAG];
