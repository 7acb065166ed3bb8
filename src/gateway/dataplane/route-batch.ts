/**
 * Routes that come and go by the thousand, as BGP has them: many to a command, in their order.
 *
 * A data plane that is hosted elsewhere is told by messages, and one for each route of a full table would keep both sides from everything
 * else. Here a route is its prefix and the number of what it shares with others: 6 octets for IPv4.
 * Limits: MOST_CHANGES a command, so that packets have their turn between two.
 */
import { type Prefix, sameAddress } from '../../ip/index.ts';
import type { PlaneCommand } from './contract.ts';

/** One route. */
export type RouteCommand = Extract<PlaneCommand, { do: 'add-route' | 'remove-route' }>;
export type ChangeRoutes = Extract<PlaneCommand, { do: 'change-routes' }>;

/** A change without its prefix and compartment. */
export type RouteTemplate =
  | ({ readonly do: 'add-route' } & Omit<Extract<RouteCommand, { do: 'add-route' }>['route'], 'prefix'>)
  | Omit<Extract<RouteCommand, { do: 'remove-route' }>, 'compartment' | 'prefix'>;

export const MOST_CHANGES = 256;

/** Collects what is told to one data plane about one compartment. */
export class RouteBatch {
  readonly plane: number;
  readonly compartment: number;
  readonly #templates: RouteTemplate[] = [];
  /** Of the last change: the next one mostly has the same. */
  #last = 0;
  #octets = new Uint8Array(32);
  #length = 0;
  #first: RouteCommand | undefined;
  #count = 0;

  constructor(plane: number, compartment: number) {
    this.plane = plane;
    this.compartment = compartment;
  }

  /** False: it is of another compartment, or does not fit; nothing was taken. */
  add(plane: number, command: RouteCommand): boolean {
    if (plane !== this.plane || command.compartment !== this.compartment || this.#count === MOST_CHANGES) return false;
    const number = this.#numberOf(command);
    if (number === undefined) return false;
    const { address, length } = prefixOf(command);
    this.#reserve(2 + address.length);
    this.#octets[this.#length] = number | (address.length === 4 ? 0 : IPV6);
    this.#octets[this.#length + 1] = length;
    this.#octets.set(address, this.#length + 2);
    this.#length += 2 + address.length;
    this.#first ??= command;
    this.#count += 1;
    return true;
  }

  /** As it is, where there is but one. */
  command(): PlaneCommand {
    if (this.#count === 1) return this.#first!;
    const { compartment } = this;
    const changes = this.#octets.slice(0, this.#length);
    return { do: 'change-routes', compartment, templates: this.#templates, changes, count: this.#count };
  }

  #numberOf(command: RouteCommand): number | undefined {
    const templates = this.#templates;
    const last = templates[this.#last];
    if (last !== undefined && isOf(last, command)) return this.#last;
    let number = templates.findIndex((template) => isOf(template, command));
    if (number < 0) {
      if (templates.length === MOST_TEMPLATES) return undefined;
      number = templates.push(templateOf(command)) - 1;
    }
    this.#last = number;
    return number;
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#octets.length) return;
    const grown = new Uint8Array(2 * this.#octets.length);
    grown.set(this.#octets.subarray(0, this.#length));
    this.#octets = grown;
  }
}

/** The changes of a batch, one by one. */
export function eachRoute({ compartment, templates, changes }: ChangeRoutes, visit: (change: RouteCommand) => void) {
  for (let at = 0; at < changes.length; ) {
    const head = changes[at]!;
    const end = at + 2 + (head < IPV6 ? 4 : 16);
    const prefix: Prefix = { address: changes.slice(at + 2, end), length: changes[at + 1]! };
    const template = templates[head & MOST_TEMPLATES]!;
    if (template.do === 'remove-route') visit({ ...template, compartment, prefix });
    else {
      const { do: adds, ...rest } = template;
      visit({ do: adds, compartment, route: { ...rest, prefix } });
    }
    at = end;
  }
}

const prefixOf = (command: RouteCommand): Prefix =>
  command.do === 'add-route' ? command.route.prefix : command.prefix;

/** Whether a change is the template with a prefix. */
function isOf(template: RouteTemplate, command: RouteCommand): boolean {
  if (template.do === 'remove-route') return command.do === 'remove-route' && isSameWay(template, command);
  if (command.do === 'remove-route') return false;
  const { route } = command;
  return (
    template.preference === route.preference &&
    template.metric === route.metric &&
    template.why === route.why &&
    isSameWay(template, route)
  );
}

type WayOf = Pick<Extract<RouteTemplate, { do: 'remove-route' }>, 'interface' | 'origin' | 'nextHop'>;

function isSameWay(a: WayOf, b: WayOf): boolean {
  if (a.interface !== b.interface || a.origin !== b.origin) return false;
  if (a.nextHop === b.nextHop) return true;
  return a.nextHop !== undefined && b.nextHop !== undefined && sameAddress(a.nextHop, b.nextHop);
}

function templateOf(command: RouteCommand): RouteTemplate {
  if (command.do === 'add-route') {
    const { prefix: _prefix, ...rest } = command.route;
    return { do: 'add-route', ...rest };
  }
  const { compartment: _compartment, prefix: _prefix, ...rest } = command;
  return rest;
}

/** Of the first octet of a change: the rest is the number of its template. */
const IPV6 = 0x80;
const MOST_TEMPLATES = 0x7f;
