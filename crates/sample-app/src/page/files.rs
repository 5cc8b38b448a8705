//! The page's files, read anew for every request: after a change of one the page only has to be loaded again.

use std::io::ErrorKind;
use std::path::{Component, Path as FilePath, PathBuf};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use tokio::fs;

const PAGE: &str = "crates/sample-app/page";
const ELEMENT: &str = "crates/element/package";
const SUPABASE_JS: &str = "scripts/node_modules/@supabase/supabase-js/dist/umd";

/// `url` is the app's: where the page, its sign-in and Google's redirect share one origin.
pub(super) fn router(url: String, repository: &FilePath) -> Router {
    let serve = |directory: &str| {
        let directory = repository.join(directory);
        get(|Path(path)| file(directory, path))
    };
    let (page, supabase_js) = (repository.join(PAGE), repository.join(SUPABASE_JS));
    Router::new()
        .route("/", get(index).with_state(Origin { url, page }))
        .route("/page/{*path}", serve(PAGE))
        .route("/element/{*path}", serve(ELEMENT))
        .route("/vendor/supabase.js", get(|| file(supabase_js, "supabase.js".to_owned())))
}

#[derive(Clone)]
struct Origin {
    url: String,
    page: PathBuf,
}

/// Somebody who comes by another name (`localhost`) would lose the sign-in on the way back from Google.
async fn index(State(Origin { url, page }): State<Origin>, headers: HeaderMap) -> Response {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if host != url.strip_prefix("http://") {
        return Redirect::to(&url).into_response();
    }
    file(page, "index.html".to_owned()).await
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
