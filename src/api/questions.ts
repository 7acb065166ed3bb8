/**
 * Questions to the data plane, which answers when it comes to it: each has a number, and its answer bears the same one.
 *
 * Limits: MOST at a time; ANSWER_MS for an answer, after which the asker is told so.
 */
import { ApiProblem } from './backend.ts';

/** How long a data plane that runs may think. */
export const ANSWER_MS = 3000;
const MOST = 64;

interface Waiting {
  answered(value: unknown): void;
  refused(problem: ApiProblem): void;
}

export class Questions {
  readonly #waiting = new Map<number, Waiting>();
  #last = 0;

  /** `put` hands the question in under the number it is given; it may be answered before that returns. */
  async ask<T>(put: (query: number) => void): Promise<T> {
    if (this.#waiting.size >= MOST)
      throw new ApiProblem(503, 'busy', `${MOST} questions wait for an answer already`, 'Ask again in a moment.');
    this.#last = (this.#last + 1) % 2 ** 31;
    const query = this.#last;
    const answer = new Promise<unknown>((answered, refused) => this.#waiting.set(query, { answered, refused }));
    const problem = `the data plane did not answer within ${ANSWER_MS / 1000} s`;
    const late = (): void =>
      this.#waiting.get(query)?.refused(new ApiProblem(503, 'no-answer', problem, 'See: bulkhead status'));
    const timer = setTimeout(late, ANSWER_MS);
    try {
      put(query);
      return (await answer) as T;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(query);
    }
  }

  /** Does nothing when nobody waits for it any more. */
  answer(query: number, value: unknown): void {
    this.#waiting.get(query)?.answered(value);
  }

  refuse(query: number, why: string): void {
    this.#waiting.get(query)?.refused(new ApiProblem(409, 'refused', why, ''));
  }
}
