/**
 * What people ask of the data plane, which may be in another thread: a question has a number, and its answer bears it.
 *
 * Invariant: a question is answered, refused with a reason, or lost with the data plane that it was put to.
 */
import { assertNever } from '../core/index.ts';
import type { Books } from './books.ts';
import type { GatewayEvent } from './contract.ts';
import type { PlaneEvent } from './dataplane/index.ts';
import { completed, questionOf } from './trace/order.ts';
import { viewNeighbour, viewSession } from './view-network.ts';

export type Question = Extract<GatewayEvent, { type: 'ask-nat' | 'flush-nat' | 'ask-neighbours' | 'trace' }>;
export type Answer = Extract<
  PlaneEvent,
  { type: 'nat-sessions' | 'nat-flushed' | 'neighbours' | 'traced' | 'unanswered' }
>;

export function ask(books: Books, question: Question): void {
  const { query } = question;
  if (question.type === 'trace') {
    const found = questionOf(books, question.order);
    if (typeof found === 'string') return refuse(books, query, found);
    return found.tenant.command({ do: 'trace', query, question: found.question });
  }
  const tenant = books.tenants.get(question.tenant);
  if (tenant === undefined) return refuse(books, query, `there is no tenant ${question.tenant}`);
  if (question.type === 'ask-neighbours')
    return tenant.command({ do: 'ask-neighbours', compartment: tenant.number, query });
  const out = books.outside.tenants.get(question.tenant);
  if (out?.natCells === undefined) return refuse(books, query, `tenant ${question.tenant} has no NAT`);
  const { link } = out;
  const { filter } = question;
  if (question.type === 'flush-nat') tenant.command({ do: 'flush-nat', link, query, filter });
  else tenant.command({ do: 'ask-nat', link, query, filter, most: question.most });
}

export function answer(books: Books, event: Answer): void {
  switch (event.type) {
    case 'nat-sessions': {
      const { query, link, sessions: views, counters } = event;
      const external = [...books.outside.tenants.values()].find((out) => out.link === link)?.external;
      if (external === undefined) return refuse(books, query, 'the NAT is gone');
      const sessions = views.map((view) => viewSession(external, view));
      return books.emit({ do: 'nat-sessions', query, sessions, counters });
    }
    case 'nat-flushed':
      return books.emit({ do: 'nat-flushed', query: event.query, sessions: event.sessions });
    case 'neighbours': {
      const { query, compartment, at, segments } = event;
      const ways = [...books.tenants.values()].find(({ number }) => number === compartment)?.ways;
      const neighbours = segments.flatMap(({ interface: number, neighbours: views }) => {
        const name = ways?.get(number)?.config.name ?? 'gone';
        return views.map((view) => viewNeighbour(name, view, at));
      });
      return books.emit({ do: 'neighbours', query, neighbours });
    }
    case 'traced':
      return books.emit({ do: 'traced', query: event.query, stages: completed(books, event.stages) });
    case 'unanswered':
      return refuse(books, event.query, event.why);
    default:
      return assertNever(event);
  }
}

const refuse = (books: Books, query: number, why: string): void => books.emit({ do: 'query-refused', query, why });
