// The one fetch, and what WASM reads of its answer. Nothing is decided here.
// deno-lint-ignore-file
// deno-fmt-ignore-file

export interface Answer {
  status: number;
  contentType: string | null;
  contentRange: string | null;
  retryAfter: string | null;
  /** None where it is longer than it may be. */
  body: string | undefined;
}

interface TimeLimit {
  endsAt: number;
  signal: AbortSignal;
}

/** Those that have not ended, in the order of their making. */
let timeLimits: TimeLimit[] = [];

/**
 * Requests that end at about the same time share a signal, which may end a fiftieth of the time too early: its timer
 * outlives the answer, and keeps the request with it. `setTimeout` would load Node's timers: 15 ms of a cold start on
 * Deno 2.9.
 */
function timeLimit(milliseconds: number): AbortSignal {
  const now = performance.now();
  const endsAt = now + milliseconds;
  const isClose = (limit: TimeLimit) => limit.endsAt <= endsAt && limit.endsAt > endsAt - milliseconds / 50;
  const shared = timeLimits.findLast(isClose);
  if (shared) return shared.signal;
  timeLimits = timeLimits.filter((limit) => limit.endsAt > now);
  const signal = AbortSignal.timeout(milliseconds);
  timeLimits.push({ endsAt, signal });
  return signal;
}

/**
 * Makes a request. `head` is its method, its address and a line for each header. The time limit covers the body of the
 * answer too, of which at most `longest` bytes are read. What may be made at most once is not even repeated by the
 * runtime, as Deno does where a kept connection turns out to be closed.
 */
export async function exchange(
  head: string,
  body: string | undefined,
  atMostOnce: boolean,
  milliseconds: number,
  longest: number,
): Promise<Answer> {
  const [method, url, ...fields] = head.split("\n");
  // A plain object costs less than `Headers`.
  const headers: Record<string, string> = {};
  for (const field of fields) {
    const colon = field.indexOf(":");
    headers[field.slice(0, colon)] = field.slice(colon + 1);
  }
  const response = await fetch(url, {
    method,
    headers,
    // A redirect would carry the key to wherever it points.
    redirect: "manual",
    signal: timeLimit(milliseconds),
    ...(atMostOnce && body ? { body: unrepeatable(body), duplex: "half" } : { body }),
  });
  return {
    status: response.status,
    contentType: response.headers.get("content-type"),
    contentRange: response.headers.get("content-range"),
    retryAfter: response.headers.get("retry-after"),
    body: await read(response, longest),
  };
}

/** A body that can be read once, so that there is nothing to send again. Not that of a `Response`: Deno sees through it. */
function unrepeatable(body: string): ReadableStream {
  return new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode(body));
      controller.close();
    },
  });
}

async function read(response: Response, longest: number): Promise<string | undefined> {
  if (response.body === null) return "";
  if (longest === 0) {
    await cancel(response.body);
    return "";
  }
  // At once, and 5 ms sooner than by Deno's first reader.
  if (lengthOf(response.headers) <= longest) return await response.text();
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  let text = "";
  for (let length = 0;;) {
    const { done, value } = await reader.read();
    if (done) return text + decoder.decode();
    length += value.length;
    if (length > longest) {
      await cancel(reader);
      return undefined;
    }
    text += decoder.decode(value, { stream: true });
  }
}

/** In bytes. What is compressed, or sent in chunks, is of any length, whatever its head says. */
function lengthOf(headers: Headers): number {
  const isOther = headers.has("content-encoding") || headers.has("transfer-encoding");
  return isOther ? Infinity : Number(headers.get("content-length") ?? Infinity);
}

/** Awaited, for a rejection that nobody sees would end the process. */
async function cancel(stream: ReadableStream | ReadableStreamDefaultReader) {
  await stream.cancel().catch(() => {});
}
