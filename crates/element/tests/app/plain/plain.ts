// A page without React.

import { createClient } from "@supabase/supabase-js";
import { GoogleCalendarIntegration } from "google-calendar-webhooks/element";

const element = document.querySelector("google-calendar-integration");
if (element) {
  element.client = createClient("https://example.supabase.co", "key");
  element.texts = { connect: "Verbinden" };
  element.addEventListener("calendar-connect", (event) => {
    const connection: string | null = event.detail.connection_id;
    const account = event.detail.reason === "add" ? "select_account" : "consent";
    console.log(connection, account);
  });
  await element.refresh();
}
export const isOurs = (node: unknown) => node instanceof GoogleCalendarIntegration;
