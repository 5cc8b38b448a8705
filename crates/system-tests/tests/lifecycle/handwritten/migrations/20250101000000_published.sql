-- The table as a host app has it, with the four columns of the published schema.

create table public.calendar_connections (
  id uuid primary key default gen_random_uuid(),
  user_id uuid,
  provider text,
  access_token text,
  refresh_token text,
  expires_at timestamptz,
  calendar_id text,
  is_active boolean default true,
  created_at timestamptz default now(),
  updated_at timestamptz default now()
);
-- Granted by Supabase itself at that time.
grant all on public.calendar_connections to anon, authenticated, service_role;
alter table public.calendar_connections enable row level security;

alter table public.calendar_connections
  add column webhook_id text,
  add column webhook_expiration timestamptz,
  add column sync_enabled boolean default true,
  add column last_sync_at timestamptz;
create index idx_calendar_connections_webhook_id on public.calendar_connections (webhook_id);
