// How a function answers: JSON, errors as {"error": {"code", "message"}}, and CORS for pages.

/** What the caller is told instead of a result. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** For Deno.serve: answers what the work returns, or why it did not. */
export function answering(
  work: (request: Request) => Promise<unknown>,
): (request: Request) => Promise<Response> {
  return async (request) => {
    const headers = {
      "Access-Control-Allow-Origin": "*",
      "Access-Control-Allow-Headers":
        request.headers.get("Access-Control-Request-Headers") ?? "*",
    };
    if (request.method === "OPTIONS") {
      return new Response(null, { status: 204, headers });
    }
    try {
      if (request.method !== "POST") {
        throw new Problem(405, "method_not_allowed", "POST only");
      }
      return Response.json(await work(request), { headers });
    } catch (error) {
      if (!(error instanceof Problem)) log(error);
      const { status, code, message } = error instanceof Problem
        ? error
        : new Problem(500, "internal", "The function failed; its log says why");
      return Response.json({ error: { code, message } }, { status, headers });
    }
  };
}

/** Without the details of a database's error, which may quote a row with its tokens. */
function log(error: unknown) {
  const { name, code, message, stack } = error as Error & { code?: string };
  console.error(code ? `${name} ${code}: ${message}` : stack ?? error);
}

/** The fields of a JSON body; none where there is no body. */
export async function fieldsOf(
  request: Request,
): Promise<Record<string, unknown>> {
  const text = await request.text();
  try {
    const fields: unknown = JSON.parse(text || "{}");
    if (typeof fields === "object" && fields && !Array.isArray(fields)) {
      return fields as Record<string, unknown>;
    }
  } catch {
    // Told below.
  }
  throw new Problem(400, "invalid_request", "The body is not a JSON object");
}
