//! Who may ask.
//!
//! Without a key the console is for this machine: it listens on loopback, and answers only if the browser asked for an address,
//! `localhost`, or the name it listens on. A page of another site that makes its own name point here (DNS rebinding) is
//! refused that way. With a key every request carries it, as `Authorization: Bearer KEY` or, in the browser, as a cookie that
//! the login form sets; the cookie holds a random value of this run, not the key.
//!
//! Cookies do not know ports (RFC 6265 §8.5), so the name of the cookie holds the port: two consoles do not log each other's
//! users out. For the same reason a service that is opened on its own port receives the cookie; one that is opened
//! through the console does not, because [`Access::conceal`] takes it out.

use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, SET_COOKIE};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, StatusCode};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::answer::Refusal;

/// Fewest characters of a key.
const MIN_KEY_LENGTH: usize = 16;
/// Largest key file that is read, in bytes.
const MAX_KEY_BYTES: u64 = 4096;

/// Why a file is not shown.
pub(crate) const OWNERS_ONLY: &str = "this file is for its owner only (mode 0600: the service has a .env), and everybody on this \
     machine can open a console without a key; start it with --key-file to see it";

/// What opens the console.
#[derive(Clone)]
pub struct Key(Zeroizing<String>);

/// A key that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("yard: key file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Others can read the file.
    #[error("yard: key file {} can be read by others (mode {mode:o}); chmod 600 it, and change the key", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It could be guessed, or cannot stand in a header.
    #[error(
        "yard: a key has {MIN_KEY_LENGTH} characters or more, all of them printable ASCII without spaces; \
         `openssl rand -hex 24` makes one"
    )]
    Weak,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Key(…)")
    }
}

impl Key {
    /// A key from its text.
    ///
    /// # Errors
    /// [`KeyError::Weak`].
    pub fn new(text: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.len() < MIN_KEY_LENGTH || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KeyError::Weak);
        }
        Ok(Self(Zeroizing::new(text.to_owned())))
    }

    /// The key in a file that nobody else can read.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn from_file(path: &Path) -> Result<Self, KeyError> {
        use std::io::Read;
        let failed = |source| KeyError::File { path: path.to_owned(), source };
        let file = std::fs::File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(String::new());
        file.take(MAX_KEY_BYTES).read_to_string(&mut text).map_err(failed)?;
        Self::new(&text)
    }

    fn is(&self, text: &str) -> bool {
        self.0.as_bytes().ct_eq(text.as_bytes()).into()
    }
}

/// The rule for this console.
pub(crate) struct Access {
    key: Option<Key>,
    /// Value of the cookie, random for each run.
    session: Zeroizing<String>,
    cookie: String,
    /// The name or address that the console was told to listen on.
    host: String,
}

impl Access {
    /// # Errors
    /// When the operating system has no random numbers.
    pub(crate) fn new(key: Option<Key>, host: &str, port: u16) -> Result<Self, std::io::Error> {
        let mut bytes = [0_u8; 32];
        getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
        let session = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let host = host.to_ascii_lowercase();
        Ok(Self { key, session: Zeroizing::new(session), cookie: format!("truth-yard-{port}"), host })
    }

    /// Whether a key protects the console.
    pub(crate) fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Whether a file may be shown: one that its mode keeps from others only to those who have the key.
    pub(crate) fn may_show(&self, metadata: &std::fs::Metadata) -> bool {
        self.has_key() || metadata.permissions().mode() & 0o044 != 0
    }

