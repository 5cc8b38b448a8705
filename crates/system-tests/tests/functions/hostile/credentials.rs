//! Keys and tokens that prove nothing, at setup and refresh. A body names the connection that they are after.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use system_tests::{REFRESH, SETUP};
use uuid::Uuid;

use super::bad::{Bad, Cast, Met, NOT_HTTP};
use crate::token;
use crate::wire::Wire;

const WHO: Met = (401, "unauthenticated");

pub(super) fn rows(cast: &Cast) -> Vec<Bad> {
    let body = cast.own.target().to_string();
    let mut rows = Vec::new();
    for function in [SETUP, REFRESH] {
        let mut add = |label: String, request: Wire, expected| {
            rows.push(Bad::new(function, label, request.body(&body), expected));
        };
        for (label, key) in not_a_key(cast) {
            add(format!("apikey: {label}"), Wire::post(function).header("apikey", &key), WHO);
            let bearer = [b"Bearer ", key.as_slice()].concat();
            add(format!("bearer: {label}"), Wire::post(function).header("authorization", bearer), WHO);
        }
        for (label, authorization) in not_a_bearer(cast) {
            let request = Wire::post(function).header("authorization", authorization);
            add(format!("authorization: {label}"), request, WHO);
        }
        for (label, jwt) in not_a_users(cast) {
            let request = Wire::post(function)
                .header("apikey", &cast.publishable_key)
                .header("authorization", format!("Bearer {jwt}"));
            add(format!("JWT: {label}"), request, WHO);
        }
        for (label, header) in elsewhere(cast) {
            add(label.to_owned(), Wire::post(function).line(header), WHO);
        }
        let (half, rest) = cast.key.split_at(cast.key.len() / 2);
        for (label, key, expected) in [
            ("a carriage return inside", format!("{half}\r{rest}"), NOT_HTTP),
            ("folded", format!("{half}\r\n {rest}"), NOT_HTTP),
            ("a NUL behind it", format!("{half}{rest}\0"), NOT_HTTP),
            ("a newline inside", format!("{half}\n{rest}: x"), WHO),
        ] {
            add(format!("apikey: the key, {label}"), Wire::post(function).header("apikey", key), expected);
        }
        let twice = Wire::post(function).header("apikey", &cast.key).header("apikey", &cast.key);
        add("apikey twice".to_owned(), twice, WHO);
        let bearer = format!("Bearer {}", cast.user.token);
        let twice = Wire::post(function).header("authorization", &bearer).header("authorization", &bearer);
        add("authorization twice".to_owned(), twice, WHO);
    }
    rows
}

fn not_a_key(cast: &Cast) -> Vec<(&'static str, Vec<u8>)> {
    let key = cast.key.as_str();
    let but_last = &key[..key.len() - 1];
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing", vec![]),
        ("the publishable one", text(&cast.publishable_key)),
        ("one character too few", text(but_last)),
        ("one character too many", text(&format!("{key}x"))),
        (
            "another last character",
            text(&format!("{but_last}{}", if key.ends_with('A') { 'B' } else { 'A' })),
        ),
        ("half", text(&key[..key.len() / 2])),
        ("twice", text(&format!("{key}{key}"))),
        ("a list", text(&format!("{key},{key}"))),
        ("in capitals", text(&key.to_uppercase())),
        ("backwards", key.bytes().rev().collect()),
        ("in quotes", text(&format!("\"{key}\""))),
        ("a space inside", text(&format!("{} {}", &key[..9], &key[9..]))),
        ("a tab inside", text(&format!("{}\t{}", &key[..9], &key[9..]))),
        ("a newline behind it, encoded", text(&format!("{key}%0a"))),
        ("a newline behind it, escaped", text(&format!("{key}\\n"))),
        ("a space of no width behind it", text(&format!("{key}\u{200b}"))),
        (
            "a space that does not break inside",
            [&key.as_bytes()[..9], b"\xa0", &key.as_bytes()[9..]].concat(),
        ),
        ("a byte beyond ASCII behind it", [key.as_bytes(), b"\xff"].concat()),
        ("its prefix", text("sb_secret_")),
        ("a pattern", text("sb_secret_*")),
        ("a wrong one", text("sb_secret_0000000000000000000000_00000000")),
        ("30 KB", vec![b'a'; 30_000]),
        ("bytes beyond ASCII", vec![0xff; 40]),
        ("SQL", text("' or 1=1 --")),
        ("null", text("null")),
        ("true", text("true")),
        ("an object", text("{\"role\":\"service_role\"}")),
        ("service_role", text("service_role")),
        ("the JWT secret", text(&cast.jwt_secret)),
        ("a channel token", text(&cast.own.token)),
        ("the hash of a channel token", text(&cast.own.token_hash)),
        ("a Google access token", text(cast.own_row["access_token"].as_str().unwrap())),
        ("a user's id", text(&cast.user.id.to_string())),
    ]
}

