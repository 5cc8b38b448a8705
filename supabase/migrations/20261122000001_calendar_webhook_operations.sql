-- Google Calendar webhooks: what operates them. The schedule that calls refresh-calendar-webhook, what each sweep did,
-- and one row that tells how everything is. Needs the migration before it; pg_cron, pg_net and Vault are needed only
-- by schedule_calendar_webhook_refresh. Applies twice, and touches no table of the host's.

-- What refresh-calendar-webhook did, one row a sweep. Without a policy nobody but the service reads or writes it.
create table if not exists public.calendar_webhook_sweeps (
  id bigint generated always as identity primary key,
  finished_at timestamptz not null default now(),
  duration_ms integer not null,
  renewed integer not null,
  stopped integer not null,
  synced integer not null,
  reconciled integer not null,
  -- [{"connection_id", "code"}]: renewals and runs.
  failed jsonb not null,
  -- Runs that were owed and due when it ended.
  remaining integer not null
);
alter table public.calendar_webhook_sweeps
  -- Looks, runs that a look made needless, and changes that no notification had told of.
  add column if not exists looked integer not null default 0,
  add column if not exists settled integer not null default 0,
  add column if not exists missed integer not null default 0,
  -- For how long the oldest of what was due then had been due; null = nothing was.
  add column if not exists oldest_due_look_age interval,
  add column if not exists oldest_due_run_age interval;
create index if not exists calendar_webhook_sweeps_finished_at on public.calendar_webhook_sweeps (finished_at);
alter table public.calendar_webhook_sweeps enable row level security;
revoke all on public.calendar_webhook_sweeps from public, anon, authenticated, service_role;
revoke all on sequence public.calendar_webhook_sweeps_id_seq from public, anon, authenticated, service_role;
grant select, insert, delete on public.calendar_webhook_sweeps to service_role;

-- What waits to be done, in one row. "Due" leaves out the connections whose consent is dead: nothing is done for them
-- until it is given anew.
create or replace view public.calendar_webhook_backlog with (security_invoker = true) as
  with
    looks as (
      select count(*) as due, min(sync_look_at) as since
        from public.calendar_connections
        where provider = 'google' and is_active is true and sync_enabled is not false and sync_request_id is null
          and webhook_error is distinct from 'reconnect_required'
          and webhook_error is distinct from 'permission_missing'
          and webhook_error is distinct from 'blocked_by_policy'
          and sync_look_at <= now()
          -- A channel that is due, or is being opened, brings its own look, unless it is due for long.
          and (webhook_not_before > now() or webhook_not_before < now() - interval '15 minutes')
          and webhook_lease_until < now()),
    runs as (
      -- When a run may start is 'epoch' for most: it is not due before it is owed.
      select count(*) as due, min(greatest(sync_not_before, sync_owed_since)) as since
        from public.calendar_connections
        where provider = 'google' and is_active is true and sync_enabled is not false and sync_request_id is not null
          and webhook_error is distinct from 'reconnect_required'
          and webhook_error is distinct from 'permission_missing'
          and webhook_error is distinct from 'blocked_by_policy'
          and sync_not_before <= now() and sync_lease_until < now()),
    renewals as (
      select count(*) as due, min(webhook_not_before) as since
        from public.calendar_connections
        where provider = 'google' and is_active is true and sync_enabled is not false
          and webhook_not_before <= now() and webhook_lease_until < now()),
    retirements as (
      select count(*) as due
        from public.calendar_connections
        where provider = 'google' and (is_active is not true or sync_enabled is false)
          and (webhook_id is not null or webhook_pending_id is not null)),
    farewells as (select count(*) as due from public.calendar_webhook_farewells where not_before <= now())
  select
    looks.due as due_looks,
    now() - looks.since as oldest_due_look_age,
    runs.due as due_runs,
    now() - runs.since as oldest_due_run_age,
    -- At the end: a view that is there takes new columns nowhere else.
    renewals.due as due_renewals,
    now() - renewals.since as oldest_due_renewal_age,
    retirements.due as due_retirements,
    farewells.due as due_farewells
  from looks, runs, renewals, retirements, farewells;
revoke all on public.calendar_webhook_backlog from public, anon, authenticated, service_role;
grant select on public.calendar_webhook_backlog to service_role;

create or replace function public.measure_calendar_webhook_backlog() returns trigger
  language plpgsql set search_path = ''
  as $$
begin
  select backlog.oldest_due_look_age, backlog.oldest_due_run_age
    into new.oldest_due_look_age, new.oldest_due_run_age
    from public.calendar_webhook_backlog as backlog;
  return new;
end
$$;
create or replace trigger measure_calendar_webhook_backlog
  before insert on public.calendar_webhook_sweeps
  for each row execute function public.measure_calendar_webhook_backlog();

-- Also what else is kept for a while only. Farewells are deleted by the sweep: these are those that it could not stop.
create or replace function public.forget_old_calendar_webhook_sweeps() returns trigger
  language plpgsql security definer set search_path = ''
  as $$
