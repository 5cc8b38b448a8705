//! The page's files, read anew for every request: whoever changes one only has to load the page again.

use std::io::ErrorKind;
use std::path::{Component, Path as FilePath, PathBuf};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::fs;

use crate::npm_tools::repository;

/// `url` is the stack's: where the page, its sign-in and Google's redirect share one origin.
pub(super) fn router(url: String) -> Router {
    Router::new()
        .route("/", get(index).with_state(url))
        .route("/page/{*path}", get(|Path(path)| file(directory("crates/dev-stack/page"), path)))
        .route("/element/{*path}", get(|Path(path)| file(directory("crates/element/package"), path)))
        .route("/vendor/supabase.js", get(|| file(directory(SUPABASE_JS), "supabase.js".to_owned())))
}

const SUPABASE_JS: &str = "scripts/node_modules/@supabase/supabase-js/dist/umd";

fn directory(path: &str) -> PathBuf {
    repository().join(path)
}

/// Somebody who comes by another name (`localhost`) would lose the sign-in on the way back from Google.
async fn index(State(url): State<String>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if host != url.strip_prefix("http://") {
        return Redirect::to(&url).into_response();
    }
    file(directory("crates/dev-stack/page"), "index.html".to_owned()).await
}

async fn file(directory: PathBuf, path: String) -> Response {
    let path = FilePath::new(&path);
    let inside = path.components().all(|component| matches!(component, Component::Normal(_)));
    let (true, Some(content_type)) = (inside, content_type(path)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match fs::read(directory.join(path)).await {
        Ok(content) => ([(header::CONTENT_TYPE, content_type)], content).into_response(),
        Err(error) if error.kind() == ErrorKind::NotFound => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn content_type(path: &FilePath) -> Option<&'static str> {
    Some(match path.extension()?.to_str()? {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "wasm" => "application/wasm",
        _ => return None,
    })
}
