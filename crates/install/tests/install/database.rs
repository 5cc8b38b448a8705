//! What `scripts/uninstall` says to do in the database does it.

use local_supabase::postgres::Cluster;
use local_supabase::schema;
use tokio_postgres::Client;

use crate::sandbox::payload;

/// Everything in the schema that can be told by a name.
const CATALOG: &str = "
select concat_ws(' ', relkind, relname) from pg_class where relnamespace = 'public'::regnamespace
union all select concat_ws(' ', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull)
  from pg_attribute join pg_class on pg_class.oid = attrelid
  where relnamespace = 'public'::regnamespace and attnum > 0 and not attisdropped
union all select concat_ws(' ', 'trigger', tgrelid::regclass, tgname) from pg_trigger where not tgisinternal
union all select 'function ' || oid::regprocedure from pg_proc where pronamespace = 'public'::regnamespace
order by 1";

async fn catalog(client: &Client) -> Vec<String> {
    client.query(CATALOG, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn a_table_of_the_projects_own_is_as_it_was() {
    let cluster = Cluster::start().await.unwrap();
    let client = cluster.connect().await.unwrap();
    schema::create(&client, &[]).await.unwrap();
    client
        .batch_execute(
            "create table public.calendar_connections (
               id uuid primary key, user_id uuid, provider text, access_token text, refresh_token text,
               expires_at timestamptz, calendar_id text, is_active boolean, created_at timestamptz,
               updated_at timestamptz, webhook_id text, webhook_expiration timestamptz,
               sync_enabled boolean default true, last_sync_at timestamptz)",
        )
        .await
        .unwrap();
    let before = catalog(&client).await;
    for migration in payload().migrations {
        client.batch_execute(std::str::from_utf8(&migration.sql).unwrap()).await.unwrap();
    }
    assert_ne!(catalog(&client).await, before);
    client.batch_execute(install::DROP).await.unwrap();
    assert_eq!(catalog(&client).await, before);
}
