//! The ledger, browsed: what lies below the ledger home, and nothing else.
//!
//! | asked for | answer |
//! |---|---|
//! | a folder | a list: folders first, then by name |
//! | a file of a known type up to [`MAX_TEXT_BYTES`] | itself, with that type, in a sandbox: no script of it runs |
//! | any other file | a download |
//!
//! A path is refused if it has `..` in it, escaped or not. What it leads to is opened, and then it is asked of the
//! kernel where the open file lies: links may lead anywhere within the ledger home and nowhere outside it, and nobody
//! can exchange one between the look and the reading. `.run`, where services keep what is their own, is not shown.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};
use rustix::fs::{Mode, OFlags};

use crate::BASE;
use crate::access::{Access, OWNERS_ONLY};
use crate::answer::{Body, Refusal, answer, escaped, html, redirect};
use crate::page;
use crate::routes::App;

/// Largest file that is shown and not downloaded.
pub(crate) const MAX_TEXT_BYTES: u64 = 5_000_000;
/// Most names of a folder that are listed.
const MAX_LISTED: usize = 5000;
/// How much of a file is read at once, in bytes.
const CHUNK_BYTES: usize = 64 << 10;
/// The folder in which services keep what is their own.
const PRIVATE: &str = ".run";
/// A file of the ledger may be anybody's: nothing in it runs, and it loads nothing.
const FILE_POLICY: &str =
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";

/// Answers with a file or folder below the ledger home.
pub(crate) async fn browse(app: &Arc<App>, path: &str) -> Result<Response<Body>, Refusal> {
    let wanted = wanted(path)?;
    let (home, app, name) = (app.live.at_once().await.home.clone(), app.clone(), wanted.clone());
    let opened = tokio::task::spawn_blocking(move || open(&home, &name, &app.access));
    match opened.await.map_err(|_| not_found())?? {
        Opened::File { file, length } => Ok(shown(file, length, &wanted)),
        Opened::Folder(_) if !path.is_empty() && !path.ends_with('/') => {
            Ok(redirect(StatusCode::PERMANENT_REDIRECT, &format!("{BASE}/ledger.d/{path}/")))
        }
        Opened::Folder(listed) => Ok(html(StatusCode::OK, listing(&wanted, &listed))),
    }
}

/// What a path leads to.
enum Opened {
    File { file: File, length: u64 },
    Folder(Vec<Listed>),
}

/// One name in a folder.
struct Listed {
    name: OsString,
    /// Length of a file in bytes; `None` for a folder.
    length: Option<u64>,
}

/// The relative path that is meant.
fn wanted(path: &str) -> Result<PathBuf, Refusal> {
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    let decoded = decoded.strip_suffix(b"/").unwrap_or(&decoded);
    let wanted = Path::new(OsStr::from_bytes(decoded));
    let is_plain = wanted.components().all(|part| matches!(part, Component::Normal(_)));
    if !is_plain || decoded.contains(&0) {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "Invalid path"));
    }
    if is_private(wanted) {
        return Err(not_found());
    }
    Ok(wanted.to_owned())
}

/// Opens what a path leads to, if it lies below the ledger home and may be shown.
fn open(home: &Path, wanted: &Path, access: &Access) -> Result<Opened, Refusal> {
    // A pipe must not block; it is no part of a ledger.
    let how = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(home.join(wanted), how, Mode::empty()).map_err(|_| not_found())?;
    let file = File::from(file);
    let descriptor = format!("/proc/self/fd/{}", file.as_raw_fd());
    let real = std::fs::read_link(&descriptor).map_err(|_| not_found())?;
    let Ok(below) = real.strip_prefix(home) else {
        return Err(Refusal::new(StatusCode::BAD_REQUEST, "Invalid path"));
    };
    let metadata = file.metadata().map_err(|_| not_found())?;
    if is_private(below) {
        return Err(not_found());
    }
    if metadata.is_dir() {
        return Ok(Opened::Folder(list(Path::new(&descriptor), below).map_err(|_| not_found())?));
    }
    if !metadata.is_file() {
        return Err(not_found());
    }
    // Secrets in contexts are masked by whoever writes them.
    let is_context = below.as_os_str().as_bytes().ends_with(b".context.json");
    if !is_context && !access.may_show(&metadata) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, OWNERS_ONLY));
    }
    Ok(Opened::File { file, length: metadata.len() })
}

fn is_private(below_home: &Path) -> bool {
    below_home.components().next().is_some_and(|first| first.as_os_str() == PRIVATE)
}

