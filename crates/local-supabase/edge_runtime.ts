// What hosted Edge Functions find beside Deno's own globals, and what this machine needs to run both kinds of them:
// those that call Deno.serve, and those that export what answers. Imported before the function.

type Handler = (request: Request, info?: unknown) => Response | Promise<Response>;
type Options = { handler?: Handler; onError?: (error: unknown) => Response | Promise<Response> };

/** A function that does neither by then does not start. */
const PATIENCE_MS = 5_000;

const background = new Set<Promise<unknown>>();

Object.assign(globalThis, {
  EdgeRuntime: {
    // Deno.serve ignores promises that nobody awaits, and an unhandled rejection would end the process.
    waitUntil(promise: Promise<unknown>): void {
      const kept = Promise.resolve(promise)
        .catch((error) => console.error("EdgeRuntime.waitUntil:", error))
        .finally(() => background.delete(kept));
      background.add(kept);
    },
  },
});

const served = Promise.withResolvers<Handler>();
const serve = Deno.serve;

/** Takes what a function would serve by itself, on a port of its own. */
function take(first: Handler | Options, second?: Handler): unknown {
  const options = typeof first === "function" ? {} : first;
  const handler = typeof first === "function" ? first : second ?? first.handler;
  if (!handler) throw new TypeError("Deno.serve was called without a handler");
  const { onError } = options;
  served.resolve(
    onError
      ? async (request, info) => {
        try {
          return await handler(request, info);
        } catch (error) {
          return onError(error);
        }
      }
      : handler,
  );
  return {
    finished: new Promise(() => {}),
    addr: { transport: "tcp", hostname: "127.0.0.1", port: 0 },
    shutdown: () => Promise.resolve(),
    ref() {},
    unref() {},
  };
}

Object.defineProperty(Deno, "serve", { value: take, configurable: true, writable: true });

/** What answers the requests to a function. */
export async function handlerOf(module: { default?: { fetch?: unknown } }): Promise<Handler> {
  const exported = module.default as { fetch?: Handler } | undefined;
  let handler: Handler;
  if (typeof exported?.fetch === "function") {
    handler = (request, info) => exported.fetch!(request, info);
  } else {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<never>((_, reject) => {
      const error = "it neither calls Deno.serve(handler) nor exports default { fetch }";
      timer = setTimeout(() => reject(error), PATIENCE_MS);
    });
    handler = await Promise.race([served.promise, late]).finally(() => clearTimeout(timer));
  }
  // `deno serve` itself is about to call it.
  Object.defineProperty(Deno, "serve", { value: serve, configurable: true, writable: true });
  return handler;
}

/** From now on what is fetched below one address comes from another. */
export function divert(addresses: [from: string, to: string][]): void {
  const direct = globalThis.fetch;
  globalThis.fetch = (input, init) => {
    const url = input instanceof Request ? input.url : String(input);
    const found = addresses.find(([from]) => url.startsWith(from));
    if (!found) return direct(input, init);
    const there = found[1] + url.slice(found[0].length);
    return direct(input instanceof Request ? new Request(there, input) : there, init);
  };
}
