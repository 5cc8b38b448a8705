//! Copies of Auth's users in the project's database, where that is not lite's own: tables refer to users, and triggers
//! make profiles of them.

use anyhow::Result;
use serde_json::Value;
use tokio_postgres::NoTls;

const STORE: &str = "
  insert into auth.users (id, aud, role, email, phone, email_confirmed_at, phone_confirmed_at, confirmed_at,
      last_sign_in_at, raw_app_meta_data, raw_user_meta_data, is_anonymous, created_at, updated_at)
    select id, aud, role, email, phone, email_confirmed_at, phone_confirmed_at, confirmed_at, last_sign_in_at,
        app_metadata, user_metadata, coalesce(is_anonymous, false), created_at, updated_at
      from jsonb_to_record($1) as told (id uuid, aud text, role text, email text, phone text,
        email_confirmed_at timestamptz, phone_confirmed_at timestamptz, confirmed_at timestamptz,
        last_sign_in_at timestamptz, app_metadata jsonb, user_metadata jsonb, is_anonymous boolean,
        created_at timestamptz, updated_at timestamptz)
    on conflict (id) do update set email = excluded.email, phone = excluded.phone,
      email_confirmed_at = excluded.email_confirmed_at, confirmed_at = excluded.confirmed_at,
      last_sign_in_at = excluded.last_sign_in_at, raw_app_meta_data = excluded.raw_app_meta_data,
      raw_user_meta_data = excluded.raw_user_meta_data, updated_at = excluded.updated_at";

/// Connects anew for each user: the server may have been restarted since.
pub(crate) struct Users {
    pub database_url: String,
}

impl Users {
    /// Stores the user whom an answer of Auth is about, if it is about one.
    ///
    /// Fails where a trigger on `auth.users` does.
    pub(crate) async fn keep(&self, answer: &Value) -> Result<()> {
        let Some(user) = [answer.get("user"), Some(answer)].into_iter().flatten().find(|one| is_user(one))
        else {
            return Ok(());
        };
        let (client, connection) = tokio_postgres::connect(&self.database_url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let stored = client.execute(STORE, &[user]).await;
        drop(client);
        let _ = connection.await;
        stored?;
        Ok(())
    }
}

fn is_user(value: &Value) -> bool {
    ["id", "aud"].iter().all(|field| value.get(field).is_some_and(Value::is_string))
}
