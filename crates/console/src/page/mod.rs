//! The page and what it is made of, all of it in the program; and the form that asks for the key.

use http::header::{CACHE_CONTROL, SET_COOKIE};
use http::uri::Authority;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

use crate::access::is_same_origin;
use crate::answer::{Body, Refusal, answer, escaped, html, redirect, whole};
use crate::query;
use crate::routes::App;

/// Where the form is, and where it is sent.
pub(crate) const LOGIN: &str = "/.truth-yard/login";
/// Most bytes of the form.
const MAX_FORM_BYTES: usize = 8 << 10;

const INDEX: &str = include_str!("index.html");
/// Name, type and content.
const ASSETS: [(&str, &str, &str); 3] = [
    ("console.css", "text/css; charset=utf-8", include_str!("console.css")),
    ("console.js", "text/javascript; charset=utf-8", include_str!("console.js")),
    ("favicon.svg", "image/svg+xml", include_str!("favicon.svg")),
];

/// The page.
pub(crate) fn index() -> Response<Body> {
    html(StatusCode::OK, INDEX)
}

/// Looks of the form: they tell nothing.
pub(crate) fn needs_no_key(path: &str) -> bool {
    matches!(path, "/.truth-yard/asset/console.css" | "/.truth-yard/asset/favicon.svg")
}

/// A file of the page.
///
/// # Errors
/// 404.
pub(crate) fn asset(name: &str) -> Result<Response<Body>, Refusal> {
    let asset = ASSETS.iter().find(|(known, ..)| *known == name);
    let Some((_, media_type, content)) = asset else {
        return Err(Refusal::new(StatusCode::NOT_FOUND, "Not found"));
    };
    let mut response = answer(StatusCode::OK, media_type, whole(*content));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// A small page of the same looks, without scripts. `body` is HTML.
pub(crate) fn frame(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>{title} · Yard</title>\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"/.truth-yard/asset/favicon.svg\">\
         <link rel=\"stylesheet\" href=\"/.truth-yard/asset/console.css\">\
         <header class=\"top\"><h1><a href=\"/.truth-yard/ui/\">Yard</a></h1></header><main><section>{body}</section></main></html>"
    )
}

/// The form that asks for the key; `next` is where to go on.
pub(crate) fn login_form(status: StatusCode, next: &str, problem: &str) -> Response<Body> {
    let (next, problem) = (escaped(next), escaped(problem));
    let body = format!(
        "<h2>This console is protected by a key</h2><form class=\"login\" method=\"post\" action=\"{LOGIN}\">\
         <input type=\"hidden\" name=\"next\" value=\"{next}\"><label>Key \
         <input type=\"password\" name=\"key\" autocomplete=\"current-password\" required autofocus></label>\
         <button>Open</button></form><p role=\"alert\" class=\"bad\">{problem}</p>"
    );
    html(status, frame("Key", &body))
}

/// The form, sent.
///
/// # Errors
/// 403 if another site sent it, 413 if it is too large.
pub(crate) async fn login(
    app: &App,
    request: Request<Incoming>,
    host: &Authority,
) -> Result<Response<Body>, Refusal> {
    if !is_same_origin(request.headers(), host) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "this form was sent by another site"));
    }
    let body = Limited::new(request.into_body(), MAX_FORM_BYTES).collect().await;
    let body = body.map_err(|_| Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "the form is too large"))?;
    let form = String::from_utf8_lossy(&body.to_bytes()).into_owned();
    let field = |name| query::value(Some(&form), name).unwrap_or_default();
    // A path here, and no address elsewhere.
    let next = field("next");
    // Browsers take a backslash for a slash, and leave tabs and line breaks out.
    let is_plain = !next.contains(|letter: char| letter == '\\' || letter.is_control());
    let is_here = is_plain && next.starts_with('/') && !next.starts_with("//");
    let next = if is_here { next } else { "/".to_owned() };
    match app.access.login(field("key").trim()) {
        None => Ok(login_form(StatusCode::UNAUTHORIZED, &next, "That is not the key.")),
        Some(cookie) => {
            let mut response = redirect(StatusCode::SEE_OTHER, &next);
            response.headers_mut().insert(SET_COOKIE, cookie);
            Ok(response)
        }
    }
}
