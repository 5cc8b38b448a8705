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
create index if not exists calendar_webhook_sweeps_finished_at on public.calendar_webhook_sweeps (finished_at);
alter table public.calendar_webhook_sweeps enable row level security;
revoke all on public.calendar_webhook_sweeps from public, anon, authenticated, service_role;
revoke all on sequence public.calendar_webhook_sweeps_id_seq from public, anon, authenticated, service_role;
grant select, insert, delete on public.calendar_webhook_sweeps to service_role;

create or replace function public.forget_old_calendar_webhook_sweeps() returns trigger
  language plpgsql set search_path = ''
  as $$
begin
  delete from public.calendar_webhook_sweeps where finished_at < now() - interval '7 days';
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

-- What the job runs, as its owner. URL and key are read from Vault each time: cron.job shows neither, and a secret that
-- is changed there counts at once.
create or replace function public.request_calendar_webhook_refresh(parallel integer) returns void
  language plpgsql set search_path = ''
  as $$
declare
  project_url constant text := (
    select decrypted_secret from vault.decrypted_secrets where name = 'calendar_webhook_project_url');
  secret_key constant text := (
    select decrypted_secret from vault.decrypted_secrets where name = 'calendar_webhook_secret_key');
begin
  if project_url is null or secret_key is null then
    raise exception 'Vault lacks calendar_webhook_project_url or calendar_webhook_secret_key'
      using errcode = 'object_not_in_prerequisite_state',
            hint = 'Call public.schedule_calendar_webhook_refresh(project_url, secret_key) again.';
  end if;

  insert into public.calendar_webhook_requests (id)
    select net.http_post(
        url := project_url || '/functions/v1/refresh-calendar-webhook',
        body := '{}'::jsonb,
        headers := jsonb_build_object('Content-Type', 'application/json', 'apikey', secret_key)
          -- A legacy key is a JWT, which the gateway wants here. A key of the current kind is none.
          || case when secret_key like 'sb\_%' then '{}'::jsonb
                  else jsonb_build_object('Authorization', 'Bearer ' || secret_key) end,
        -- A sweep ends within 70 s.
        timeout_milliseconds := 80000)
      from generate_series(1, parallel);
  -- pg_net forgets its answers after 6 hours, unless it is told otherwise.
  delete from public.calendar_webhook_requests where requested_at < now() - interval '6 hours';
end
$$;

-- Has refresh-calendar-webhook called every so many minutes, by that many requests at once. Called again it replaces
-- schedule and secrets. It runs as its owner whoever calls it, a superuser say: a job is seen and run by its owner
-- only.
create or replace function public.schedule_calendar_webhook_refresh(
    project_url text, secret_key text, every interval default '1 minute', parallel integer default 1) returns bigint
  language plpgsql security definer set search_path = ''
  as $$
declare
  is_secret boolean := secret_key ~ '^[!-~]+$' and secret_key not like 'sb\_publishable\_%';
  payload text;
  seconds constant numeric := extract(epoch from every);
  minutes integer;
  missing text;
  secret record;
begin
  if project_url is null
    or project_url !~* ('^(https://[a-z0-9.-]+|http://(localhost|127\.0\.0\.1|\[::1\]))'
      || '(:[0-9]{1,5})?(/[^?#[:space:]]*)?$')
    or project_url ~ '/v1(/|$)'
  then
    raise exception 'project_url must be the address of the project, such as https://abcdefghijklmnopqrst.supabase.co'
      using errcode = 'invalid_parameter_value',
            hint = 'https (http only for this machine), without user, query and /functions/v1.';
  end if;
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
  if parallel is null or parallel not between 1 and 10 then
    raise exception 'parallel must be from 1 to 10, not %', coalesce(parallel::text, 'null')
      using errcode = 'invalid_parameter_value';
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

  minutes := seconds / 60;
  if 60 % minutes <> 0 then
    raise notice 'cron counts anew each hour: every % minutes are the minutes 0, %, …, and the last gap is shorter',
      minutes, minutes;
  end if;
  -- Not over the one that is there, which may have been deactivated.
  perform cron.unschedule(jobid) from cron.job where jobname = 'refresh-calendar-webhook';
  return cron.schedule(
    'refresh-calendar-webhook',
    case when minutes = 1 then '* * * * *' else format('*/%s * * * *', minutes) end,
    format('select public.request_calendar_webhook_refresh(%s)', parallel));
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
            coalesce(response.error_msg, case when response.status_code >= 300 then left(response.content, 500) end))
        into answer
        from public.calendar_webhook_requests as request
          join net._http_response as response on response.id = request.id and response.created >= request.requested_at
        order by request.requested_at desc, request.id desc limit 1;
    end if;
  exception when insufficient_privilege then
    answer := null;
  end;
  return schedule || coalesce(answer, '{"last_answer_status": null, "last_answer_error": null}');
exception when insufficient_privilege then
  return null;
end
$$;

-- Nothing here is for a page. Supabase grants every new function to everybody.
revoke execute on function
    public.forget_old_calendar_webhook_sweeps(),
    public.request_calendar_webhook_refresh(integer),
    public.schedule_calendar_webhook_refresh(text, text, interval, integer),
    public.unschedule_calendar_webhook_refresh(),
    public.calendar_webhook_schedule()
  from public, anon, authenticated, service_role;
grant execute on function public.calendar_webhook_schedule() to service_role;

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
    (select to_jsonb(sweep) from public.calendar_webhook_sweeps as sweep order by id desc limit 1) as last_sweep
  from oldest,
    (select
        count(*) filter (where webhook_expiration <= now() + interval '1 hour') as within_1h,
        count(*) filter (where webhook_expiration <= now() + interval '24 hours') as within_24h,
        count(*) as within_48h
      from public.calendar_connection_status
      where webhook_expiration > now() and webhook_expiration <= now() + interval '48 hours'
        and status not in ('paused', 'disconnected')) as expiring;

revoke all on public.calendar_webhook_health from public, anon, authenticated, service_role;
grant select on public.calendar_webhook_health to service_role;
