/** What a router says in the log of the gateway. */
import { CEASE, describeFamily, ERROR, type SpeakerAction, suberrorName } from '../../bgp/index.ts';
import type { Books } from '../books.ts';
import type { Tenant } from '../tenant.ts';
import type { PacedEvent } from './log-pace.ts';

/** Of a peer. */
export function reportEvent(books: Books, { name }: Tenant, { peer, event, why, often }: PacedEvent): void {
  // RFC 4271 §6.8: of two connections one is always closed so.
  const usual = event.startsWith('notification') && why.includes(COLLISION);
  const level = WARNINGS.has(event) && !usual ? 'warn' : event === 'dial failed' ? 'debug' : 'info';
  const what = often === undefined ? event : `${event}, ${often}`;
  const words = `BGP peer ${name}/${peer}: ${what}: ${why}`;
  books.report(level, undefined, `bgp-${event.replaceAll(' ', '-')}`, words);
}

export function reportChosen(
  books: Books,
  { name }: Tenant,
  { family, why }: Extract<SpeakerAction, { do: 'chosen' }>,
): void {
  const words = `BGP of ${name}: ${describeFamily(family)}: routes are chosen: ${why}`;
  books.report('info', undefined, 'bgp-routes-chosen', words);
}

/** Of the compartment's table. */
export function reportFull(books: Books, { name, compartment }: Tenant, now: 'full' | 'fits'): void {
  const words =
    now === 'full'
      ? `the table of ${name} is full: it holds ${compartment.limits.routes} routes, and BGP has more`
      : `the table of ${name} has all BGP routes again`;
  books.report(now === 'full' ? 'warn' : 'info', undefined, `bgp-table-${now}`, words);
}

const COLLISION = suberrorName(ERROR.CEASE, CEASE.COLLISION_RESOLUTION);
const WARNINGS: ReadonlySet<string> = new Set([
  'notification sent',
  'notification received',
  'treated as withdraw',
  'near the limit of prefixes',
  'send hold timer',
  'stale routes removed',
  'refresh not answered',
]);
