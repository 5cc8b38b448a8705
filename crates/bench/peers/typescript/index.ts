// The receiver on supabase-js, which asks Google by plain requests.

import { receiver } from "./receive.ts";

export default {
  fetch: receiver((accessToken, id, resourceId) =>
    fetch(`${Deno.env.get("GOOGLE_CALENDAR_API_URL")}/channels/stop`, {
      method: "POST",
      headers: { authorization: `Bearer ${accessToken}`, "content-type": "application/json" },
      body: JSON.stringify({ id, resourceId }),
    })
  ),
};
