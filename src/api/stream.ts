/** Answers as they come: one JSON item a line. */

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

/** As many as were asked for. */
export async function* first<T>(items: AsyncIterable<T>, count: number): AsyncGenerator<T, void, undefined> {
  let left = count;
  for await (const item of items) {
    yield item;
    left -= 1;
    if (left <= 0) return;
  }
}
