//! What the database remembers of a connection.

/// Remembers every state of every connection. Its own schema, where PostgREST does not look; logged, so that a
/// crash of the server takes away what it took from the connections and no more.
pub(crate) const SCHEMA: &str = "
    create schema chaos;
    create table chaos.states (
      id bigint generated always as identity primary key,
      at timestamptz not null default clock_timestamp(),
      connection uuid not null,
      live boolean not null,
      channel text,
      pending text,
      request uuid,
      last_sync_at timestamptz,
      seen text,
      streak integer not null
    );
    create function chaos.remember() returns trigger language plpgsql security definer set search_path = '' as $$
      begin
        insert into chaos.states (connection, live, channel, pending, request, last_sync_at, seen, streak) values
          (new.id, new.is_active is true and new.sync_enabled is not false, new.webhook_id, new.webhook_pending_id,
           new.sync_request_id, new.last_sync_at, new.sync_seen, new.sync_streak);
        return null;
      end
    $$;
    create trigger remember after insert or update on public.calendar_connections
      for each row execute function chaos.remember();";
