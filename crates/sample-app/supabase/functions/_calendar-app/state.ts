// The `state` of a consent, which goes to Google and comes back: what was asked, signed, for ten minutes.
import { Problem } from "./answer.ts";
import { variable } from "./caller.ts";

/** What was asked for, and by whom. */
export interface Asked {
  user_id: string;
  /** The connection whose tokens the new ones replace; null = the user's first, if there is one. */
  connection_id: string | null;
  /** Whether a connection is added to those that the user has. */
  is_another: boolean;
  /** Whether the consent may be for another account, and so for its main calendar. */
  is_other_account: boolean;
  /** Google demands the same address when the code is exchanged. */
  redirect_uri: string;
}

const MINUTES = 10;
const HMAC = { name: "HMAC", hash: "SHA-256" };

export async function sign(asked: Asked): Promise<string> {
  const content = JSON.stringify({
    ...asked,
    expires: Date.now() + MINUTES * 60_000,
  });
  const bytes = new TextEncoder().encode(content);
  const signature = await crypto.subtle.sign(HMAC, await key(), bytes);
  return `${encode(bytes)}.${encode(new Uint8Array(signature))}`;
}

export async function verify(state: unknown): Promise<Asked> {
  try {
    const [content, signature] = String(state).split(".").map(decode);
    if (await crypto.subtle.verify(HMAC, await key(), signature, content)) {
      const { expires, ...asked } = JSON.parse(
        new TextDecoder().decode(content),
      );
      if (expires > Date.now()) return asked;
    }
  } catch (error) {
    if (error instanceof Problem) throw error;
    // It is no state of ours.
  }
  throw new Problem(
    400,
    "state_invalid",
    `The consent was not asked for here, or more than ${MINUTES} minutes ago`,
  );
}

/** A secret that both functions have. */
function key(): Promise<CryptoKey> {
  const secret = new TextEncoder().encode(
    variable("GOOGLE_CLIENT_SECRET", "GOCSPX-…"),
  );
  return crypto.subtle.importKey("raw", secret, HMAC, false, [
    "sign",
    "verify",
  ]);
}

function encode(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function decode(text: string) {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}