begin
  delete from public.calendar_webhook_sweeps where finished_at < now() - interval '7 days';
  delete from public.calendar_connection_events where at < now() - interval '30 days';
  delete from public.calendar_webhook_farewells where deleted_at < now() - interval '1 day';
  return null;
end
$$;
create or replace trigger forget_old_calendar_webhook_sweeps
  after insert on public.calendar_webhook_sweeps
  for each statement execute function public.forget_old_calendar_webhook_sweeps();

-- pg_net's numbers of the schedule's requests: its answers carry nothing else that tells whose they are.
create table if not exists public.calendar_webhook_requests (
  requested_at timestamptz not null default now(),
  id bigint not null,
  primary key (requested_at, id)
);
alter table public.calendar_webhook_requests enable row level security;
revoke all on public.calendar_webhook_requests from public, anon, authenticated, service_role;
-- By which refresh-calendar-webhook knows that its own database asks, and not a copy of it that brought the job along.
grant select on public.calendar_webhook_requests to service_role;

-- For the questions of an operator. Every channel is in the first one; the others hold what is wrong, and cost nothing.
create index if not exists calendar_connections_expiration
  on public.calendar_connections (provider, webhook_expiration) where webhook_expiration is not null;
create index if not exists calendar_connections_renewal_error
  on public.calendar_connections (provider, webhook_error) where webhook_error is not null;
create index if not exists calendar_connections_run_error
  on public.calendar_connections (provider, sync_error) where sync_error is not null;
create index if not exists calendar_connections_unconfirmed
  on public.calendar_connections (provider, webhook_opened_at)
  where webhook_id is not null and webhook_message_number = 0 and webhook_confirmed_id is distinct from webhook_id;

-- What the job runs, as its owner: as many sweeps as the backlog needs, each told its part of it. URL and key are read
-- from Vault each time: cron.job shows neither, and a secret that is changed there counts at once.
create or replace function public.request_calendar_webhook_refresh(parallel integer) returns void
  language plpgsql set search_path = ''
  as $$
declare
  project_url constant text := (
    select decrypted_secret from vault.decrypted_secrets where name = 'calendar_webhook_project_url');
  -- The end of a line may have been pasted with the key.
  secret_key constant text := (
    select btrim(decrypted_secret, E' \t\r\n') from vault.decrypted_secrets where name = 'calendar_webhook_secret_key');
  -- What one sweep does of each at most.
  sweeps constant integer := (
    select least(parallel, greatest(
        1, ceil(due_runs / 25.0), ceil(due_looks / 50.0), ceil(due_renewals / 200.0), ceil(due_retirements / 200.0),
        ceil(due_farewells / 200.0)))
      from public.calendar_webhook_backlog);