/// What is in a folder: folders first, then by name.
fn list(folder: &Path, below_home: &Path) -> std::io::Result<Vec<Listed>> {
    let mut listed = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MAX_LISTED) {
        let entry = entry?;
        // What a link leads to; one that leads nowhere is itself.
        let metadata: Metadata = std::fs::metadata(entry.path()).or_else(|_| entry.metadata())?;
        let name = entry.file_name();
        if !is_private(&below_home.join(&name)) {
            listed.push(Listed { name, length: (!metadata.is_dir()).then_some(metadata.len()) });
        }
    }
    listed
        .sort_by(|one, other| (one.length.is_some(), &one.name).cmp(&(other.length.is_some(), &other.name)));
    Ok(listed)
}

/// A file, read as fast as it is taken, up to the length that it has now.
fn shown(file: File, length: u64, wanted: &Path) -> Response<Body> {
    let known = media_type(wanted).filter(|_| length <= MAX_TEXT_BYTES);
    let body = StreamBody::new(stream::unfold((file, length), |(file, left)| async move {
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = Vec::with_capacity(CHUNK_BYTES);
            let result = (&file).take(left.min(CHUNK_BYTES as u64)).read_to_end(&mut chunk);
            (file, result.map(|_| chunk))
        });
        match read.await {
            Ok((_, Ok(chunk))) if chunk.is_empty() => None,
            Ok((file, Ok(chunk))) => {
                let left = left.saturating_sub(chunk.len() as u64);
                Some((Ok(Frame::data(Bytes::from(chunk))), (file, left)))
            }
            Ok((file, Err(error))) => Some((Err(error.into()), (file, 0))),
            Err(_) => None,
        }
    }));
    let mut response =
        answer(StatusCode::OK, known.unwrap_or("application/octet-stream"), body.boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(FILE_POLICY));
    if known.is_none() {
        headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
    }
    response
}

/// Types by extension (specification §10); contexts and logs, also rotated ones, are what is there as a rule.
fn media_type(path: &Path) -> Option<&'static str> {
    let name = path.file_name()?.to_string_lossy().to_ascii_lowercase();
    if name.contains(".stdout.log") || name.contains(".stderr.log") {
        return Some("text/plain; charset=utf-8");
    }
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json; charset=utf-8",
        "log" | "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "wasm" => "application/wasm",
        _ => return None,
    })
}

/// A folder as a page.
fn listing(wanted: &Path, listed: &[Listed]) -> String {
    let mut crumbs = format!("<a href=\"{BASE}/ledger.d/\">ledger.d</a>");
    let mut link = format!("{BASE}/ledger.d/");
    for part in wanted.components() {
        link.push_str(&format!("{}/", in_url(part.as_os_str())));
        let name = escaped(&part.as_os_str().to_string_lossy());
        crumbs.push_str(&format!(" / <a href=\"{link}\">{name}</a>"));
    }
    let rows: String = listed.iter().map(row).collect();
    let rest = if listed.len() >= MAX_LISTED {
        format!("<p>Only {MAX_LISTED} names are listed.</p>")
    } else if listed.is_empty() {
        "<p>Nothing is here.</p>".to_owned()
    } else {
        String::new()
    };
    page::frame(
        "Ledger",
        &format!(
            "<h2 class=\"crumbs\">{crumbs}</h2><div class=\"scroll\"><table><thead><tr><th>Name<th>Type/Size</tr></thead>\
             <tbody>{rows}</tbody></table></div>{rest}"
        ),
    )
}

fn row(listed: &Listed) -> String {
    let (slash, size) = match listed.length {
        None => ("/", "dir".to_owned()),
        Some(length) => ("", format!("{length} bytes")),
    };
    let (link, name) = (in_url(&listed.name), escaped(&listed.name.to_string_lossy()));
    format!("<tr><td><a href=\"{link}{slash}\">{name}{slash}</a><td>{size}</tr>")
}

fn in_url(name: &OsStr) -> String {
    percent_encode(name.as_bytes(), NON_ALPHANUMERIC).to_string()
}

