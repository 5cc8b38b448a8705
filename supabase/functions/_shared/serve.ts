// Starts the WASM module and hands requests to it. Nothing is decided here.
// deno-lint-ignore-file
// deno-fmt-ignore-file

import { decode } from "./decode.js";
import { exchange } from "./exchange.ts";
import { __wbg_reset_state, handle, initSync, start } from "./wasm/calendar_webhooks.js";
import { base64 } from "./wasm/module.js";

/** Compiled on other threads, while the runtime gets ready to serve. */
const compiling = decode(base64).then((bytes) => WebAssembly.compile(bytes));

/** The requests in flight, by how to answer them should their instance be lost. */
const inFlight = new Set<(response: Response) => void>();

let instance: "none" | "running" | "lost" = "none";

/** Sees to it that there is an instance: the first one, or another after a panic. */
function run(module: WebAssembly.Module) {
  if (instance === "running") return;
  if (instance === "none") initSync({ module });
  else __wbg_reset_state();
  start(Deno.env.toObject(), () => lose("a panic, whose message stands above"));
  instance = "running";
}

/** An instance that has panicked or trapped is lost, with all that it was doing. */
function lose(problem: unknown) {
  instance = "lost";
  log(problem);
  for (const answer of inFlight) answer(internalError());
  inFlight.clear();
}

function internalError(): Response {
  const error = { code: "internal", message: "something went wrong; the log of this function says where" };
  return Response.json({ error }, { status: 500, headers: { "access-control-allow-origin": "*" } });
}

function log(problem: unknown) {
  console.error(JSON.stringify({ level: "error", event: "internal_error", problem: String(problem) }));
}

function isTrap(error: unknown): boolean {
  return error instanceof WebAssembly.RuntimeError;
}

/**
 * A panic traps in whatever callback ran the code, and what the lost instance waited for still calls back. Neither
 * has anybody to catch it, and both would end the process. A trap without a panic, as when memory runs out, comes to
 * light here; rejections come so late that they may be those of an instance before.
 */
function forgive(event: Event, error: unknown) {
  const isStale = error instanceof Error && error.message.includes("previous WASM instance");
  if (isTrap(error) || isStale) event.preventDefault();
  if (isTrap(error) && event.type === "error" && instance === "running") lose(error);
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

/**
 * Has `call` made in the asynchronous context of here. Supabase counts a function's calls to others by the request in
 * whose context they are made, and WASM wakes the tasks of several requests in the context of one of them.
 */
function inThisContext<Values extends unknown[], Result>(call: (...values: Values) => Promise<Result>) {
  const due: (() => void)[] = [];
  let wake = () => {};
  const make = async () => {
    for (;;) {
      await new Promise<void>((resolve) => wake = resolve);
      for (const begin of due.splice(0)) begin();
    }
  };
  make();
  return (...values: Values) =>
    new Promise<Result>((resolve, reject) => {
      due.push(() => {
        try {
          resolve(call(...values));
        } catch (error) {
          reject(error);
        }
      });
      wake();
    });
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
        const fail = (error: unknown) => {
          if (isTrap(error) && instance === "running") return lose(error);
          log(error);
          answer(internalError());
        };
        try {
          run(module);
          handle(name, request, { exchange: inThisContext(exchange) }, waitUntil).then(answer, fail);
        } catch (error) {
          fail(error);
        }
      });
    },
  };
}
