-- Takes back what the migrations made. The connections stay, and so do the four columns that a project may have had
-- before: webhook_id, webhook_expiration, sync_enabled and last_sync_at. Channels that are still open end by
-- themselves, within 30 days. A column of the project's own that has one of the names below goes too: take it out of
-- the list.
select public.unschedule_calendar_webhook_refresh();

drop view if exists public.calendar_webhook_health, public.calendar_webhook_backlog,
  public.calendar_connection_status;
drop table if exists public.calendar_webhook_sweeps, public.calendar_webhook_requests;
drop trigger if exists keep_calendar_webhook_columns on public.calendar_connections;
drop trigger if exists note_calendar_connection_arrival on public.calendar_connections;
drop trigger if exists note_calendar_connection_event on public.calendar_connections;
drop trigger if exists note_calendar_connection_departure on public.calendar_connections;
drop trigger if exists keep_calendar_webhook_farewell on public.calendar_connections;
drop trigger if exists take_calendar_webhook_farewell_back on public.calendar_connections;
drop table if exists public.calendar_connection_events, public.calendar_webhook_farewells;
drop function if exists
  public.keep_calendar_webhook_columns,
  public.note_calendar_connection_event,
  public.keep_calendar_webhook_farewell,
  public.measure_calendar_webhook_backlog,
  public.forget_old_calendar_webhook_sweeps,
  public.request_calendar_webhook_refresh,
  public.schedule_calendar_webhook_refresh,
  public.unschedule_calendar_webhook_refresh,
  public.calendar_webhook_schedule,
  public.calendar_webhook_obstacles,
  public.calendar_webhook_state;
drop index if exists
  public.calendar_connections_webhook_token_hash,
  public.calendar_connections_webhook_id,
  public.calendar_connections_user_id,
  public.calendar_connections_owed_runs,
  public.calendar_connections_due_runs,
  public.calendar_connections_due_looks,
  public.calendar_connections_due_renewals,
  public.calendar_connections_to_retire,
  public.calendar_connections_to_reconcile,
  public.calendar_connections_expiration,
  public.calendar_connections_renewal_error,
  public.calendar_connections_run_error,
  public.calendar_connections_unconfirmed;
alter table public.calendar_connections
  drop column if exists webhook_token,
  drop column if exists webhook_token_hash,
  drop column if exists webhook_source,
  drop column if exists webhook_resource_id,
  drop column if exists webhook_pending_id,
  drop column if exists webhook_opened_at,
  drop column if exists webhook_confirmed_id,
  drop column if exists webhook_message_number,
  drop column if exists webhook_lease_until,
  drop column if exists webhook_not_before,
  drop column if exists webhook_attempts,
  drop column if exists webhook_error,
  drop column if exists sync_request_id,
  drop column if exists sync_owed_since,
  drop column if exists sync_lease_until,
  drop column if exists sync_not_before,
  drop column if exists sync_attempts,
  drop column if exists sync_streak,
  drop column if exists sync_error,
  drop column if exists sync_seen,
  drop column if exists sync_look_at,
  drop column if exists webhook_notified_at,
  drop column if exists webhook_error_reason,
  drop column if exists calendar_name;
