-- Google Calendar webhooks: the columns, triggers, indexes and view that the three Edge Functions work on, the log of
-- what befell a connection, and what is kept of a deleted one until its channel is stopped.
-- Applies to an empty project, to a live table with rows (also one of an earlier edition), and twice. A table that exists keeps its grants,
-- policies and data; only a table created here gets Row Level Security and column privileges.

do $$
declare
  fresh constant boolean := to_regclass('public.calendar_connections') is null;
  -- By those of our columns whose names a host is least likely to use. Two of the three: a host may have one by chance,
  -- and one may have been dropped since.
  applied constant boolean := (
    select count(*) > 1 from pg_catalog.pg_attribute
      where attrelid = to_regclass('public.calendar_connections')
        and attname in ('sync_streak', 'webhook_token_hash', 'webhook_lease_until') and not attisdropped);
  -- The same of the second edition, which added looks.
  knows_looks constant boolean := (
    select count(*) > 1 from pg_catalog.pg_attribute
      where attrelid = to_regclass('public.calendar_connections')
        and attname in ('sync_seen', 'sync_look_at', 'webhook_notified_at') and not attisdropped);
  unfit text;
  reader text;
begin
  if fresh then
    create table public.calendar_connections (
      id uuid primary key default gen_random_uuid(),
      user_id uuid not null,
      provider text not null default 'google',
      access_token text,
      refresh_token text,
      expires_at timestamptz,
      calendar_id text,
      is_active boolean default true,
      created_at timestamptz not null default now(),
      updated_at timestamptz not null default now()
    );
  end if;

  -- A provider may be of any type, and a domain of one that fits. What may be shared with a host that has a column of that
  -- name takes nulls; any other of our names that is there before the first application is the host's for something else.
  select string_agg(
      case when attname is null then name || ' is missing'
           when whose = 'ours' and not is_applied then name || ' is the name of a column that this migration adds'
           when is_of_another_type then format('%s is %s, not %s', name, format_type(atttypid, atttypmod), needed[1])
           when is_too_short then format('%s is %s, and is to hold %s', name, format_type(atttypid, atttypmod), characters)
           else name || ' does not take nulls' end,
      '; ' order by position) into unfit
    from (values (1, 'id', '{uuid}'::regtype[], 'host'), (2, 'user_id', '{uuid}', 'host'), (3, 'provider', null, 'host'),
                 (4, 'access_token', '{text}', 'host'), (5, 'refresh_token', '{text}', 'host'),
                 -- Without a time zone they are read as UTC.
                 (6, 'expires_at', '{timestamptz, timestamp}', 'host'), (7, 'calendar_id', '{text}', 'host'),
                 (8, 'is_active', '{boolean}', 'host'), (9, 'created_at', '{timestamptz, timestamp}', 'host'),
                 (10, 'webhook_id', '{text}', 'shared'), (11, 'webhook_expiration', '{timestamptz}', 'shared'),
                 (12, 'sync_enabled', '{boolean}', 'shared'), (13, 'last_sync_at', '{timestamptz}', 'shared'),
                 (14, 'webhook_token', '{text}', 'ours'), (15, 'webhook_token_hash', '{text}', 'ours'),
                 (16, 'webhook_source', '{text}', 'ours'), (17, 'webhook_resource_id', '{text}', 'shared'),
                 (18, 'webhook_pending_id', '{text}', 'shared'), (19, 'webhook_opened_at', '{timestamptz}', 'ours'),
                 (20, 'webhook_confirmed_id', '{text}', 'shared'), (21, 'webhook_message_number', '{bigint}', 'ours'),
                 (22, 'webhook_lease_until', '{timestamptz}', 'ours'), (23, 'webhook_not_before', '{timestamptz}', 'ours'),
                 (24, 'webhook_attempts', '{integer, bigint}', 'ours'), (25, 'webhook_error', '{text}', 'shared'),
                 (26, 'sync_request_id', '{uuid}', 'shared'), (27, 'sync_owed_since', '{timestamptz}', 'shared'),
                 (28, 'sync_lease_until', '{timestamptz}', 'ours'), (29, 'sync_not_before', '{timestamptz}', 'ours'),
                 (30, 'sync_attempts', '{integer, bigint}', 'ours'), (31, 'sync_streak', '{integer, bigint}', 'ours'),
                 (32, 'sync_error', '{text}', 'shared'), (33, 'sync_seen', '{text}', 'shared'),
                 (34, 'sync_look_at', '{timestamptz}', 'ours'), (35, 'webhook_notified_at', '{timestamptz}', 'shared'),
                 (36, 'webhook_error_reason', '{text}', 'shared'), (37, 'calendar_name', '{text}', 'shared'))
        as expected (position, name, needed, whose)
      left join pg_catalog.pg_attribute
        on attrelid = 'public.calendar_connections'::regclass and attname = name and not attisdropped
      left join pg_catalog.pg_type as type on type.oid = atttypid
      -- varchar, citext and the like serve as well.
      cross join lateral (select case when needed = '{text}' then typcategory <> 'S'
                                      else type.oid <> all (needed) and typbasetype <> all (needed) end)
        as compared (is_of_another_type)
      -- Of what is shared: ids and words of up to 64 characters, and a calendar's name.
      cross join lateral (select case name when 'calendar_name' then 254 when 'sync_seen' then 100 else 64 end)
        as longest (characters)
      cross join lateral (select atttypid = 'varchar'::regtype and whose = 'shared'
                                 and atttypmod - 4 between 1 and characters - 1) as measured (is_too_short)
      cross join lateral (select case name when 'sync_look_at' then knows_looks else applied end) as known (is_applied)
    where case
      when attname is null then whose = 'host'
      when whose = 'ours' and not is_applied then true
      else is_of_another_type or is_too_short
        or whose = 'shared' and attnotnull and name not in ('sync_enabled', 'last_sync_at')
    end;
  if unfit is not null then
    raise exception 'public.calendar_connections exists, but its columns do not fit: %', unfit
      using hint = 'Add what is missing, convert the rest, and rename columns of your own that have a name of ours (see '
        'supabase/README.md of google-calendar-webhooks, "The table"), then apply this migration again. Seconds since '
        '1970: alter table public.calendar_connections alter column expires_at type timestamptz using to_timestamp(expires_at). '
        'Milliseconds: using to_timestamp(expires_at / 1000.0). A timestamp without time zone: using expires_at at time '
        'zone ''UTC''.';
  end if;

  -- Behind a long transaction of the host's this would wait, and everybody else behind this: better to try again.
  if current_setting('lock_timeout') = '0' then
    perform set_config('lock_timeout', '10s', true);
  end if;

  alter table public.calendar_connections
    -- The published four: hosts may have them already.
    add column if not exists webhook_id text,
    add column if not exists webhook_expiration timestamptz,
    add column if not exists sync_enabled boolean default true,
    add column if not exists last_sync_at timestamptz,
    -- The channel.
    -- The secret of a connection: 64 hex digits over 244 random bits of the server's strong generator.
    add column if not exists webhook_token text not null
      default encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex'),
    add column if not exists webhook_token_hash text,
    add column if not exists webhook_source text,
    add column if not exists webhook_resource_id text,
    add column if not exists webhook_pending_id text,
    add column if not exists webhook_opened_at timestamptz not null default 'epoch',
    add column if not exists webhook_confirmed_id text,
    add column if not exists webhook_message_number bigint not null default 0,
    -- Its renewal.
    add column if not exists webhook_lease_until timestamptz not null default 'epoch',
    add column if not exists webhook_not_before timestamptz not null default 'epoch',
    add column if not exists webhook_attempts integer not null default 0,
    add column if not exists webhook_error text,
    -- The run that is owed.
    add column if not exists sync_request_id uuid,
    add column if not exists sync_owed_since timestamptz,
    add column if not exists sync_lease_until timestamptz not null default 'epoch',
    add column if not exists sync_not_before timestamptz not null default 'epoch',
    add column if not exists sync_attempts integer not null default 0,
    add column if not exists sync_streak integer not null default 0,
    add column if not exists sync_error text,
    -- What the last look saw, and when the next one is due. Rows of before are spread over six hours.
    add column if not exists sync_seen text,
    add column if not exists sync_look_at timestamptz not null default now() + random() * interval '6 hours',
    -- For people: when Google last reached us, its own word for the last refusal, and the calendar's name.
    add column if not exists webhook_notified_at timestamptz,
    add column if not exists webhook_error_reason text,
    add column if not exists calendar_name text;

  -- Rows from before the trigger. No update, which the host's own triggers would take for a change by a user.
  if exists (select from public.calendar_connections where webhook_token_hash is null or webhook_token_hash = '') then
    alter table public.calendar_connections
      alter column webhook_token_hash type text
        using encode(sha256(convert_to(webhook_token, 'UTF8')), 'hex');
  end if;
  if exists (select from public.calendar_connections where webhook_source is null or webhook_source = '') then
    alter table public.calendar_connections
      alter column webhook_source type text
        using encode(sha256(convert_to(
          coalesce(refresh_token, '') || E'\n' || coalesce(calendar_id, 'primary'), 'UTF8')), 'hex');
  end if;
  alter table public.calendar_connections
    alter column webhook_token_hash set not null,
    alter column webhook_source set not null,
    -- The trigger writes both whatever an insert says; without a default `supabase gen types` would require them of it.
    alter column webhook_token_hash set default '',
    alter column webhook_source set default '',
    alter column sync_look_at set default now();

  -- Who could read the view of the first edition by privileges on single columns can read this one.
  if not fresh and not knows_looks then
    for reader in
      select case grantee when 0 then 'public' else grantee::regrole::text end
        from pg_catalog.pg_attribute cross join lateral aclexplode(attacl)
        where attrelid = 'public.calendar_connections'::regclass and attname = 'webhook_error'
          and privilege_type = 'SELECT'
    loop
      execute format(
        'grant select (webhook_notified_at, webhook_error_reason, calendar_name) on public.calendar_connections to %s',
        reader);
    end loop;
  end if;

  if fresh then
    alter table public.calendar_connections enable row level security;
    create policy "Users see their own calendar connections" on public.calendar_connections
      for select to authenticated using ((select auth.uid()) = user_id);
    create policy "Users change their own calendar connections" on public.calendar_connections
      for update to authenticated using ((select auth.uid()) = user_id) with check ((select auth.uid()) = user_id);
    create policy "Users delete their own calendar connections" on public.calendar_connections
      for delete to authenticated using ((select auth.uid()) = user_id);

    -- No browser role reads or writes a token: RLS hides rows, only column privileges hide columns.
    revoke all on public.calendar_connections from anon, authenticated;
    grant select (id, user_id, provider, expires_at, calendar_id, is_active, created_at, updated_at, webhook_id,
                  webhook_expiration, sync_enabled, last_sync_at, webhook_opened_at, webhook_confirmed_id,
                  webhook_message_number, webhook_error, sync_request_id, sync_error, webhook_notified_at,
                  webhook_error_reason, calendar_name)
      on public.calendar_connections to authenticated;
    grant update (sync_enabled, is_active, calendar_id) on public.calendar_connections to authenticated;
    grant delete on public.calendar_connections to authenticated;
    grant all on public.calendar_connections to service_role;
  end if;
