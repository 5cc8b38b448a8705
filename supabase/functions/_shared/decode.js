// Base64 to bytes. JavaScript with types beside it: of TypeScript that imports from Node, Deno's check wants
// npm:@types/node where the project has a package.json.
// deno-lint-ignore-file
// deno-fmt-ignore-file
// @ts-self-types="./decode.d.ts"

/** Natively where the runtime can, else by Node's `Buffer` (a loop over `atob` is most of a cold start on Deno 2.1). */
export async function decode(base64) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(base64);
  const { Buffer } = await import("node:buffer");
  return Buffer.from(base64, "base64");
}
