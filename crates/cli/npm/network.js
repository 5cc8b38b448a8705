// The thread that asks servers, each call with a time limit and none following a redirect on its own.

import { lookup } from "node:dns/promises";
import * as http from "node:http";
import * as https from "node:https";
import { parentPort } from "node:worker_threads";

const CONNECT_WITHIN = 5_000;

let answers;
parentPort.on("message", async ({ question: { requests, host, milliseconds }, isAnswered, port }) => {
  answers ??= port;
  answers.postMessage(requests ? await Promise.all(requests.map(send)) : await addresses(host, milliseconds));
  Atomics.store(isAnswered, 0, 1);
  Atomics.notify(isAnswered, 0);
});

/** `{ status, body, date, location, before, after }`, or `{ silence }`: why there is no answer. */
function send({ method, url, headers, body, longest, milliseconds }) {
  const before = Date.now();
  return new Promise((resolve) => {
    // Each request has a connection of its own: a server that refuses one before it has read the body closes the
    // connection after the answer, and the next request on it would seem to find a broken server.
    const options = { method, headers: Object.fromEntries(headers), agent: false };
    const request = (url.startsWith("https:") ? https : http).request(url, options);
    const giveUp = () => request.destroy(Object.assign(new Error(), { code: "ETIMEDOUT" }));
    const timers = [setTimeout(giveUp, CONNECT_WITHIN), setTimeout(giveUp, milliseconds)];
    const settle = (reply) => {
      timers.forEach(clearTimeout);
      resolve(reply);
    };
    const fail = (error) => settle({ silence: silence(error) });
    request.on("socket", (socket) => socket.on("connect", () => clearTimeout(timers[0])));
    request.on("error", fail);
    request.on("response", (response) => {
      const chunks = [];
      let length = 0;
      response.on("data", (chunk) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > longest) request.destroy(new Error());
      });
      response.on("error", fail);
      response.on("end", () => {
        const { statusCode: status, headers: { date, location } } = response;
        settle({ status, body: Buffer.concat(chunks).toString(), date, location, before, after: Date.now() });
      });
    });
    request.end(body ?? undefined);
  }).catch((error) => ({ silence: silence(error) }));
}

/** One word for it, never the error's own text, which may quote what was sent. */
export function silence({ code = "" }) {
  if (["ENOTFOUND", "EAI_AGAIN", "EAI_FAIL", "EAI_NODATA", "EAI_NONAME"].includes(code)) return "no_such_host";
  if (code === "ECONNREFUSED") return "connection_refused";
  if (["ETIMEDOUT", "ESOCKETTIMEDOUT"].includes(code)) return "timed_out";
  // What OpenSSL says of certificates, and of a server that speaks something else.
  if (/CERT|SSL|TLS|EPROTO|SIGNATURE|HOSTNAME_MISMATCH|CRL|CA_/.test(code)) return "tls_failed";
  return "connection_broken";
}

async function addresses(host, milliseconds) {
  // The system's resolver has no time limit of its own.
  const tooLong = new Promise((resolve) => setTimeout(resolve, milliseconds, []).unref());
  const found = await Promise.race([lookup(host, { all: true }).catch(() => []), tooLong]);
  return found.map(({ address }) => address);
}
