// The receiver on supabase-js, which asks Google by Google's own client.

import { auth, calendar } from "@googleapis/calendar";
import { receiver } from "../typescript/receive.ts";

const api = new URL(Deno.env.get("GOOGLE_CALENDAR_API_URL")!);

export default {
  fetch: receiver((accessToken, id, resourceId) => {
    const consent = new auth.OAuth2();
    consent.setCredentials({ access_token: accessToken });
    const google = calendar({ version: "v3", auth: consent, rootUrl: `${api.origin}/` });
    return google.channels.stop({ requestBody: { id, resourceId } });
  }),
};