    /// The address that the browser asked for, if it may.
    ///
    /// # Errors
    /// 400 and 421.
    pub(crate) fn host(&self, request: &Parts) -> Result<Authority, Refusal> {
        if request.uri.authority().is_some() {
            return Err(Refusal::new(
                StatusCode::BAD_REQUEST,
                "this is no forward proxy; ask for a path, not for a URL",
            ));
        }
        let mut hosts = request.headers.get_all(HOST).iter();
        let host = match (hosts.next(), hosts.next()) {
            (Some(host), None) => host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()),
            _ => None,
        };
        let Some(host) = host.filter(|host| !host.as_str().contains('@')) else {
            return Err(Refusal::new(StatusCode::BAD_REQUEST, "the request needs exactly one Host"));
        };
        if self.has_key() || self.is_ours(host.host()) {
            return Ok(host);
        }
        Err(Refusal::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "the name {} may lead here from a page of another site (DNS rebinding), so it is not answered; use \
                 http://localhost or the address, listen on that name (--host), or protect the console with --key-file",
                host.host()
            ),
        ))
    }

    /// A name that no foreign site can make its own: an address, a name that always means this machine, or ours.
    fn is_ours(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let literal = host.trim_start_matches('[').trim_end_matches(']');
        literal.parse::<IpAddr>().is_ok()
            || host == "localhost"
            || host.ends_with(".localhost")
            || host == self.host
    }

    /// Whether the request carries the key or the cookie; always, if there is no key.
    pub(crate) fn is_let_in(&self, headers: &HeaderMap) -> bool {
        let Some(key) = &self.key else { return true };
        let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(bearer).any(|text| key.is(text));
        let cookie = cookies(headers).filter_map(|pair| pair.split_once('=')).any(|(name, value)| {
            name == self.cookie && value.as_bytes().ct_eq(self.session.as_bytes()).into()
        });
        bearer || cookie
    }

    /// The cookie for somebody who has the key.
    pub(crate) fn login(&self, text: &str) -> Option<HeaderValue> {
        let key = self.key.as_ref()?;
        if !key.is(text) {
            return None;
        }
        let cookie = format!("{}={}; Path=/; HttpOnly; SameSite=Strict", self.cookie, self.session.as_str());
        let mut cookie = HeaderValue::try_from(cookie).ok()?;
        cookie.set_sensitive(true);
        Some(cookie)
    }

    /// Takes out of a request what opens the console, before it goes to a service.
    pub(crate) fn conceal(&self, headers: &mut HeaderMap) {
        let Some(key) = &self.key else { return };
        if headers.get_all(AUTHORIZATION).iter().filter_map(bearer).any(|text| key.is(text)) {
            headers.remove(AUTHORIZATION);
        }
        let is_ours = |pair: &str| pair.split_once('=').is_some_and(|(name, _)| name == self.cookie);
        if cookies(headers).any(is_ours) {
            let others: Vec<&str> = cookies(headers).filter(|pair| !is_ours(pair)).collect();
            let others = HeaderValue::try_from(others.join("; ")).ok().filter(|value| !value.is_empty());
            match others {
                Some(others) => _ = headers.insert(COOKIE, others),
                None => _ = headers.remove(COOKIE),
            }
        }
    }

    /// Takes out of an answer of a service what would replace the console's cookie.
    pub(crate) fn keep_cookie(&self, headers: &mut HeaderMap) {
        let is_ours = |value: &HeaderValue| {
            let name = value.as_bytes().split(|byte| *byte == b'=').next().unwrap_or_default();
            name.trim_ascii() == self.cookie.as_bytes()
        };
        if !headers.get_all(SET_COOKIE).iter().any(is_ours) {
            return;
        }
        let kept: Vec<HeaderValue> =
            headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
        headers.remove(SET_COOKIE);
        for value in kept {
            headers.append(SET_COOKIE, value);
        }
    }
}

/// Whether a request that changes something comes from a page of this console, or from no page at all.
pub(crate) fn is_same_origin(headers: &HeaderMap, host: &Authority) -> bool {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    let is_own_site = matches!(site, None | Some(b"same-origin" | b"none"));
    let origin = headers.get(ORIGIN).map(|origin| origin.to_str().unwrap_or_default());
    let is_own_origin = origin.is_none_or(|origin| {
        origin.split_once("://").is_some_and(|(_, authority)| authority.eq_ignore_ascii_case(host.as_str()))
    });
    is_own_site && is_own_origin
}

fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
}