end
$$;

create or replace function public.keep_calendar_webhook_columns() returns trigger
  language plpgsql set search_path = ''
  as $$
declare
  rotated constant boolean := tg_op = 'UPDATE' and new.webhook_source is not distinct from 'rotated'
    and current_user not in ('anon', 'authenticated');
begin
  if current_user in ('anon', 'authenticated') then
    -- Several times what Google gives out. A sweep reads hundreds of rows, and a worker has 256 MB. In an insert the
    -- old row is null.
    if lower(new.provider::text) = 'google'
      and greatest(length(new.calendar_id), length(new.access_token), length(new.refresh_token)) > 4096
      and (new.provider, new.calendar_id, new.access_token, new.refresh_token)
        is distinct from (old.provider, old.calendar_id, old.access_token, old.refresh_token)
    then
      raise exception 'calendar_id, access_token and refresh_token have at most 4096 characters'
        using errcode = 'check_violation';
    end if;

    -- A page that saves a stale row back must not undo a transition; whether to sync is the user's to say.
    if tg_op = 'INSERT' then
      new.webhook_id := null;
      new.webhook_expiration := null;
      new.last_sync_at := null;
      new.webhook_token :=
        encode(sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8')), 'hex');
      new.webhook_resource_id := null;
      new.webhook_pending_id := null;
      new.webhook_opened_at := 'epoch';
      new.webhook_confirmed_id := null;
      new.webhook_message_number := 0;
      new.webhook_lease_until := 'epoch';
      new.webhook_not_before := 'epoch';
      new.webhook_attempts := 0;
      new.webhook_error := null;
      new.sync_request_id := null;
      new.sync_lease_until := 'epoch';
      new.sync_not_before := 'epoch';
      new.sync_attempts := 0;
      new.sync_streak := 0;
      new.sync_error := null;
      new.sync_seen := null;
      new.sync_look_at := now();
      new.webhook_notified_at := null;
      new.webhook_error_reason := null;
      new.calendar_name := null;
    else
      new.webhook_id := old.webhook_id;
      new.webhook_expiration := old.webhook_expiration;
      new.last_sync_at := old.last_sync_at;
      new.webhook_token := old.webhook_token;
      new.webhook_resource_id := old.webhook_resource_id;
      new.webhook_pending_id := old.webhook_pending_id;
      new.webhook_opened_at := old.webhook_opened_at;
      new.webhook_confirmed_id := old.webhook_confirmed_id;
      new.webhook_message_number := old.webhook_message_number;
      new.webhook_lease_until := old.webhook_lease_until;
      new.webhook_not_before := old.webhook_not_before;
      new.webhook_attempts := old.webhook_attempts;
      new.webhook_error := old.webhook_error;
      new.sync_request_id := old.sync_request_id;
      new.sync_lease_until := old.sync_lease_until;
      new.sync_not_before := old.sync_not_before;
      new.sync_attempts := old.sync_attempts;
      new.sync_streak := old.sync_streak;
      new.sync_error := old.sync_error;
      new.sync_seen := old.sync_seen;
      new.sync_look_at := old.sync_look_at;
      new.webhook_notified_at := old.webhook_notified_at;
      new.webhook_error_reason := old.webhook_error_reason;
      new.calendar_name := old.calendar_name;
    end if;
  end if;

  new.webhook_token_hash := encode(sha256(convert_to(new.webhook_token, 'UTF8')), 'hex');
  new.webhook_source := encode(sha256(convert_to(
    coalesce(new.refresh_token, '') || E'\n' || coalesce(new.calendar_id, 'primary'), 'UTF8')), 'hex');

  -- Each notification replaces the request, so that its time tells of the last one: this is when the first one came
  -- that no run has answered. Nobody writes it; a run that succeeds while a newer request waits starts it anew.
  new.sync_owed_since := case
    when new.sync_request_id is null then null
    -- A row that is restored brings its own.
    when tg_op = 'INSERT' then coalesce(new.sync_owed_since, now())
    when old.sync_owed_since is null or new.last_sync_at is distinct from old.last_sync_at then now()
    else old.sync_owed_since
  end;

  -- A run that was never put off, that could not be made until now, or for which a host writes a time of long ago, must
  -- not go before the runs that have waited for their turn.
  if new.sync_request_id is not null and (
    tg_op = 'INSERT' or old.sync_request_id is null
    or (new.provider, new.is_active, new.sync_enabled)
      is distinct from (old.provider, old.is_active, old.sync_enabled)
    -- What a run books comes with its lease.
    or new.sync_not_before is distinct from old.sync_not_before and new.sync_lease_until = old.sync_lease_until)
  then
    new.sync_not_before := greatest(
      new.sync_not_before,
      case tg_op when 'INSERT' then new.sync_owed_since else now() end - interval '1 minute');
  end if;

  -- Due now: a row that is new, or becomes Google's, must not go before every connection that waits.
  if tg_op = 'INSERT' and new.webhook_not_before = 'epoch' then
    new.webhook_not_before := now();
  elsif tg_op = 'UPDATE' and new.provider is distinct from old.provider then
    new.webhook_not_before := greatest(new.webhook_not_before, now());
    new.sync_look_at := greatest(new.sync_look_at, now());
  end if;

  -- A new consent, another calendar, or a resumed connection without a channel: a renewal is due, and a look. The
  -- renewal's lease stays, for it bounds how many channels a minute are opened.
  if tg_op = 'UPDATE' and not rotated and (
    new.webhook_source is distinct from old.webhook_source
    or (new.webhook_id is null
        and (new.is_active is distinct from old.is_active or new.sync_enabled is distinct from old.sync_enabled))
  ) then
    new.webhook_not_before := now();
    new.webhook_attempts := 0;
    new.webhook_error := null;
    new.webhook_error_reason := null;
    new.sync_look_at := now();
    if new.webhook_source is distinct from old.webhook_source then
      new.sync_seen := null;
      new.calendar_name := null;
      -- A run that is going on has booked its next attempt, and writes what becomes of this one.
      if new.sync_lease_until < now() then
        new.sync_error := null;
        new.sync_attempts := 0;
        new.sync_not_before := now();
      end if;
    end if;
  end if;
  return new;
end
$$;

create or replace trigger keep_calendar_webhook_columns
  before insert or update on public.calendar_connections
  for each row execute function public.keep_calendar_webhook_columns();
-- Also in replica mode, in which a data-only dump is restored, perhaps one of before this migration.
alter table public.calendar_connections enable always trigger keep_calendar_webhook_columns;

-- What befell a connection, for its user, the operator and the app's own code, which can hang a trigger or a Database
-- Webhook on it. No foreign key: it outlives connection and user, for 30 days.
create table if not exists public.calendar_connection_events (
  id bigint generated always as identity primary key,
  connection_id uuid not null,
  user_id uuid,
  at timestamptz not null default now(),
  event text not null check (event in (
    'connected', 'broken', 'healed', 'paused', 'resumed', 'disconnected', 'reconnected', 'deleted')),
  -- Of what is broken: the code in webhook_error, and Google's own word for it.
  reason text,
  detail text
);
create index if not exists calendar_connection_events_connection
  on public.calendar_connection_events (connection_id, id);
create index if not exists calendar_connection_events_user on public.calendar_connection_events (user_id, id);
create index if not exists calendar_connection_events_at on public.calendar_connection_events (at);
alter table public.calendar_connection_events enable row level security;
drop policy if exists "Users see what befell their own calendar connections" on public.calendar_connection_events;
create policy "Users see what befell their own calendar connections" on public.calendar_connection_events
  for select to authenticated using ((select auth.uid()) = user_id);
revoke all on public.calendar_connection_events from public, anon, authenticated, service_role;
revoke all on sequence public.calendar_connection_events_id_seq from public, anon, authenticated, service_role;
grant select on public.calendar_connection_events to authenticated;
grant select, delete on public.calendar_connection_events to service_role;

-- Security definer: a role that writes a connection, or deletes a user and with it the user's connections, need not be
-- allowed to write here.
create or replace function public.note_calendar_connection_event() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
declare
  -- What stays broken until a person mends it: the user, the user's administrator or the operator.
  mended_by_a_person constant text[] := '{reconnect_required, permission_missing, blocked_by_policy, no_calendar,
    calendar_not_found, google_api_disabled, oauth_client_invalid, webhook_url_rejected}';
  connection constant uuid := coalesce(new.id, old.id);
  person constant uuid := case tg_op when 'DELETE' then old.user_id else new.user_id end;
  -- Rows of other providers are none of our business. In an insert the old row is null, in a deletion the new one.
  was_connected constant boolean := old.provider::text = 'google' and old.is_active is true;
  is_connected constant boolean := new.provider::text = 'google' and new.is_active is true;
  -- The trigger that keeps the columns has just reset them: nothing is known of the new consent or calendar yet. Not
  -- so with a rotated refresh token.
  is_reset constant boolean := new.sync_look_at = now() and new.webhook_not_before = now();
  event text;
  last record;
  oldest_kept bigint;