fn not_a_bearer(cast: &Cast) -> Vec<(&'static str, String)> {
    let (key, jwt) = (&cast.key, &cast.user.token);
    vec![
        ("nothing", String::new()),
        ("the scheme alone", "Bearer".to_owned()),
        ("no scheme", jwt.clone()),
        ("the key without a scheme", key.clone()),
        ("another scheme", format!("Token {jwt}")),
        ("the key by another scheme", format!("Basic {key}")),
        (
            "the key as password",
            format!("Basic {}", BASE64_URL_SAFE_NO_PAD.encode(format!("service_role:{key}"))),
        ),
        ("a digest", format!("Digest username=\"service_role\", response=\"{key}\"")),
        ("the scheme twice", format!("Bearer Bearer {jwt}")),
        ("a tab behind the scheme", format!("Bearer\t{jwt}")),
        ("a colon behind the scheme", format!("Bearer:{jwt}")),
        ("an equals sign", format!("Bearer={key}")),
        ("the key by an equals sign", format!("Bearer apikey={key}")),
        ("two tokens", format!("Bearer {jwt} {jwt}")),
        ("two tokens, by a comma", format!("Bearer {jwt}, Bearer {jwt}")),
        ("the key and a token", format!("Bearer {key}, Bearer {jwt}")),
        ("in quotes", format!("Bearer \"{jwt}\"")),
        ("30 KB", format!("Bearer {}", "a".repeat(30_000))),
    ]
}