begin
  if project_url is null or secret_key is null then
    raise exception 'Vault lacks calendar_webhook_project_url or calendar_webhook_secret_key'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Call public.schedule_calendar_webhook_refresh(project_url, secret_key) again.';
  end if;
  -- Nested, for a statement that names the table fails where it may not be read.
  if has_table_privilege('net._http_response', 'select') then
    if 409 = (
      select response.status_code
        from public.calendar_webhook_requests as request
          join net._http_response as response on response.id = request.id and response.created >= request.requested_at
        order by request.requested_at desc, request.id desc limit 1)
    then
      raise exception 'the functions at % work on another database: this one is a copy of theirs', project_url
        using errcode = 'object_not_in_prerequisite_state',
              hint = 'Call public.schedule_calendar_webhook_refresh(project_url, secret_key) with address and key of '
                'this project, or public.unschedule_calendar_webhook_refresh().';
    end if;
  end if;

  insert into public.calendar_webhook_requests (id)
    select net.http_post(
        url := project_url || '/functions/v1/refresh-calendar-webhook',
        body := jsonb_build_object('part', part, 'parts', sweeps),
        headers := jsonb_build_object('Content-Type', 'application/json', 'apikey', secret_key)
          -- A legacy key is a JWT, which the gateway wants here. A key of the current kind is none.
          || case when secret_key like 'sb\_%' then '{}'::jsonb
                  else jsonb_build_object('Authorization', 'Bearer ' || secret_key) end
          || jsonb_build_object('X-Requested-At',
               to_char(now() at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')),
        -- A sweep ends within 70 s.
        timeout_milliseconds := 80000)
      from generate_series(0, sweeps - 1) as part;
  -- pg_net forgets its answers after 6 hours, unless it is told otherwise.
  delete from public.calendar_webhook_requests where requested_at < now() - interval '6 hours';
end
$$;

-- Has refresh-calendar-webhook called every so many minutes, by that many requests at once if the backlog needs them.
-- Called again it replaces schedule and secrets; without a key, the one in Vault stays. It runs as its owner even if a
-- superuser calls it, because pg_cron shows and runs a job for its owner only.
create or replace function public.schedule_calendar_webhook_refresh(
    project_url text, secret_key text default null, every interval default '1 minute', parallel integer default 5)
  returns bigint
  language plpgsql security definer set search_path = ''
  as $$
declare
  is_secret boolean;
  payload text;
  seconds constant numeric := extract(epoch from every);
  minutes integer;
  missing text;
  secret record;
  level_of_statements constant text := current_setting('log_min_error_statement');
  level constant text := current_setting('log_min_messages');
  job bigint;
begin
  -- PostgreSQL's log quotes a statement that fails, and with it the key. Of these two settings a superuser may change
  -- the first, and the owner of a hosted project the second, with which errors are not logged at all.
  begin
    set local log_min_error_statement = panic;
  exception when insufficient_privilege then
    begin
      set local log_min_messages = fatal;
    exception when insufficient_privilege then
      null;
    end;
  end;

  -- http where it leaves no private network, by the rule of the functions for their own addresses.
  if project_url is null
    or project_url !~* ('^(https://[a-z0-9.-]+|http://('
      || '[a-z][a-z0-9_-]*|[a-z0-9._-]+\.(localhost|local|internal|test|home\.arpa)'
      || '|(10|127)(\.[0-9]{1,3}){3}|(192\.168|169\.254|172\.(1[6-9]|2[0-9]|3[01]))(\.[0-9]{1,3}){2}'
      || '|\[(::1|(f[cd][0-9a-f]{2}|fe[89ab][0-9a-f]):[0-9a-f:]+)\]))(:[0-9]{1,5})?(/[^?#[:space:]]*)?$')
    or project_url ~ '/v1(/|$)'
    -- The dashboard's.
    or project_url ~* '^https://([a-z0-9-]+\.)*supabase\.(com|io)(/|$)'
  then
    raise exception 'project_url must be the address of the project, such as https://abcdefghijklmnopqrst.supabase.co'
      using errcode = 'invalid_parameter_value',
            hint = 'https (http only within a private network), without user, query and /functions/v1; not the dashboard''s.';
  end if;
  if project_url ~* '^https?://(localhost|127\.|\[::1\])' then
    raise notice '% is the machine or container of the database itself', project_url
      using hint = 'If the functions run in another container, give the address of the gateway as it is there: '
        'http://kong:8000, or http://host.docker.internal:54321.';
  end if;
  select string_agg(extension, ', ') into missing
    from (values ('pg_cron', 'cron.job'), ('pg_net', 'net.http_request_queue'), ('supabase_vault', 'vault.secrets'))
      as needed (extension, relation)
    where to_regclass(relation) is null;
  if missing is not null then
    raise exception 'extensions that are not enabled: %', missing
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Enable them in the dashboard (Database > Extensions), or run "create extension" for each.';
  end if;

  if secret_key is null then
    secret_key := (
      select btrim(decrypted_secret, E' \t\r\n') from vault.decrypted_secrets where name = 'calendar_webhook_secret_key');
    if secret_key is null then
      raise exception 'Vault has no secret calendar_webhook_secret_key'
        using errcode = 'object_not_in_prerequisite_state',
              hint = 'Add a secret key of the project by that name in the dashboard (Integrations > Vault), then call '
                'this again.';
    end if;
  end if;
  is_secret := secret_key ~ '^[!-~]+$' and secret_key not like 'sb\_publishable\_%';
  -- A legacy key is a JWT that says whose it is: the anon key looks alike, and every sweep would be refused.
  if secret_key ~ '^[^.]*[.][^.]*[.][^.]*$' then
    begin
      payload := translate(split_part(secret_key, '.', 2), '-_', '+/');
      payload := convert_from(decode(rpad(payload, (length(payload) + 3) / 4 * 4, '='), 'base64'), 'UTF8');
      is_secret := is_secret and payload::jsonb ->> 'role' = 'service_role';
    exception when others then
      is_secret := false;
    end;
  end if;
  if is_secret is not true then
    raise exception 'secret_key must be a secret key of the project: sb_secret_…, or the legacy service_role key'
      using errcode = 'invalid_parameter_value',
            hint = 'One line without spaces, from the dashboard''s API keys. A publishable or anon key is refused.';
  end if;
  -- In this order: what follows counts in integers.
  if every is null or seconds not between 60 and 3540 or seconds % 60 <> 0 then
    raise exception 'every must be a whole number of minutes from 1 to 59, not %', coalesce(every::text, 'null')
      using errcode = 'invalid_parameter_value';
  end if;
  if parallel is null or parallel not between 1 and 20 then
    raise exception 'parallel must be from 1 to 20, not %', coalesce(parallel::text, 'null')
      using errcode = 'invalid_parameter_value';
  end if;

  for secret in
    select name, value, id
      from (values ('calendar_webhook_project_url', rtrim(project_url, '/')),
                   ('calendar_webhook_secret_key', secret_key)) as wanted (name, value)
        left join vault.secrets using (name)
  loop
    if secret.id is null then
      perform vault.create_secret(secret.value, secret.name, 'Used by the job refresh-calendar-webhook');
    else
      perform vault.update_secret(secret.id, secret.value);
    end if;
  end loop;

  -- What became of them was about the address and key of before.
  delete from public.calendar_webhook_requests;
  minutes := seconds / 60;
  if 60 % minutes <> 0 then
    raise notice 'cron counts anew each hour: every % minutes are the minutes 0, %, …, and the last gap is shorter',
      minutes, minutes;
  end if;
  -- Not over the one that is there, which may have been deactivated.
  perform cron.unschedule(jobid) from cron.job where jobname = 'refresh-calendar-webhook';
  job := cron.schedule(
    'refresh-calendar-webhook',
    case when minutes = 1 then '* * * * *' else format('*/%s * * * *', minutes) end,
    format('select public.request_calendar_webhook_refresh(%s)', parallel));

  -- What follows in this transaction is logged as before.
  if current_setting('log_min_error_statement') <> level_of_statements then
    perform set_config('log_min_error_statement', level_of_statements, true);
  end if;
  if current_setting('log_min_messages') <> level then
    perform set_config('log_min_messages', level, true);
  end if;
  return job;
end
$$;

create or replace function public.unschedule_calendar_webhook_refresh() returns void
  language plpgsql security definer set search_path = ''
  as $$
declare
  found_any boolean := false;
begin
  if to_regclass('cron.job') is not null then
    perform cron.unschedule(jobid) from cron.job where jobname = 'refresh-calendar-webhook';
    found_any := found;
  end if;
  if to_regclass('vault.secrets') is not null then
    delete from vault.secrets where name in ('calendar_webhook_project_url', 'calendar_webhook_secret_key');
    found_any := found_any or found;
  end if;
  if not found_any then
    raise notice 'refresh-calendar-webhook is not scheduled';
  end if;
end
$$;

-- The job and what became of it; null = there is none. The service may not read the schemas cron and net: this tells it
-- what it needs, and no more.
create or replace function public.calendar_webhook_schedule() returns jsonb
  language plpgsql stable security definer set search_path = ''
  as $$
declare
  job record;
  schedule jsonb;
  answer jsonb;
begin
  if to_regclass('cron.job') is null then
    return null;
  end if;
  select * into job from cron.job where jobname = 'refresh-calendar-webhook' order by jobid desc limit 1;
  if not found then
    return null;
  end if;
  select jsonb_build_object(
      -- A schedule that was changed by hand is told as cron writes it.
      'every', coalesce(
        case when job.schedule = '* * * * *' then interval '1 minute' end::text,
        make_interval(mins => substring(job.schedule from '^\*/([0-9]+) \* \* \* \*$')::integer)::text,
        job.schedule),
      'parallel', substring(job.command from '\(([0-9]+)\)$')::integer,
      'active', job.active,
      'last_run_at', run.start_time,
      'last_run_status', run.status,
      'last_run_message', run.return_message)
    into schedule
    from (select) as one_row
      left join lateral (
        select * from cron.job_run_details as details
          -- Other jobs' runs are many, and only runid is indexed.
          where details.jobid = job.jobid and runid > (select max(runid) - 100000 from cron.job_run_details)
          order by runid desc limit 1) as run on true;

  begin
    if to_regclass('net._http_response') is not null then
      select jsonb_build_object(
          'last_answer_status', response.status_code,
          'last_answer_error',
            coalesce(response.error_msg, case when response.status_code >= 300 then left(response.content, 500) end),
          'failed_answers', (
            select count(*)
              from public.calendar_webhook_requests as asked
                join net._http_response as told on told.id = asked.id and told.created >= asked.requested_at
              where asked.requested_at > now() - interval '1 hour' and told.status_code >= 500))
        into answer
        from public.calendar_webhook_requests as request
          join net._http_response as response on response.id = request.id and response.created >= request.requested_at
        order by request.requested_at desc, request.id desc limit 1;
    end if;
  exception when insufficient_privilege then
    answer := null;
  end;
  return schedule
    || coalesce(answer, '{"last_answer_status": null, "last_answer_error": null, "failed_answers": 0}');
exception when insufficient_privilege then
  return null;
end
$$;

-- What keeps the functions from working on the database, each with the SQL that mends it: privileges that are missing
-- (a host's own table has none for service_role since Supabase grants none by itself), triggers of ours that are missing
-- or disabled, columns of our tables that nothing fills, tokens that every user may read and, with try_write: connections
-- whose provider is Google by another spelling, channels that are left on connections of other providers, times that lie
-- too far ahead, why a notification could not be stored, whether the status view shows a connection, and why a user could
-- not see the user's own. Both attempts are undone.
create or replace function public.calendar_webhook_obstacles(try_write boolean default false)
  returns table (obstacle text, what text, remedy text)
  language plpgsql set search_path = '' set lock_timeout = '2s'
  as $$
declare
  is_ahead text;
  put_right text;
  number bigint;
  tried uuid;
  asked uuid := gen_random_uuid();
  kept uuid;
  opened text;
  owner uuid;
  is_seen boolean;
  state text;
  message text;
  -- What the status view reads.
  shown constant text[] := '{id, user_id, provider, calendar_id, is_active, webhook_id, webhook_expiration,
    webhook_opened_at, webhook_confirmed_id, webhook_message_number, webhook_error, webhook_error_reason,
    webhook_notified_at, calendar_name, sync_enabled, sync_request_id, sync_error, last_sync_at}';
  own_rows constant text := 'alter table public.calendar_connections enable row level security; create policy own_rows '
    'on public.calendar_connections for select to authenticated using ((select auth.uid()) = user_id)';
  for_users constant boolean := has_any_column_privilege('authenticated', 'public.calendar_connections', 'select');
begin
  return query
    with
      needed (role, relation, privilege, columns) as (
        select to_regrole(name)::oid, relation, privilege, columns::text[]
          from (values
            ('service_role', 'calendar_connections', 'select', null),
            ('service_role', 'calendar_connections', 'update', null),
            ('service_role', 'calendar_connection_status', 'select', null),
            ('service_role', 'calendar_connection_events', 'select', null),
            ('service_role', 'calendar_webhook_farewells', 'select', null),
            ('service_role', 'calendar_webhook_farewells', 'update', '{not_before}'),
            ('service_role', 'calendar_webhook_farewells', 'delete', null),
            ('service_role', 'calendar_webhook_requests', 'select', null),
            ('service_role', 'calendar_webhook_sweeps', 'select', null),
            ('service_role', 'calendar_webhook_sweeps', 'insert', null),
            ('service_role', 'calendar_webhook_backlog', 'select', null),
            ('service_role', 'calendar_webhook_health', 'select', null),
            ('authenticated', 'calendar_connection_status', 'select', null),
            ('authenticated', 'calendar_connection_events', 'select', null)) as fixed (name, relation, privilege, columns)
        union all
        -- None of it may mean that pages are not to read the table at all.
        select 'authenticated'::regrole, 'calendar_connections', 'select', shown where for_users
        union all
        -- For the owners of those that act in their own name.
        select proowner, relation, privilege, null
          from (values
            ('note_calendar_connection_event', 'calendar_connection_events', 'select'),
            ('note_calendar_connection_event', 'calendar_connection_events', 'insert'),
            ('note_calendar_connection_event', 'calendar_connection_events', 'delete'),
            ('keep_calendar_webhook_farewell', 'calendar_webhook_farewells', 'insert'),
            ('keep_calendar_webhook_farewell', 'calendar_webhook_farewells', 'delete'),
            ('forget_old_calendar_webhook_sweeps', 'calendar_webhook_sweeps', 'delete'),
            ('request_calendar_webhook_refresh', 'calendar_webhook_requests', 'insert')) as of_owners (name, relation, privilege)
            join pg_catalog.pg_proc on proname = name and pronamespace = 'public'::regnamespace),
      lacking as (
        select role, needed.relation, privilege, attributes.names, columns
          from needed cross join lateral (
            select array_agg(attname::text order by attnum) as names
              from pg_catalog.pg_attribute
              where attrelid = to_regclass('public.' || relation) and attnum > 0 and not attisdropped
                and attname = any (coalesce(columns, array[attname::text]))
                and not case privilege
                  when 'delete' then has_table_privilege(role, attrelid, privilege)
                  else has_column_privilege(role, attrelid, attnum, privilege) end) as attributes
          where role is not null)
    select
        'privilege_missing',
        format('%s may not %s public.%s', role::regrole, privilege, relation),
        -- The app's own functions connect and disconnect users by the same key.
        case when (relation, role) = ('calendar_connections', 'service_role'::regrole)
          then 'grant select, insert, update, delete on public.calendar_connections to service_role'
          else format('grant %s%s on public.%s to %s', privilege,
            case when columns is not null then format(' (%s)', array_to_string(names, ', ')) end, relation, role::regrole)
        end
      from lacking where names is not null
    union all
    select 'privilege_missing', format('%s may not use the schema public', role), 'grant usage on schema public to ' || role
      from (values ('service_role'), ('authenticated')) as of_pages (role)
      where not has_schema_privilege(role, 'public', 'usage')
    union all
    select 'privilege_missing', 'service_role may not execute public.calendar_webhook_state',
        'grant execute on function public.calendar_webhook_state to service_role'
      where not has_function_privilege(
        'service_role', 'public.calendar_webhook_state(public.calendar_connections)', 'execute');

  return query
    select 'security_off',
        format('row level security of public.calendar_connections is off, and %s may read every user''s tokens', role),
        'alter table public.calendar_connections enable row level security'
          || case when not exists (select from pg_catalog.pg_policy where polrelid = 'public.calendar_connections'::regclass)
            then '; create policy own_rows on public.calendar_connections to authenticated using ((select auth.uid()) = user_id)'
            else '' end
      from (values ('anon'), ('authenticated')) as of_pages (role)
      where not (select relrowsecurity from pg_catalog.pg_class where oid = 'public.calendar_connections'::regclass)
        and exists (
          select from pg_catalog.pg_attribute
            where attrelid = 'public.calendar_connections'::regclass
              and attname in ('access_token', 'refresh_token', 'webhook_token')
              and has_column_privilege(role, attrelid, attnum, 'select'))
    union all
    select 'security_off',
        format('the policy %I of public.calendar_connections lets %s read every user''s tokens', polname, role),
        format('alter policy %I on public.calendar_connections using ((select auth.uid()) = user_id)%s', polname,
          case when polwithcheck is not null then ' with check ((select auth.uid()) = user_id)' end)
      from (values ('anon'), ('authenticated')) as of_pages (role)
        join pg_catalog.pg_policy on polroles && array[0::oid, to_regrole(role)::oid]
      where polrelid = 'public.calendar_connections'::regclass and polpermissive and polcmd in ('r', '*')
        and pg_get_expr(polqual, polrelid) = 'true'
        and (select relrowsecurity from pg_catalog.pg_class where oid = polrelid)
        and not exists (
          select from pg_catalog.pg_policy as other
            where other.polrelid = pg_policy.polrelid and not other.polpermissive and other.polcmd in ('r', '*')
              and other.polroles && array[0::oid, to_regrole(role)::oid])
        and exists (
          select from pg_catalog.pg_attribute
            where attrelid = polrelid and attname in ('access_token', 'refresh_token', 'webhook_token')
              and has_column_privilege(role, attrelid, attnum, 'select'))
    union all
    select 'security_off',
        'public.calendar_connection_status is read with its owner''s rights, and shows every user''s connections to all',
        'alter view public.calendar_connection_status set (security_invoker = true)'
      from pg_catalog.pg_class
      where oid = to_regclass('public.calendar_connection_status') and not exists (
        select from pg_options_to_table(reloptions) where option_name = 'security_invoker' and option_value::boolean)
    union all
    select 'rows_hidden', 'service_role does not bypass row level security, so it sees no rows',
        'as a superuser: alter role service_role bypassrls'
      from pg_catalog.pg_roles where rolname = 'service_role' and not rolbypassrls and not rolsuper;

  return query
    select
        case when tgname is null then 'trigger_missing' else 'trigger_disabled' end,
        format('the trigger %s of public.%s is %s', name, relation,
          case when tgname is null then 'missing' else 'disabled' end),
        case when tgname is null then 'apply both migrations again'
          else format('alter table public.%s enable%s trigger %s', relation, mode, name) end
      from (values
          ('calendar_connections', 'keep_calendar_webhook_columns', ' always'),
          ('calendar_connections', 'note_calendar_connection_arrival', ''),
          ('calendar_connections', 'note_calendar_connection_event', ''),
          ('calendar_connections', 'note_calendar_connection_departure', ''),
          ('calendar_connections', 'keep_calendar_webhook_farewell', ''),
          ('calendar_connections', 'take_calendar_webhook_farewell_back', ''),
          ('calendar_webhook_sweeps', 'measure_calendar_webhook_backlog', ''),
          ('calendar_webhook_sweeps', 'forget_old_calendar_webhook_sweeps', '')) as ours (relation, name, mode)
        left join pg_catalog.pg_trigger on tgrelid = to_regclass('public.' || relation) and tgname = name
      where tgname is null or tgenabled not in ('O', 'A');

  -- Whatever writes to these tables names our columns alone.
  return query
    select 'column_unfilled',
        format('public.%s has a column %I that takes no null and has no default, so that nothing can be stored there',
          relation, attname),
        format('alter table public.%s alter column %I drop not null', relation, attname)
      from (values
          ('calendar_connection_events', '{connection_id, event}'::text[]),
          ('calendar_webhook_farewells', '{connection_id}'),
          ('calendar_webhook_requests', '{id}'),
          ('calendar_webhook_sweeps', '{duration_ms, renewed, stopped, synced, reconciled, failed, remaining}'))
          as ours (relation, filled)
        join pg_catalog.pg_attribute on attrelid = to_regclass('public.' || relation)
      where attnum > 0 and not attisdropped and attnotnull and not atthasdef and attidentity = '' and attname <> all (filled);

  if try_write then
    if has_column_privilege('public.calendar_connections', 'provider', 'select') then
      return query
        select
            'provider_misspelt',
            format('connections whose provider is %L, not ''google'', are ignored: %s', provider::text, count(*)),
            format('update public.calendar_connections set provider = ''google'' where provider::text = %L', provider::text)
          from public.calendar_connections
          where provider <> 'google' and lower(btrim(provider::text)) = 'google'
          group by provider;
    end if;

    begin
      -- What these functions opened: a host may keep another provider's ids in the same column.
      return query
        select
            'channel_left',
            format('connections whose provider is %L, not ''google'', still have a channel of Google''s: %s',
              provider::text, count(*)),
            'if they are Google''s, set their provider to ''google''; if not, set their webhook_id to null: Google sends to '
              'the channel until it expires'
          from public.calendar_connections
          where provider <> 'google' and lower(btrim(provider::text)) <> 'google'
            and webhook_id is not null and webhook_opened_at > 'epoch' and webhook_expiration > now()
          group by provider;

      -- A worker whose clock ran ahead leaves such times behind. The functions write none that lie so far ahead.
      select string_agg(format('%I > now() + interval %L', name, longest), ' or '),
          string_agg(format('%1$I = case when %1$I > now() + interval %2$L then now() else %1$I end', name, longest), ', ')
        into is_ahead, put_right
        from (values ('webhook_lease_until', '1 hour'), ('sync_lease_until', '1 hour'), ('webhook_opened_at', '1 hour'),
                     ('sync_not_before', '1 day'), ('sync_look_at', '2 days'), ('webhook_not_before', '30 days'))
          as times (name, longest);
      execute format(
        'select count(*) from public.calendar_connections where provider = ''google'' and is_active is true '
          'and sync_enabled is not false and (%s)', is_ahead) into number;
      if number > 0 then
        return query
          select
            'time_ahead',
            format('connections with a time so far ahead that only a wrong clock can have written it: %s', number),
            format('update public.calendar_connections set %s where provider = ''google'' and (%s)', put_right, is_ahead);
      end if;
    exception
      -- What is missing or not allowed has been told.
      when insufficient_privilege or undefined_column then
        null;
    end;

    begin
      -- What is not allowed has been told.
      if exists (
        select from (values ('id', 'select'), ('user_id', 'select'), ('provider', 'select'), ('is_active', 'select'),
                            ('webhook_message_number', 'select'), ('sync_request_id', 'select'), ('webhook_id', 'select'),
                            ('webhook_message_number', 'update'), ('sync_request_id', 'update'),
                            ('webhook_notified_at', 'update'), ('webhook_id', 'update')) as used (name, privilege)
          where not has_column_privilege('public.calendar_connections', name, privilege))
      then
        raise exception using errcode = 'CWOK0';
      end if;
      -- Policies may hide what is disconnected.
      select id, user_id into tried, owner
        from public.calendar_connections where provider = 'google' and is_active is true limit 1 for update skip locked;
      if tried is null then
        select id into tried from public.calendar_connections where provider = 'google' limit 1 for update skip locked;
      end if;
      update public.calendar_connections
        set webhook_message_number = webhook_message_number + 1, sync_request_id = asked, webhook_notified_at = now(),
          webhook_id = asked
        where id = tried
        returning sync_request_id, webhook_id into kept, opened;
      if tried is not null and kept is distinct from asked then
        raise exception 'sync_request_id is not stored, though nothing is refused';
      elsif tried is not null and opened is distinct from asked::text then
        raise exception 'webhook_id is not stored, though nothing is refused';
      end if;
      raise exception using errcode = 'CWOK0';
    exception
      -- It worked, and is undone; or the table is busy.
      when sqlstate 'CWOK0' or lock_not_available then
        null;
      when others then
        get stacked diagnostics state = returned_sqlstate, message = message_text;
        return query
          select
            'write_refused',
            format('an update of public.calendar_connections fails: %s (%s)', message, state),
            coalesce(
              'change what does this; triggers of your own on the table: ' || string_agg(tgname, ', ' order by tgname),
              'change what does this')
          from pg_catalog.pg_trigger
          where tgrelid = 'public.calendar_connections'::regclass and not tgisinternal and tgenabled <> 'D'
            and tgname !~ '^(keep|take|note)_calendar_(webhook|connection)_';
    end;

    if tried is not null then
      begin
        return query
          select
              'status_replaced',
              'public.calendar_connection_status does not show the service a connection that is there: it was replaced',
              'apply both migrations again; where that fails, because the view has other columns, drop it first, and what '
                'depends on it'
            -- It may have been deleted meanwhile.
            where exists (select from public.calendar_connections where id = tried and provider = 'google')
              and not exists (select from public.calendar_connection_status where id = tried);
      exception
        -- It has been told, or is by the user's read; or the table is busy.
        when others then
          null;
      end;
    end if;

    begin
      if not for_users then
        return query
          select
            'status_hidden',
            'pages may not read public.calendar_connections, so they show no connection',
            case when not exists (select from pg_catalog.pg_policy where polrelid = 'public.calendar_connections'::regclass)
              then own_rows || '; ' else '' end
              || format('grant select (%s) on public.calendar_connections to authenticated', array_to_string(shown, ', '));
      elsif owner is not null and pg_has_role(session_user, 'authenticated', 'member') then
        perform set_config(
          'request.jwt.claims', jsonb_build_object('sub', owner, 'role', 'authenticated')::text, true);
        set local role authenticated;
        perform from public.calendar_connection_status where id = tried;
        is_seen := found;
        -- It worked, and is undone.
        raise exception using errcode = 'CWOK0';
      end if;
    exception
      when sqlstate 'CWOK0' or lock_not_available then
        if not is_seen then
          return query
            select
              'status_hidden',
              'a user whose token says no more than the user''s id sees no own row of public.calendar_connections',
              case
                when exists (
                  select from pg_catalog.pg_policy
                    where polrelid = 'public.calendar_connections'::regclass and polpermissive and polcmd in ('r', '*')
                      and polroles && array[0::oid, 'authenticated'::regrole::oid])
                  then 'see which rows the policies of public.calendar_connections let a user read'
                else own_rows
              end;
        end if;
      when others then
        get stacked diagnostics state = returned_sqlstate, message = message_text;
        -- Privileges on what is ours have been told.
        if state <> '42501' or message !~ '(calendar_connection(s|_status)|schema public)$' then
          return query
            select
              'status_unreadable',
              format('a user''s read of public.calendar_connection_status fails: %s (%s)', message, state),
              'change what does this: a policy of public.calendar_connections, or what it calls';
        end if;
    end;
  end if;
end
$$;

-- Nothing here is for a page. Supabase grants every new function to everybody.
revoke execute on function
    public.measure_calendar_webhook_backlog(),
    public.forget_old_calendar_webhook_sweeps(),
    public.request_calendar_webhook_refresh(integer),
    public.schedule_calendar_webhook_refresh(text, text, interval, integer),
    public.unschedule_calendar_webhook_refresh(),
    public.calendar_webhook_schedule(),
    public.calendar_webhook_obstacles(boolean)
  from public, anon, authenticated, service_role;
grant execute on function public.calendar_webhook_schedule(), public.calendar_webhook_obstacles(boolean) to service_role;

-- How everything is, in one row. Statuses are calendar_connection_status's; "live" is neither paused nor disconnected.
create or replace view public.calendar_webhook_health with (security_invoker = true) as
  with
    by_status as materialized (
      select status, count(*) as connections, max(last_sync_at) as last_sync_at
        from public.calendar_connection_status group by status),
    owed as materialized (
      select sync_error, count(*) as runs, min(sync_owed_since) as since
        from public.calendar_connections
        where provider = 'google' and is_active is true and sync_enabled is not false and sync_request_id is not null
          and webhook_error is distinct from 'reconnect_required'
          and webhook_error is distinct from 'permission_missing'
          and webhook_error is distinct from 'blocked_by_policy'
        group by sync_error),
    oldest as (select min(since) as since from owed)
  select
    now() as checked_at,
    (select coalesce(jsonb_object_agg(status, connections), '{}') from by_status) as connections,
    (select coalesce(sum(runs), 0)::bigint from owed) as owed_runs,
    oldest.since as oldest_owed_since,
    now() - oldest.since as oldest_owed_age,
    (select coalesce(jsonb_object_agg(sync_error, runs) filter (where sync_error is not null), '{}') from owed)
      as failing_runs,
    (select coalesce(jsonb_object_agg(webhook_error, connections), '{}')
      from (select webhook_error, count(*) as connections
              from public.calendar_connection_status
              where webhook_error is not null and status not in ('paused', 'disconnected')
              group by webhook_error) as failing) as failing_renewals,
    expiring.within_1h as expiring_1h,
    expiring.within_24h as expiring_24h,
    expiring.within_48h as expiring_48h,
    (select coalesce(sum(connections), 0)::bigint from by_status where status = 'unconfirmed') as unconfirmed,
    (select max(last_sync_at) from by_status) as last_success_at,
    public.calendar_webhook_schedule() as schedule,
    (select to_jsonb(sweep) from public.calendar_webhook_sweeps as sweep order by id desc limit 1) as last_sweep,
    -- At the end: a view that is there takes new columns nowhere else.
    backlog.due_looks,
    backlog.oldest_due_look_age,
    backlog.due_runs,
    backlog.oldest_due_run_age,
    backlog.due_renewals,
    backlog.oldest_due_renewal_age
  from oldest, public.calendar_webhook_backlog as backlog,
    (select
        count(*) filter (where webhook_expiration <= now() + interval '1 hour') as within_1h,
        count(*) filter (where webhook_expiration <= now() + interval '24 hours') as within_24h,
        count(*) as within_48h
      from public.calendar_connection_status
      where webhook_expiration > now() and webhook_expiration <= now() + interval '48 hours'
        and status not in ('paused', 'disconnected')) as expiring;

revoke all on public.calendar_webhook_health from public, anon, authenticated, service_role;
grant select on public.calendar_webhook_health to service_role;

-- A table that was there before keeps its privileges: what they lack is told, not granted.
do $$
declare
  told record;
begin
  for told in select * from public.calendar_webhook_obstacles() loop
    raise warning '%', told.what using hint = told.remedy;
  end loop;
end
$$;
