//! JSON Web Tokens, genuine and forged.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

/// The claims of a token.
pub(crate) fn claims(token: &str) -> Value {
    let part = token.split('.').nth(1).expect("a JSON Web Token");
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

pub(crate) fn sign(claims: &Value, secret: &str) -> String {
    let signed = signed_part("HS256", claims);
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&signed);
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// A token that claims to need no signature.
pub(crate) fn unsigned(claims: &Value) -> String {
    format!("{}.", signed_part("none", claims))
}

fn signed_part(algorithm: &str, claims: &Value) -> String {
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    format!("{}.{}", part(&json!({ "alg": algorithm, "typ": "JWT" })), part(claims))
}