begin
  if old.provider::text = 'google' and new.provider::text is distinct from 'google' then
    event := 'deleted';
  elsif was_connected is true and is_connected is not true then
    event := 'disconnected';
  elsif is_connected is true and was_connected is not true then
    event := case
      when tg_op = 'UPDATE' and (
        old.last_sync_at is not null
        or exists (select from public.calendar_connection_events as told where told.connection_id = connection))
      then 'reconnected' else 'connected' end;
  elsif is_connected is true then
    event := case
      when is_reset and new.refresh_token <> '' and new.refresh_token is distinct from old.refresh_token
        -- Some apps insert the connection first and add its tokens later.
        and (old.refresh_token <> '' or old.webhook_id is not null or old.webhook_error is not null
             or old.last_sync_at is not null) then 'reconnected'
      when new.sync_enabled is false and old.sync_enabled is not false then 'paused'
      when old.sync_enabled is false and new.sync_enabled is not false then 'resumed'
    end;
  end if;
  if event is not null then
    insert into public.calendar_connection_events (connection_id, user_id, event) values (connection, person, event);
  end if;

  -- Told once, however often it is tried again in between, and once more when the reason is another.
  if is_connected is true and new.sync_enabled is not false then
    select told.event, told.reason into last
      from public.calendar_connection_events as told
      where told.connection_id = connection and told.event in ('connected', 'reconnected', 'broken', 'healed')
      order by told.id desc limit 1;
    if new.webhook_error = any (mended_by_a_person) then
      if last.event is distinct from 'broken' or last.reason is distinct from new.webhook_error then
        insert into public.calendar_connection_events (connection_id, user_id, event, reason, detail)
          values (connection, person, 'broken', new.webhook_error, left(new.webhook_error_reason, 64));
      end if;
    -- A calendar without push is well: it is looked at.
    elsif coalesce(new.webhook_error, 'push_not_supported') = 'push_not_supported' and not is_reset and (
      last.event = 'broken'
      -- Broken for so long that the log has forgotten it.
      or last.event is null and old.webhook_error = any (mended_by_a_person)
      -- That the new consent helps is known once Google opens a channel, or says that it sends no notifications.
      or last.event = 'reconnected'
        and (new.webhook_id <> '' and new.webhook_id is distinct from old.webhook_id
             or new.webhook_error = 'push_not_supported')
        and 'broken' = (
          select told.event from public.calendar_connection_events as told
            where told.connection_id = connection and told.event in ('connected', 'broken', 'healed')
            order by told.id desc limit 1))
    then
      insert into public.calendar_connection_events (connection_id, user_id, event) values (connection, person, 'healed');
    end if;
  end if;

  -- The newest 200 of a user stay: pausing and resuming in a loop fills no table.
  select told.id into oldest_kept
    from public.calendar_connection_events as told where told.user_id = person order by told.id desc offset 199 limit 1;
  delete from public.calendar_connection_events
    where id in (
      select told.id from public.calendar_connection_events as told
        where told.user_id = person and told.id < oldest_kept
        -- Another write of this user may be deleting the same ones, in a long transaction.
        for update skip locked);
  return null;
