// Starts the WASM module and hands requests to it. Nothing is decided here.

import { __wbg_reset_state, handle, initSync, start } from "./wasm/calendar_webhooks.js";
import { base64 } from "./wasm/module.js";

/** Compiled on other threads, while the runtime gets ready to serve. */
const compiling = WebAssembly.compile(decode(base64));

/** Runs at every cold start: natively where the runtime can, else in a loop (2 ms; `Uint8Array.from` takes 30). */
function decode(base64: string) {
  const native = Uint8Array as { fromBase64?: (base64: string) => BufferSource };
  if (native.fromBase64) return native.fromBase64(base64);
  const binary = atob(base64);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** The requests in flight, by how to answer them should their instance be lost. */
const inFlight = new Set<(response: Response) => void>();

let instance: "none" | "running" | "lost" = "none";

/** Sees to it that there is an instance: the first one, or another after a panic. */
function run(module: WebAssembly.Module) {
  if (instance === "running") return;
  if (instance === "none") initSync({ module });
  else __wbg_reset_state();
  start(Deno.env.toObject(), lose);
  instance = "running";
}

/** A panic loses the instance with all that it was doing. */
function lose() {
  instance = "lost";
  for (const answer of inFlight) answer(internalError());
  inFlight.clear();
}

function internalError(): Response {
  const error = { code: "internal", message: "something went wrong; the log of this function says where" };
  return Response.json({ error }, { status: 500, headers: { "access-control-allow-origin": "*" } });
}

/**
 * A panic traps in whatever callback ran the code, and what the lost instance waited for still calls back. Neither
 * has anybody to catch it, and both would end the process.
 */
function forgive(event: Event, error: unknown) {
  const stale = error instanceof Error && error.message.includes("previous WASM instance");
  if (stale || error instanceof WebAssembly.RuntimeError) event.preventDefault();
}
addEventListener("error", (event) => forgive(event, event.error));
addEventListener("unhandledrejection", (event) => forgive(event, event.reason));

interface Runtime {
  EdgeRuntime?: { waitUntil(promise: Promise<unknown>): void };
}

/** Under plain Deno the process lives on anyhow. */
function waitUntil(promise: Promise<unknown>) {
  (globalThis as Runtime).EdgeRuntime?.waitUntil(promise);
}

/** The server of one of the three functions. */
export function serve(name: string): { fetch(request: Request): Promise<Response> } {
  return {
    fetch: async (request) => {
      const module = await compiling;
      return await new Promise((resolve) => {
        inFlight.add(resolve);
        const answer = (response: Response) => {
          inFlight.delete(resolve);
          resolve(response);
        };
        try {
          run(module);
          handle(name, request, waitUntil).then(answer, () => answer(internalError()));
        } catch {
          answer(internalError());
        }
      });
    },
  };
}
