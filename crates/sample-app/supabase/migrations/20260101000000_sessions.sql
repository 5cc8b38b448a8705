-- The tables that the sample app plans with, see its recalculate-schedule.

create table public.sessions (
  id uuid primary key default gen_random_uuid(),
  user_id uuid not null default auth.uid(),
  -- The calendar to plan around; null = whichever of the user's connections is recalculated.
  connection_id uuid,
  title text not null default 'Session',
  -- Where the user put the session. A session that had to give way returns here once it can.
  preferred_starts_at timestamptz not null,
  starts_at timestamptz not null,
  ends_at timestamptz not null check (ends_at > starts_at),
  -- When the planner last moved the session; null = never.
  planned_at timestamptz
);
create index sessions_by_user on public.sessions (user_id, preferred_starts_at);

-- An insert only has to say when the session is to be.
create function public.sessions_prefer_their_start() returns trigger language plpgsql set search_path = '' as $$
begin
  new.preferred_starts_at := coalesce(new.preferred_starts_at, new.starts_at);
  return new;
end $$;
create trigger sessions_prefer_their_start before insert on public.sessions
  for each row execute function public.sessions_prefer_their_start();

alter table public.sessions enable row level security;
create policy "own sessions" on public.sessions for all to authenticated
  using (user_id = (select auth.uid())) with check (user_id = (select auth.uid()));

-- Runs of one user may overlap: two calendars, or a page beside the webhooks. Each takes a number before it reads
-- anything, and a plan is stored unless one with a higher number is stored already, which has seen all that this one has.
create table public.session_plans (
  user_id uuid primary key,
  begun bigint not null default 1,
  stored bigint not null default 0
);
alter table public.session_plans enable row level security;

create function public.begin_plan(planned_user uuid) returns bigint language sql set search_path = '' as $$
  insert into public.session_plans as plan (user_id) values (planned_user)
    on conflict (user_id) do update set begun = plan.begun + 1
    returning begun
$$;

-- Takes every session's slot, also of those that stay: a plan with a lower number may have moved one meanwhile. → how many
-- sessions moved; all of them at once, or none.
create function public.store_plan(planned_user uuid, number bigint, slots jsonb) returns integer language plpgsql
  set search_path = '' as $$
declare
  moved integer;
begin
  update public.session_plans set stored = number where user_id = planned_user and stored < number;
  if not found then
    return 0;
  end if;
  update public.sessions as session
    set starts_at = slot.starts_at, ends_at = slot.ends_at, planned_at = now()
    from jsonb_to_recordset(slots) as slot (id uuid, starts_at timestamptz, ends_at timestamptz)
    where session.id = slot.id and session.user_id = planned_user
      and (session.starts_at, session.ends_at) is distinct from (slot.starts_at, slot.ends_at);
  get diagnostics moved = row_count;
  return moved;
end
$$;

revoke execute on function public.begin_plan, public.store_plan from public, anon, authenticated;
grant execute on function public.begin_plan, public.store_plan to service_role;
grant select, insert, update, delete on public.session_plans, public.sessions to service_role;
grant select, insert, update, delete on public.sessions to authenticated;
