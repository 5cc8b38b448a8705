//! Everything in the schema `public` that a migration can change, by name: to be compared.

use std::collections::BTreeMap;

use crate::project::Project;

/// Definitions and privileges; not the rows.
pub(crate) async fn catalog(project: &Project) -> BTreeMap<String, String> {
    project.map(CATALOG).await
}

/// All rows of the table, as one text.
pub(crate) async fn rows(project: &Project) -> serde_json::Value {
    let sql = "select coalesce(jsonb_agg(to_jsonb(connection) order by id), '[]')
               from public.calendar_connections connection";
    project.value(sql, &[]).await
}

const CATALOG: &str = "
select 'relation ' || relname,
    concat_ws(' ', relkind, relowner::regrole, 'acl', relacl, 'rls', relrowsecurity, relforcerowsecurity, reloptions)
  from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
union all select concat('column ', relname, '.', attname),
    concat_ws(' ', format_type(atttypid, atttypmod), 'not null', attnotnull, 'acl', attacl, 'default',
              pg_get_expr(adbin, adrelid))
  from pg_class join pg_attribute on attrelid = pg_class.oid
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
  where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') and attnum > 0 and not attisdropped
union all select concat('policy ', tablename, ' ', policyname),
    concat_ws(' ', permissive, roles, cmd, 'using', qual, 'check', with_check)
  from pg_policies where schemaname = 'public'
union all select concat('trigger ', relname, ' ', tgname), concat_ws(' ', tgenabled, pg_get_triggerdef(pg_trigger.oid))
  from pg_trigger join pg_class on tgrelid = pg_class.oid
  where relnamespace = 'public'::regnamespace and not tgisinternal
union all select 'index ' || indexname, indexdef from pg_indexes where schemaname = 'public'
union all select concat('constraint ', conrelid::regclass, ' ', conname), pg_get_constraintdef(oid)
  from pg_constraint where connamespace = 'public'::regnamespace
union all select 'view ' || viewname, definition from pg_views where schemaname = 'public'
union all select 'function ' || oid::regprocedure, concat_ws(' ', proowner::regrole, proacl, pg_get_functiondef(oid))
  from pg_proc where pronamespace = 'public'::regnamespace
";