exception when others then
  -- A trigger of the host's on the log that fails costs the event; it must not cost a renewal, or keep a user from being
  -- deleted.
  raise warning 'what befell calendar connection % was not noted: %', connection, sqlerrm;
  return null;
end
$$;

create or replace trigger note_calendar_connection_arrival
  after insert on public.calendar_connections
  for each row execute function public.note_calendar_connection_event();
create or replace trigger note_calendar_connection_departure
  after delete on public.calendar_connections
  for each row execute function public.note_calendar_connection_event();
-- Not for a notification, a run or a look, which are many.
create or replace trigger note_calendar_connection_event
  after update on public.calendar_connections
  for each row when (
    old.provider is distinct from new.provider
    or old.is_active is distinct from new.is_active
    or old.sync_enabled is distinct from new.sync_enabled
    or old.webhook_source is distinct from new.webhook_source
    or old.webhook_error is distinct from new.webhook_error
    or old.webhook_id is distinct from new.webhook_id)
  execute function public.note_calendar_connection_event();

-- What is needed to stop the channel of a connection that was deleted. The sweep stops it and deletes the farewell, after
-- a day at the latest, for it holds tokens. Without a policy nobody but the service reads it.
create table if not exists public.calendar_webhook_farewells (
  id bigint generated always as identity primary key,
  connection_id uuid not null,
  deleted_at timestamptz not null default now(),
  -- When it is tried next. A sweep that claims a farewell moves this on.
  not_before timestamptz not null default now(),
  webhook_id text,
  webhook_pending_id text,
  webhook_resource_id text,
  webhook_expiration timestamptz,
  access_token text,
  refresh_token text,
  expires_at timestamptz
);
create index if not exists calendar_webhook_farewells_not_before on public.calendar_webhook_farewells (not_before);
create index if not exists calendar_webhook_farewells_connection on public.calendar_webhook_farewells (connection_id);
alter table public.calendar_webhook_farewells enable row level security;
revoke all on public.calendar_webhook_farewells from public, anon, authenticated, service_role;
revoke all on sequence public.calendar_webhook_farewells_id_seq from public, anon, authenticated, service_role;
grant select, update (not_before), delete on public.calendar_webhook_farewells to service_role;

