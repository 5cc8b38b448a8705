/**
 * A row of the view `calendar_connection_status`. Times are ISO 8601. A database whose view does not have a column yet
 * gives null.
 */
export interface CalendarConnection {
  id: string;
  /** `null` is the user's primary calendar. */
  calendar_id: string | null;
  /** Google's name of the calendar, once the calendar has been looked at. */
  calendar_name: string | null;
  status:
    | "active"
    | "expiring"
    | "expired"
    | "unconfirmed"
    | "reconnect_required"
    | "unsupported"
    | "paused"
    | "disconnected"
    | "not_set_up";
  webhook_expiration: string | null;
  webhook_error: string | null;
  /** Google's own word for `webhook_error`. */
  webhook_error_reason: string | null;
  /** When Google last sent a notification about the connection. */
  webhook_notified_at: string | null;
  sync_status: "idle" | "pending" | "failing";
  last_sync_at: string | null;
  sync_error: string | null;
}

/**
 * The user wants to give consent: start OAuth. `preventDefault()` tells the element that the page itself shows what is
 * going on; it then does not say that it waits for the consent.
 */
export type CalendarConnectEvent = CustomEvent<{
  /** The connection to consent to again, or to choose another calendar for; `null` for a new one. */
  connection_id: string | null;
  /**
   * What for: `connect`, the first connection; `reconnect`, the same account again; `permission_missing`, the same account
   * again, and the box that was not ticked; `choose_calendar`, another calendar of this account; `add`, another account.
   */
  reason: "connect" | "reconnect" | "permission_missing" | "choose_calendar" | "add";
}>;

/**
 * The user has chosen to pause, resume, disconnect or remove this connection. The element then writes `sync_enabled` or
 * `is_active` of its row, or deletes the row; after `preventDefault()` it does not, and the page does what it means by it,
 * and calls `refresh()`.
 */
export type CalendarChoiceEvent = CustomEvent<{ connection_id: string }>;

/** A connection has come, gone or changed. Fired after the first look too. */
export type CalendarStatusChangeEvent = CustomEvent<{ connections: CalendarConnection[] }>;

export interface GoogleCalendarIntegrationEventMap {
  "calendar-connect": CalendarConnectEvent;
  "calendar-pause": CalendarChoiceEvent;
  "calendar-resume": CalendarChoiceEvent;
  "calendar-disconnect": CalendarChoiceEvent;
  "calendar-remove": CalendarChoiceEvent;
  "calendar-status-change": CalendarStatusChangeEvent;
}

/** Everything that the element says. `wait` holds `{seconds}`, `syncError` `{code}`, `disconnectAsk` and `removeAsk` `{name}`. */
export interface CalendarTexts {
  title: string;
  loading: string;
  details: string;
  primaryCalendar: string;
  otherCalendar: string;
  allWell: string;
  working: string;
  userMustAct: string;
  operatorMustAct: string;
  nothingSynced: string;
  signedOutTitle: string;
  signedOut: string;
  notConnectedTitle: string;
  notConnected: string;
  failedTitle: string;
  unsupportedBrowser: string;
  blockedByPage: string;
  connect: string;
  reconnect: string;
  connectAgain: string;
  chooseCalendar: string;
  connectOther: string;
  refresh: string;
  refreshing: string;
  resume: string;
  resuming: string;
  more: string;
  pause: string;
  pausing: string;
  disconnect: string;
  disconnecting: string;
  disconnectAsk: string;
  disconnectMeans: string;
  keep: string;
  remove: string;
  removing: string;
  removeAsk: string;
  removeMeans: string;
  keepListed: string;
  add: string;
  setUp: string;
  settingUp: string;
  tryAgain: string;
  wait: string;
  badgeActive: string;
  badgeSyncFailing: string;
  badgeExpiring: string;
  badgeExpired: string;
  badgeUnconfirmed: string;
  badgeReconnectRequired: string;
  badgeBlocked: string;
  badgeUnsupported: string;
  badgeLookedAt: string;
  badgePaused: string;
  badgeDisconnected: string;
  badgeNotSetUp: string;
  active: string;
  expiring: string;
  expired: string;
  unconfirmed: string;
  reconnectRequired: string;
  permissionMissing: string;
  blockedByPolicy: string;
  noCalendar: string;
  pushNotSupported: string;
  lookedAt: string;
  calendarNotFound: string;
  paused: string;
  disconnected: string;
  notSetUp: string;
  settingUpNow: string;
  syncFailing: string;
  googleUnavailable: string;
  googleRejected: string;
  googleRateLimited: string;
  oauthClientInvalid: string;
  webhookUrlRejected: string;
  googleApiDisabled: string;
  databaseRefused: string;
  unchecked: string;
  misconfigured: string;
  notInstalled: string;
  noConnection: string;
  tooSoon: string;
  unauthenticated: string;
  offline: string;
  offlineNow: string;
  unreachable: string;
  unreachableNow: string;
  serverError: string;
  serverErrorNow: string;
  refreshed: string;
  isSetUp: string;
  resumed: string;
  consenting: string;
  lastSync: string;
  never: string;
  sync: string;
  syncIdle: string;
  syncPending: string;
  syncFails: string;
  renewsBy: string;
  expires: string;
  expiredAt: string;
  problem: string;
  syncProblem: string;
  syncError: string;
  calendar: string;
  lastLook: string;
  lastNotification: string;
  history: string;
  colon: string;
  eventConnected: string;
  eventBroken: string;
  eventHealed: string;
  eventPaused: string;
  eventResumed: string;
  eventDisconnected: string;
  eventReconnected: string;
}

