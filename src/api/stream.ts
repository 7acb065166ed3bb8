/** Answers as they come: one JSON item a line. */
import { TimeLimit } from './time-limit.ts';

/** The first answer decides between an error and a stream. */
export async function streamed(items: AsyncIterable<unknown>): Promise<Response> {
  const answers = items[Symbol.asyncIterator]();
  let next = await answers.next();
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      if (next.done === true) {
        controller.close();
        return;
      }
      controller.enqueue(encoder.encode(`${JSON.stringify(next.value)}\n`));
      next = await answers.next();
    },
    async cancel() {
      await answers.return?.();
    },
  });
  return new Response(body, { headers: { 'content-type': 'application/x-ndjson' } });
}

/** As many as were asked for, within the time that was given: Infinity and undefined are no bounds. */
export async function* bounded<T>(
  items: (signal: AbortSignal) => AsyncIterable<T>,
  signal: AbortSignal,
  { count, seconds }: { readonly count: number; readonly seconds: number | undefined },
): AsyncGenerator<T, void, undefined> {
  const limit = new TimeLimit(signal, seconds === undefined ? undefined : seconds * 1000);
  let left = count;
  try {
    for await (const item of items(limit.signal)) {
      yield item;
      left -= 1;
      if (left <= 0) return;
    }
  } finally {
    limit.end();
  }
}
