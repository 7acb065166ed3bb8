/**
 * The host's routes into one of our devices: exactly those that are wanted, touching only what differs.
 */
import { type Address, formatPrefix, type Prefix, sameAddress } from '../ip/index.ts';
import type { Netlink } from './netlink.ts';
import { errorWords } from './syscalls.ts';

export interface HostRoutesOptions {
  readonly netlink: Netlink;
  readonly device: string;
  readonly index: number;
  /** At most one a family. Without one of a route's family everything there is taken to be on the link. */
  readonly nextHops: readonly Address[];
}

export class HostRoutes {
  readonly #options: HostRoutesOptions;
  #routes: readonly Prefix[] = [];

  constructor(options: HostRoutesOptions) {
    this.#options = options;
  }

  /** Gives a sentence for each the kernel refused; those are tried again by the next call. */
  set(prefixes: readonly Prefix[]): readonly string[] {
    const { netlink, device, index, nextHops } = this.#options;
    const problems: string[] = [];
    const kept = this.#routes.filter((have) => prefixes.some((want) => samePrefix(want, have)));
    for (const have of this.#routes) {
      if (kept.includes(have)) continue;
      const code = netlink.removeRoute(index, have);
      if (code !== undefined && code !== 'ESRCH')
        problems.push(`host route ${formatPrefix(have)} stays on ${device}: ${errorWords(code)} (${code})`);
    }
    const routes = [...kept];
    for (const want of prefixes) {
      if (routes.some((have) => samePrefix(have, want))) continue;
      const nextHop = nextHops.find(({ length }) => length === want.address.length);
      const code = netlink.addRoute(index, want, nextHop);
      if (code === undefined) routes.push(want);
      else
        problems.push(
          `no host route ${formatPrefix(want)} into ${device}: ${ROUTE_WORDS[code] ?? `${errorWords(code)} (${code})`}`,
        );
    }
    this.#routes = routes;
    return problems;
  }
}

const samePrefix = (a: Prefix, b: Prefix): boolean => a.length === b.length && sameAddress(a.address, b.address);

const ROUTE_WORDS: Readonly<Record<string, string>> = {
  EEXIST: 'the host has a route for exactly that prefix already; remove it, or set `hostRoutes: none`',
  EPERM: 'routes need root or CAP_NET_ADMIN',
};
