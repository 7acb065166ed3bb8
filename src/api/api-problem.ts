/** What an asker can be told instead of an answer. */

/** Something the asker can be told: becomes the error of the answer. */
export class ApiProblem extends Error {
  override readonly name = 'ApiProblem';
  readonly status: 400 | 403 | 404 | 405 | 409 | 413 | 503;
  /** For programs: `not-found`, `bad-request` … */
  readonly code: string;
  readonly advice: string;

  constructor(status: ApiProblem['status'], code: string, problem: string, advice: string) {
    super(problem);
    this.status = status;
    this.code = code;
    this.advice = advice;
  }
}