/// The `name=value` pairs of all `Cookie` headers. A header that is no text holds none of ours.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let texts = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(';')).map(str::trim).filter(|pair| !pair.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    const KEY: &str = "0123456789abcdef";

    fn access(key: Option<&str>) -> Access {
        Access::new(key.map(|key| Key::new(key).unwrap()), "yard.example", 8787).unwrap()
    }

    fn asking(uri: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap()));
        let mut headers = HeaderMap::new();
        pairs.for_each(|(name, value): (http::HeaderName, HeaderValue)| _ = headers.append(name, value));
        headers
    }

    #[test]
    fn only_names_that_no_foreign_site_can_own_are_answered_without_a_key() {
        let open = access(None);
        let status =
            |hosts: &[&str]| open.host(&asking("/", hosts)).map_err(|refusal| refusal.status.as_u16());
        for fine in
            ["127.0.0.1:8787", "localhost", "[::1]:80", "10.0.0.7", "a.localhost:1", "YARD.example:8787"]
        {
            assert!(status(&[fine]).is_ok(), "{fine}");
        }
        for foreign in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "2130706433.evil"]
        {
            assert_eq!(status(&[foreign]), Err(421), "{foreign}");
        }
        for broken in [&[][..], &["localhost", "localhost"], &["user@localhost"], &["a b"]] {
            assert_eq!(status(broken), Err(400), "{broken:?}");
        }
        assert!(open.host(&asking("http://localhost/", &["localhost"])).is_err(), "no forward proxy");
        assert!(access(Some(KEY)).host(&asking("/", &["any.example"])).is_ok(), "the key protects it");
    }

    #[test]
    fn a_key_or_the_cookie_of_this_run_opens_and_nothing_else() {
        let access = access(Some(KEY));
        let is_let_in = |name: &'static str, value: &str| access.is_let_in(&headers(&[(name, value)]));
        assert!(is_let_in("authorization", &format!("bearer {KEY}")));
        assert!(!is_let_in("authorization", &format!("Bearer {KEY}0")));
        assert!(!is_let_in("authorization", KEY));
        assert!(access.login("wrong").is_none());
        let cookie = access.login(KEY).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains(KEY));
        let pair = cookie.split(';').next().unwrap();
        assert!(is_let_in("cookie", &format!("a=b; {pair}")));
        assert!(!is_let_in("cookie", &format!("{pair}0")));
        assert!(!is_let_in("cookie", &format!("truth-yard-8787={KEY}")));
        assert!(
            !Access::new(Some(Key::new(KEY).unwrap()), "x", 8787)
                .unwrap()
                .is_let_in(&headers(&[("cookie", pair)])),
            "another run has another value"
        );
    }

    #[test]
    fn services_see_neither_key_nor_cookie_and_cannot_replace_the_cookie() {
        let access = access(Some(KEY));
        let bearer = format!("Bearer {KEY}");
        let mut sent =
            headers(&[("authorization", &bearer), ("cookie", "a=1; truth-yard-8787=x"), ("cookie", "b=2")]);
        access.conceal(&mut sent);
        assert_eq!(sent, headers(&[("cookie", "a=1; b=2")]));
        let mut only = headers(&[("cookie", "truth-yard-8787=x"), ("authorization", "Basic eA==")]);
        access.conceal(&mut only);
        assert_eq!(only, headers(&[("authorization", "Basic eA==")]), "what is not ours stays");
        let mut answer = headers(&[("set-cookie", "a=1"), ("set-cookie", " truth-yard-8787 = x; Path=/")]);
        access.keep_cookie(&mut answer);
        assert_eq!(answer, headers(&[("set-cookie", "a=1")]));
    }

    #[test]
    fn keys_are_long_and_their_files_private() {
        assert!(matches!(Key::new("short"), Err(KeyError::Weak)));
        assert!(matches!(Key::new("long but with spaces"), Err(KeyError::Weak)));
        assert_eq!(format!("{:?}", Key::new(KEY).unwrap()), "Key(…)");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, format!("{KEY}\n")).unwrap();
        let set = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(0o640);
        assert!(Key::from_file(&path).unwrap_err().to_string().contains("chmod 600"));
        set(0o600);
        assert!(Key::from_file(&path).unwrap().is(KEY));
    }

    #[test]
    fn a_form_of_another_site_is_refused() {
        let host: Authority = "localhost:8787".parse().unwrap();
        let is_ours = |pairs: &[(&'static str, &str)]| is_same_origin(&headers(pairs), &host);
        assert!(is_ours(&[]));
        assert!(is_ours(&[("origin", "http://localhost:8787"), ("sec-fetch-site", "same-origin")]));
        assert!(!is_ours(&[("origin", "http://evil.example")]));
        assert!(!is_ours(&[("origin", "null")]));
        assert!(!is_ours(&[("origin", "http://localhost:3000"), ("sec-fetch-site", "same-site")]));
    }
}
