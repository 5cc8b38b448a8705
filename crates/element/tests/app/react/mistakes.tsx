// What the types must refuse.

import type { GoogleCalendarIntegration } from "google-calendar-webhooks/element";

export const mistakes = [
  // @ts-expect-error There is no such text.
  <google-calendar-integration texts={{ refrsh: "Aktualisieren" }} />,
  // @ts-expect-error A client has `from`, `auth` and `functions`.
  <google-calendar-integration client={{}} />,
  // @ts-expect-error Its detail has a connection_id.
  <google-calendar-integration oncalendar-connect={(event) => event.detail.id} />,
];

export function listen(element: GoogleCalendarIntegration) {
  element.addEventListener("calendar-connect", (event) => event.detail.connection_id);
  // @ts-expect-error There is no such status.
  element.addEventListener("calendar-status-change", (event) => event.detail.connections[0]?.status === "fine");
}
