// What a React app shows, as somebody would write it.

import { useRef, useState } from "react";

import "google-calendar-webhooks/element";
import type { CalendarConnection, GoogleCalendarIntegration } from "google-calendar-webhooks/element";

import { supabase } from "./supabase";

export function Settings() {
  const [asked, setAsked] = useState<string | null>();
  const [connections, setConnections] = useState<CalendarConnection[]>([]);
  const [isShown, setShown] = useState(true);
  const [isGerman, setGerman] = useState(false);
  const [client, setClient] = useState<typeof supabase | null>(supabase);
  const element = useRef<GoogleCalendarIntegration>(null);
  return (
    <main>
      <h1>Settings</h1>
      <p id="asked">{asked}</p>
      <p id="statuses">{connections.map(({ status }) => status).join(" ")}</p>
      <button onClick={() => setShown(!isShown)}>Toggle</button>
      <button onClick={() => setGerman(!isGerman)}>Deutsch</button>
      <button onClick={() => setClient(client ? null : supabase)}>Client</button>
      <button onClick={() => element.current?.refresh()}>Look</button>
      {isShown && (
        <google-calendar-integration
          ref={element}
          class="settings"
          lang={isGerman ? "de" : "en"}
          client={client}
          texts={isGerman ? { reconnect: "Erneut verbinden" } : {}}
          oncalendar-connect={(event) => {
            event.preventDefault();
            setAsked(event.detail.connection_id);
          }}
          oncalendar-status-change={(event) => setConnections(event.detail.connections)}
        />
      )}
    </main>
  );
}
