// The statuses of the view `calendar_connection_status`, and what each means for this page: `watched`, changes arrive;
// `opening`, they are about to; `off`, nothing follows before somebody does something.
export const STATUSES = {
  active: "watched",
  expiring: "watched",
  unconfirmed: "watched",
  not_set_up: "opening",
  expired: "opening",
  paused: "off",
  disconnected: "off",
  reconnect_required: "off",
  unsupported: "off",
};