-- UTC: a host's expires_at may have no time zone.
create or replace function public.keep_calendar_webhook_farewell() returns trigger
  language plpgsql security definer set search_path = '' set timezone = 'UTC'
  as $$
begin
  if tg_op = 'INSERT' then
    -- A row that is put back takes its farewell back, or its current channel would be stopped.
    delete from public.calendar_webhook_farewells where connection_id = new.id;
  else
    insert into public.calendar_webhook_farewells
        (connection_id, webhook_id, webhook_pending_id, webhook_resource_id, webhook_expiration, access_token,
         refresh_token, expires_at)
      values (old.id, old.webhook_id, old.webhook_pending_id, old.webhook_resource_id, old.webhook_expiration,
              case when length(old.access_token) <= 4096 then old.access_token end,
              case when length(old.refresh_token) <= 4096 then old.refresh_token end,
              old.expires_at);
  end if;
  return null;
end
$$;

-- After the deletion: a host's own trigger may keep the row, whose channel is then still the current one.
create or replace trigger keep_calendar_webhook_farewell
  after delete on public.calendar_connections
  for each row when (
    old.provider = 'google'
    and (old.webhook_id is not null and (old.webhook_expiration is null or old.webhook_expiration > now())
         or old.webhook_pending_id is not null))
  execute function public.keep_calendar_webhook_farewell();
