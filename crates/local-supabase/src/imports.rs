//! Supabase's own packages, for a machine that reaches npm and not jsr.io: both have them.

use std::path::Path;

use serde_json::{Map, Value, json};

/// What the packages of Supabase are called at jsr.io.
const FROM_JSR: &str = "jsr:@supabase/";
/// A module of types alone, at run time.
const NOTHING: &str = "data:application/javascript,";

/// An import map that takes them from npm, made of the function's own one and of what its file imports by itself.
/// `None` where it imports none of them.
pub(crate) fn from_npm(own: Option<&Path>, entrypoint: &Path) -> Option<Value> {
    let read = |path: &Path| std::fs::read_to_string(path).unwrap_or_default();
    let directory = own.and_then(Path::parent).unwrap_or(Path::new(""));
    let own: Value = own.and_then(|path| serde_json::from_str(&read(path)).ok()).unwrap_or_default();
    let source = read(entrypoint);

    let mut imports = Map::new();
    let mut is_changed = false;
    for (name, target) in own.get("imports").and_then(Value::as_object).into_iter().flatten() {
        let target = target.as_str().unwrap_or_default();
        let replaced = at_npm(target);
        is_changed |= replaced.is_some();
        if replaced.is_some() && target.contains("functions-js") {
            imports.insert(format!("{name}/edge-runtime.d.ts"), json!(NOTHING));
        }
        let target = if target.starts_with('.') {
            format!("file://{}", directory.join(target).display())
        } else {
            replaced.unwrap_or_else(|| target.to_owned())
        };
        imports.insert(name.clone(), json!(target));
    }
    for (at, _) in source.match_indices(FROM_JSR) {
        let specifier = source.get(at..)?.split(['"', '\'']).next()?;
        imports.insert(specifier.to_owned(), json!(at_npm(specifier)?));
        is_changed = true;
    }
    is_changed.then(|| json!({ "imports": imports }))
}

fn at_npm(specifier: &str) -> Option<String> {
    let rest = specifier.strip_prefix(FROM_JSR)?;
    Some(if rest.ends_with(".d.ts") { NOTHING.to_owned() } else { format!("npm:@supabase/{rest}") })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn packages_of_supabase_are_looked_for_at_npm_and_everything_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let (own, index) = (directory.path().join("deno.json"), directory.path().join("index.ts"));
        let imports = json!({ "imports": {
            "@supabase/functions-js": "jsr:@supabase/functions-js@^2",
            "@std/async": "jsr:@std/async@1",
            "~/": "../_shared/",
        } });
        fs::write(&own, imports.to_string()).unwrap();
        fs::write(
            &index,
            "import 'jsr:@supabase/functions-js/edge-runtime.d.ts';\nimport {} from \"jsr:@supabase/supabase-js@2\";",
        )
        .unwrap();
        let expected = json!({ "imports": {
            "@supabase/functions-js": "npm:@supabase/functions-js@^2",
            "@supabase/functions-js/edge-runtime.d.ts": NOTHING,
            "@std/async": "jsr:@std/async@1",
            "~/": format!("file://{}/../_shared/", directory.path().display()),
            "jsr:@supabase/functions-js/edge-runtime.d.ts": NOTHING,
            "jsr:@supabase/supabase-js@2": "npm:@supabase/supabase-js@2",
        } });
        assert_eq!(from_npm(Some(&own), &index), Some(expected));

        fs::write(&index, "Deno.serve(() => new Response());").unwrap();
        assert_eq!(from_npm(None, &index), None);
    }
}