/// Nothing that this project's Auth has signed, or nothing of it that is a user.
fn not_a_users(cast: &Cast) -> Vec<(&'static str, String)> {
    let genuine = token::claims(&cast.user.token);
    let with = |field: &str, value: Value| {
        let mut claims = genuine.clone();
        claims[field] = value;
        claims
    };
    let secret = cast.jwt_secret.as_str();
    let wrong = |claims: &Value| token::sign(claims, "another secret");
    let parts: Vec<&str> = cast.user.token.split('.').collect();
    let [head, payload, signature] = parts[..] else { panic!("a user's token has three parts") };
    let part = |json: Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let headed = |header: Value| format!("{}.{payload}.{signature}", part(header));
    let service = json!({ "iss": "supabase", "role": "service_role", "iat": 0, "exp": 4_000_000_000_u64 });
    let nested = format!("{{\"sub\":{}1{}}}", "[".repeat(2000), "]".repeat(2000));
    vec![
        ("of another project", wrong(&genuine)),
        ("of another project's service", wrong(&service)),
        ("of an empty secret", token::sign(&genuine, "")),
        ("of the publishable key", token::sign(&genuine, &cast.publishable_key)),
        ("expired", token::sign(&with("exp", json!(1_700_000_000)), secret)),
        ("expired before 1970", token::sign(&with("exp", json!(-1)), secret)),
        ("of nobody", token::sign(&with("sub", json!(Uuid::new_v4())), secret)),
        (
            "another user's id, not signed for",
            format!("{head}.{}.{signature}", part(with("sub", json!(cast.other.user)))),
        ),
        (
            "a service's role, not signed for",
            format!("{head}.{}.{signature}", part(with("role", json!("service_role")))),
        ),
        ("alg none", token::unsigned(&genuine)),
        ("alg none, signed", format!("{}x", token::unsigned(&genuine))),
        ("alg None", headed(json!({ "alg": "None", "typ": "JWT" }))),
        ("alg NONE and no signature", format!("{}.{payload}.", part(json!({ "alg": "NONE" })))),
        ("alg null", headed(json!({ "alg": null }))),
        ("no alg", headed(json!({ "typ": "JWT" }))),
        ("alg RS256", headed(json!({ "alg": "RS256", "typ": "JWT" }))),
        ("alg HS512", headed(json!({ "alg": "HS512", "typ": "JWT" }))),
        ("alg of 4 KB", headed(json!({ "alg": "a".repeat(3000) }))),
        ("a key's path", headed(json!({ "alg": "HS256", "kid": "../../../../dev/null" }))),
        ("a key's SQL", headed(json!({ "alg": "HS256", "kid": "' union select 'secret' --" }))),
        (
            "keys elsewhere",
            headed(json!({ "alg": "RS256", "jku": "http://127.0.0.1:9/keys", "x5u": "http://127.0.0.1:9/" })),
        ),
        ("a key inside", headed(json!({ "alg": "HS256", "jwk": { "kty": "oct", "k": "" } }))),
        ("a header that is no JSON", format!("AAAA.{payload}.{signature}")),
        ("claims that are no JSON", format!("{head}.AAAA.{signature}")),
        ("claims that are an array", format!("{head}.{}.{signature}", part(json!([])))),
        (
            "claims nested 2,000 deep",
            format!("{head}.{}.{signature}", BASE64_URL_SAFE_NO_PAD.encode(&nested)),
        ),
        ("another signature", format!("{head}.{payload}.{}", signature.chars().rev().collect::<String>())),
        ("no signature", format!("{head}.{payload}.")),
        ("half a signature", format!("{head}.{payload}.{}", &signature[..20])),
        ("two parts", format!("{head}.{payload}")),
        ("four parts", format!("{}.{signature}", cast.user.token)),
        ("five parts", "a.b.c.d.e".to_owned()),
        ("points", "..".to_owned()),
        ("letters", "a.b.c".to_owned()),
        ("an empty claim", format!("{head}..{signature}")),
        ("padding", format!("{}=", cast.user.token)),
        ("another alphabet", format!("{head}.{payload}.{}+/", &signature[..20])),
        ("a space inside", format!("{head}. {payload}.{signature}")),
        ("a path", "../../admin/users.a.b".to_owned()),
        ("headers, encoded", format!("{}%0d%0aapikey:x", cast.user.token)),
        ("8 KB", format!("{}.b.c", "a".repeat(8188))),
        ("a byte more", format!("{}.b.c", "a".repeat(8189))),
        ("a letter of another script", format!("{}а", cast.user.token)),
    ]
}

/// What is right, where nobody looks for it.
fn elsewhere(cast: &Cast) -> Vec<(&'static str, String)> {
    let (key, jwt) = (&cast.key, &cast.user.token);
    vec![
        ("the key as x-api-key", format!("x-api-key: {key}")),
        ("the key as api_key", format!("api_key: {key}")),
        ("the key as apikey_", format!("apikey_: {key}")),
        ("the key as cookie", format!("cookie: apikey={key}; sb-access-token={jwt}")),
        ("the key as proxy's", format!("proxy-authorization: Bearer {key}")),
        ("the key as x-client-info", format!("x-client-info: {key}")),
        ("the JWT as apikey", format!("apikey: {jwt}")),
        ("the JWT of a proxy", format!("x-forwarded-authorization: Bearer {jwt}")),
        ("a claim as header", "x-jwt-claims: {\"role\":\"service_role\"}".to_owned()),
        ("a role as header", "role: service_role".to_owned()),
        ("from this machine, it says", "x-forwarded-for: 127.0.0.1".to_owned()),
        ("another method as header", "x-http-method-override: OPTIONS".to_owned()),
    ]
}
