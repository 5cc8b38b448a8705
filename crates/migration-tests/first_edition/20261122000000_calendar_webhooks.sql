-- Google Calendar webhooks: the columns, trigger, indexes and view that the three Edge Functions work on.
-- Applies to an empty project, to a live table with rows, and twice. A table that exists keeps its grants,
-- policies and data; only a table created here gets Row Level Security and column privileges.

do $$
declare
  fresh constant boolean := to_regclass('public.calendar_connections') is null;
  -- By the one of our columns whose name a host is least likely to use.
  applied constant boolean := exists (
    select from pg_catalog.pg_attribute
      where attrelid = to_regclass('public.calendar_connections') and attname = 'sync_streak' and not attisdropped);
  unfit text;
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

  -- A provider may be of any type, and a domain of one that fits. What may be shared with a host that has a column of
  -- that name takes nulls; any other of our names that is there before the first application is the host's for
  -- something else.
  select string_agg(
      case when attname is null then name || ' is missing'
           when whose = 'ours' and not applied then name || ' is the name of a column that this migration adds'
           when is_of_another_type then format('%s is %s, not %s', name, format_type(atttypid, atttypmod), needed[1])
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
                 (32, 'sync_error', '{text}', 'shared'))
        as expected (position, name, needed, whose)
      left join pg_catalog.pg_attribute
        on attrelid = 'public.calendar_connections'::regclass and attname = name and not attisdropped
      left join pg_catalog.pg_type as type on type.oid = atttypid
      -- varchar, citext and the like serve as well.
      cross join lateral (select case when needed = '{text}' then typcategory <> 'S'
                                      else type.oid <> all (needed) and typbasetype <> all (needed) end)
        as compared (is_of_another_type)
    where case
      when attname is null then whose = 'host'
      when whose = 'ours' and not applied then true
      else is_of_another_type
        or whose = 'shared' and attnotnull and name not in ('sync_enabled', 'last_sync_at')
    end;
  if unfit is not null then
    raise exception 'public.calendar_connections exists, but its columns do not fit: %', unfit
      using hint = 'Add what is missing, convert the rest, and rename columns of your own that have a name of ours (see '
        'the README, "The table"), then apply this migration again. Seconds since 1970: alter table '
        'public.calendar_connections alter column expires_at type timestamptz using to_timestamp(expires_at). '
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
    add column if not exists sync_error text;

  -- Rows from before the trigger. No update, which the host's own triggers would take for a change by a user.
  if exists (select from public.calendar_connections where webhook_token_hash is null or webhook_token_hash = '') then
    alter table public.calendar_connections
      alter column webhook_token_hash type text
        using encode(sha256(convert_to(webhook_token, 'UTF8')), 'hex'),
      alter column webhook_source type text
        using encode(sha256(convert_to(
          coalesce(refresh_token, '') || E'\n' || coalesce(calendar_id, 'primary'), 'UTF8')), 'hex');
  end if;
  alter table public.calendar_connections
    alter column webhook_token_hash set not null,
    alter column webhook_source set not null,
    -- The trigger writes both whatever an insert says; without a default `supabase gen types` would require them of it.
    alter column webhook_token_hash set default '',
    alter column webhook_source set default '';

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
                  webhook_message_number, webhook_error, sync_request_id, sync_error)
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

  -- A new consent, another calendar, or a resumed connection without a channel: a renewal is due at once.
  if tg_op = 'UPDATE' and not rotated and (
    new.webhook_source is distinct from old.webhook_source
    or (new.webhook_id is null
        and (new.is_active is distinct from old.is_active or new.sync_enabled is distinct from old.sync_enabled))
  ) then
    new.webhook_not_before := 'epoch';
    new.webhook_attempts := 0;
    new.webhook_error := null;
    if new.webhook_pending_id is null then
      new.webhook_lease_until := 'epoch';
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
create index if not exists calendar_connections_to_reconcile
  on public.calendar_connections (provider, last_sync_at nulls first)
  where is_active is true and sync_enabled is not false and sync_request_id is null;

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
      when webhook_error = 'reconnect_required' then 'reconnect_required'
      when webhook_error in ('push_not_supported', 'calendar_not_found') then 'unsupported'
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
    sync_error
  from public.calendar_connections
  where provider = 'google';

revoke all on public.calendar_connection_status from public, anon, authenticated, service_role;
grant select on public.calendar_connection_status to authenticated, service_role;
