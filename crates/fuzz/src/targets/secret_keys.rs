//! `SUPABASE_SECRET_KEYS`: a JSON object of keys, one of them named `default`.

use adapters::configuration::{Configuration, Environment};
use serde_json::Value as Json;

use crate::oracle::{assert_hidden, is_visible, strings};
use crate::project::{CLIENT_SECRET, URL};

pub fn target(data: &[u8]) {
    let value = String::from_utf8_lossy(data);
    let environment = Environment::from([
        ("SUPABASE_URL", URL),
        ("SUPABASE_SECRET_KEYS", &value),
        ("GOOGLE_CLIENT_ID", "client-id"),
        ("GOOGLE_CLIENT_SECRET", CLIENT_SECRET),
    ]);
    let json: Json = serde_json::from_str(&value).unwrap_or_default();
    // An empty key is not there.
    let named = json.as_object().filter(|named| {
        let is_key = |key: &Json| key.as_str().is_some_and(|key| key.is_empty() || is_visible(key));
        named.get("default").is_some_and(|key| key != "") && named.values().all(is_key)
    });
    match (Configuration::parse(&environment), named) {
        (Ok(configuration), Some(named)) => {
            assert_eq!(Some(configuration.key.expose()), named.get("default").and_then(Json::as_str));
            let mut expected: Vec<&str> =
                named.values().filter_map(Json::as_str).filter(|key| !key.is_empty()).collect();
            let mut known: Vec<&str> = configuration.service_keys.iter().map(|key| key.expose()).collect();
            expected.sort_unstable();
            known.sort_unstable();
            assert!(known == expected, "every key is known, and no other");
        }
        (parsed, named) => {
            assert!(named.is_none(), "keys that are good are refused");
            let told = parsed.map(|_| ()).map_err(|misconfigured| misconfigured.to_string());
            assert!(told.as_ref().is_err_and(|told| told.starts_with("SUPABASE_SECRET_KEYS ")));
            let mut secrets = vec![value.as_ref()];
            strings(&json, &mut secrets);
            assert_hidden(&told.err().unwrap_or_default(), secrets);
        }
    }
}