create or replace trigger take_calendar_webhook_farewell_back
  after insert on public.calendar_connections
  for each row when (new.webhook_id is not null or new.webhook_pending_id is not null)
  execute function public.keep_calendar_webhook_farewell();

-- Nothing here is for a page to call.
revoke execute on function public.note_calendar_connection_event(), public.keep_calendar_webhook_farewell()
  from public, anon, authenticated, service_role;

create unique index if not exists calendar_connections_webhook_token_hash
  on public.calendar_connections (webhook_token_hash);
-- Not unique: a host's own data may hold the same channel id twice.
create index if not exists calendar_connections_webhook_id on public.calendar_connections (webhook_id);

create index if not exists calendar_connections_user_id on public.calendar_connections (user_id);

-- One for each question of the sweep, in its order. They repeat its filters, or paused users' rows head every scan.
create index if not exists calendar_connections_owed_runs
  on public.calendar_connections (provider, sync_not_before nulls first)
  where is_active is true and sync_enabled is not false and sync_request_id is not null;
create index if not exists calendar_connections_due_renewals
  on public.calendar_connections (provider, webhook_not_before nulls first)
  where is_active is true and sync_enabled is not false;
create index if not exists calendar_connections_to_retire
  on public.calendar_connections (provider, id nulls first)
  where (is_active is not true or sync_enabled is false)
    and (webhook_id is not null or webhook_pending_id is not null);