fn not_found() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "Not found")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn ledger() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let home = std::fs::canonicalize(folder.path()).unwrap().join("ledger.d");
        std::fs::create_dir_all(home.join("watch/apps")).unwrap();
        std::fs::create_dir_all(home.join(".run/apps")).unwrap();
        std::fs::write(home.join("watch/apps/a.db.stdout.log"), "line\n").unwrap();
        std::fs::write(home.join(".run/secret"), "s").unwrap();
        std::fs::write(folder.path().join("outside.txt"), "o").unwrap();
        (folder, home)
    }

    fn status(home: &Path, path: &str) -> u16 {
        status_for(home, path, &Access::new(None, "localhost", 1).unwrap())
    }

    fn status_for(home: &Path, path: &str, access: &Access) -> u16 {
        let opened = wanted(path).and_then(|wanted| open(home, &wanted, access));
        opened.map_or_else(|refusal| refusal.status.as_u16(), |_| 200)
    }

    #[test]
    fn nothing_outside_the_ledger_is_opened() {
        let (_folder, home) = ledger();
        assert_eq!(status(&home, "watch/apps/a.db.stdout.log"), 200);
        assert_eq!(status(&home, ""), 200);
        for path in [
            "../outside.txt",
            "%2e%2e/outside.txt",
            "..%2foutside.txt",
            "watch/../../outside.txt",
            "/etc/passwd",
            "%2Fetc%2Fpasswd",
            "watch/%2e%2e/%2e%2e/outside.txt",
            "watch%00",
            "./watch/./../x",
        ] {
            assert_eq!(status(&home, path), 400, "{path}");
        }
        assert_eq!(status(&home, "watch/nothing"), 404);
        assert_eq!(status(&home, "..%5coutside.txt"), 404, "a name with a backslash, which is not there");
    }

    #[test]
    fn links_lead_anywhere_within_the_ledger_and_nowhere_outside() {
        let (folder, home) = ledger();
        symlink("../watch/apps/a.db.stdout.log", home.join("watch/in")).unwrap();
        symlink(folder.path().join("outside.txt"), home.join("watch/out")).unwrap();
        symlink("/", home.join("watch/root")).unwrap();
        symlink("../.run", home.join("watch/run")).unwrap();
        assert_eq!(status(&home, "watch/in"), 200);
        assert_eq!(status(&home, "watch/out"), 400);
        assert_eq!(status(&home, "watch/root/etc/passwd"), 400);
        assert_eq!(status(&home, "watch/root"), 400);
        assert_eq!(status(&home, "watch/run/secret"), 404);
        assert_eq!(status(&home, ".run/secret"), 404);
        assert_eq!(status(&home, "%2erun/"), 404);
        let Ok(Opened::Folder(listed)) =
            open(&home, Path::new(""), &Access::new(None, "localhost", 1).unwrap())
        else {
            panic!("a folder")
        };
        let names: Vec<_> = listed.iter().map(|one| one.name.to_str().unwrap()).collect();
        assert_eq!(names, ["watch"]);
    }

    #[test]
    fn what_is_for_its_owner_only_needs_the_key() {
        let (_folder, home) = ledger();
        let private = |name: &str| {
            let path = home.join("watch/apps").join(name);
            std::fs::write(&path, "{}").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            format!("watch/apps/{name}")
        };
        let (log, context) = (private("b.db.stderr.log"), private("b.db.context.json"));
        let key = crate::Key::new("0123456789abcdef").unwrap();
        assert_eq!(status(&home, &log), 403);
        assert_eq!(status(&home, &context), 200, "its secrets are masked");
        assert_eq!(status_for(&home, &log, &Access::new(Some(key), "localhost", 1).unwrap()), 200);
    }

    #[test]
    fn a_pipe_neither_blocks_nor_is_shown() {
        let (_folder, home) = ledger();
        let made = std::process::Command::new("mkfifo").arg(home.join("watch/pipe")).status().unwrap();
        assert!(made.success());
        assert_eq!(status(&home, "watch/pipe"), 404);
    }

    #[test]
    fn names_cannot_break_out_of_the_listing() {
        let name = OsString::from("<script>\"'&.txt");
        let page = listing(Path::new("<b>"), &[Listed { name, length: Some(1) }]);
        assert!(!page.contains("<script>\"") && !page.contains("<b>"), "{page}");
        assert!(page.contains("href=\"%3Cscript%3E%22%27%26%2Etxt\""), "{page}");
    }

    #[test]
    fn types_are_known_by_extension() {
        let known = |name: &str| media_type(Path::new(name));
        assert_eq!(known("a.db.stdout.log.1"), Some("text/plain; charset=utf-8"));
        assert_eq!(known("a.db.context.json"), Some("application/json; charset=utf-8"));
        assert_eq!(known("a.HTML"), Some("text/html; charset=utf-8"));
        assert_eq!(known("a.db"), None);
    }
}
