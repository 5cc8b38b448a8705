-- The tables of the sample app: what its recalculate-schedule plans.

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

-- Whoever inserts a session only has to say when it is to be.
create function public.sessions_prefer_their_start() returns trigger language plpgsql as $$
begin
  new.preferred_starts_at := coalesce(new.preferred_starts_at, new.starts_at);
  return new;
end $$;
create trigger sessions_prefer_their_start before insert on public.sessions
  for each row execute function public.sessions_prefer_their_start();

alter table public.sessions enable row level security;
create policy "own sessions" on public.sessions for all to authenticated
  using (user_id = auth.uid()) with check (user_id = auth.uid());