/** What the element uses of a supabase-js client. */
export interface CalendarClient {
  auth: {
    getSession(): Promise<unknown>;
    onAuthStateChange(callback: (event: any, session: any) => any): unknown;
  };
  from(relation: string): any;
  functions: { invoke(name: string, options?: any): Promise<unknown> };
}

export class GoogleCalendarIntegration extends HTMLElement {
  /** The page's supabase-js client. */
  client: CalendarClient | null;
  /** Texts that replace the element's own; what is left out stays as it is in the page's language. */
  texts: Partial<CalendarTexts>;
  /**
   * Looks at the connections now: after OAuth, or when the page's own Realtime told of a change. Resolves when the
   * answer to a request made after the call is shown, or that request has failed; never rejects for a failure of the
   * server.
   */
  refresh(): Promise<void>;

  addEventListener<K extends keyof GoogleCalendarIntegrationEventMap>(
    type: K,
    listener: (this: GoogleCalendarIntegration, event: GoogleCalendarIntegrationEventMap[K]) => any,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener<K extends keyof HTMLElementEventMap>(
    type: K,
    listener: (this: GoogleCalendarIntegration, event: HTMLElementEventMap[K]) => any,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
  removeEventListener<K extends keyof GoogleCalendarIntegrationEventMap>(
    type: K,
    listener: (this: GoogleCalendarIntegration, event: GoogleCalendarIntegrationEventMap[K]) => any,
    options?: boolean | EventListenerOptions,
  ): void;
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | EventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "google-calendar-integration": GoogleCalendarIntegration;
  }
}

/** What templates may set besides the usual attributes: React's, Svelte's, and by other names Vue's. */
export interface GoogleCalendarIntegrationProps {
  client?: CalendarClient | null;
  texts?: Partial<CalendarTexts>;
  "oncalendar-connect"?: (event: CalendarConnectEvent) => void;
  "oncalendar-pause"?: (event: CalendarChoiceEvent) => void;
  "oncalendar-resume"?: (event: CalendarChoiceEvent) => void;
  "oncalendar-disconnect"?: (event: CalendarChoiceEvent) => void;
  "oncalendar-remove"?: (event: CalendarChoiceEvent) => void;
  "oncalendar-status-change"?: (event: CalendarStatusChangeEvent) => void;
}

// @ts-ignore A page without React has no such module.
declare module "react" {
  namespace JSX {
    interface IntrinsicElements {
      // @ts-ignore As above.
      "google-calendar-integration": DetailedHTMLProps<HTMLAttributes<GoogleCalendarIntegration>, GoogleCalendarIntegration> & GoogleCalendarIntegrationProps & { class?: string };
    }
  }
}

// @ts-ignore A page without Svelte has no such module.
declare module "svelte/elements" {
  interface SvelteHTMLElements {
    // @ts-ignore As above.
    "google-calendar-integration": HTMLAttributes<GoogleCalendarIntegration> & GoogleCalendarIntegrationProps;
  }
}

// @ts-ignore A page without Vue has no such module.
declare module "vue" {
  interface GlobalComponents {
    "google-calendar-integration": new () => GoogleCalendarIntegration & {
      // @ts-ignore As above.
      $props: import("vue").HTMLAttributes & import("vue").VNodeProps & {
        client?: CalendarClient | null;
        texts?: Partial<CalendarTexts>;
        onCalendarConnect?: (event: CalendarConnectEvent) => void;
        onCalendarPause?: (event: CalendarChoiceEvent) => void;
        onCalendarResume?: (event: CalendarChoiceEvent) => void;
        onCalendarDisconnect?: (event: CalendarChoiceEvent) => void;
        onCalendarRemove?: (event: CalendarChoiceEvent) => void;
        onCalendarStatusChange?: (event: CalendarStatusChangeEvent) => void;
      };
    };
  }
}