-- Of the first edition, which ran for everybody once a day.
drop index if exists public.calendar_connections_to_reconcile;
-- Without the connections whose consent is dead: only their renewal goes on asking.
create index if not exists calendar_connections_due_runs
  on public.calendar_connections (provider, sync_not_before nulls first)
  where is_active is true and sync_enabled is not false and sync_request_id is not null
    and webhook_error is distinct from 'reconnect_required'
    and webhook_error is distinct from 'permission_missing'
    and webhook_error is distinct from 'blocked_by_policy';
create index if not exists calendar_connections_due_looks
  on public.calendar_connections (provider, sync_look_at nulls first)
  where is_active is true and sync_enabled is not false and sync_request_id is null
    and webhook_error is distinct from 'reconnect_required'
    and webhook_error is distinct from 'permission_missing'
    and webhook_error is distinct from 'blocked_by_policy';

-- What the functions read of a row, as one value: PostgREST takes a third of the time for it that it takes for so many
-- columns by name (1.5 ms against 4.8), and with `*` it would read whatever a host keeps beside them.
-- Without a search path of its own PostgreSQL inlines it; all that it names is qualified. A host's server may store texts
-- of any length, and one of 4 MB would leave no room in the answer for the other rows of its page: a text that is longer
-- than pages may store does not come, and its row counts as unreadable.
create or replace function public.calendar_webhook_state(connection public.calendar_connections) returns json
  language sql stable
  as $$
  select pg_catalog.json_build_object(
    'id', connection.id,
    'user_id', connection.user_id,
    'access_token', case
      when pg_catalog.length(connection.access_token) > 4096 then 'false'::pg_catalog.json
      else pg_catalog.to_json(connection.access_token)
    end,
    'refresh_token', case
      when pg_catalog.length(connection.refresh_token) > 4096 then 'false'::pg_catalog.json
      else pg_catalog.to_json(connection.refresh_token)
    end,
    'expires_at', connection.expires_at,
    'calendar_id', case
      when pg_catalog.length(connection.calendar_id) > 4096 then 'false'::pg_catalog.json
      else pg_catalog.to_json(connection.calendar_id)
    end,
    'is_active', connection.is_active,
    'webhook_id', connection.webhook_id,
    'webhook_expiration', connection.webhook_expiration,
    'sync_enabled', connection.sync_enabled,
    'last_sync_at', connection.last_sync_at,
    'webhook_token', connection.webhook_token,
    'webhook_source', connection.webhook_source,
    'webhook_resource_id', connection.webhook_resource_id,
    'webhook_pending_id', connection.webhook_pending_id,
    'webhook_opened_at', connection.webhook_opened_at,
    'webhook_confirmed_id', connection.webhook_confirmed_id,
    'webhook_message_number', connection.webhook_message_number,
    'webhook_lease_until', connection.webhook_lease_until,
    'webhook_not_before', connection.webhook_not_before,
    'webhook_attempts', connection.webhook_attempts,
    'webhook_error', connection.webhook_error,
    'sync_request_id', connection.sync_request_id,
    'sync_lease_until', connection.sync_lease_until,
    'sync_not_before', connection.sync_not_before,
    'sync_attempts', connection.sync_attempts,
    'sync_streak', connection.sync_streak,
    'sync_seen', connection.sync_seen,
    'sync_look_at', connection.sync_look_at)
$$;
revoke execute on function public.calendar_webhook_state(public.calendar_connections)
  from public, anon, authenticated, service_role;
grant execute on function public.calendar_webhook_state(public.calendar_connections) to service_role;

-- The only place that decides a status; the functions, the page and operators read it. The caller's own rights
-- apply (security_invoker), so Row Level Security of the table does too.
create or replace view public.calendar_connection_status with (security_invoker = true) as
  select
    id,
    user_id,
    calendar_id,
    case
      when is_active is not true then 'disconnected'
      when sync_enabled is false then 'paused'
      when webhook_error in ('reconnect_required', 'permission_missing', 'blocked_by_policy') then 'reconnect_required'
      when webhook_error in ('push_not_supported', 'calendar_not_found', 'no_calendar') then 'unsupported'
      when webhook_id is null then 'not_set_up'
      when webhook_expiration is null or webhook_expiration <= now() then 'expired'
      -- Google sends a first message as soon as a channel opens: five minutes of silence mean it cannot reach us.
      when webhook_confirmed_id is distinct from webhook_id and webhook_message_number = 0
        and webhook_opened_at < now() - interval '5 minutes' then 'unconfirmed'
      when webhook_expiration < now() + interval '24 hours' then 'expiring'
      else 'active'
    end as status,
    webhook_id,
    webhook_expiration,
    webhook_error,
    case
      when sync_request_id is null then 'idle'
      when sync_error is not null then 'failing'
      else 'pending'
    end as sync_status,
    last_sync_at,
    sync_error,
    -- At the end: a view that is there takes new columns nowhere else.
    webhook_error_reason,
    calendar_name,
    webhook_notified_at
  from public.calendar_connections
  where provider = 'google';

revoke all on public.calendar_connection_status from public, anon, authenticated, service_role;
grant select on public.calendar_connection_status to authenticated, service_role;
