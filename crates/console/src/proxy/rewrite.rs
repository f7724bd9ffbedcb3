//! What a service says of its own address, in the words of the browser (specification §15, 40).
//!
//! A service that knows its prefix says the right paths by itself. One that does not has its redirects and the paths of its
//! cookies put below the base path. A redirect to the service's own host and port, which the browser may not reach, becomes
//! a path in either case.

use http::header::{LOCATION, SET_COOKIE};
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Uri};

use super::table::Entry;

/// Rewrites the answer of a service.
pub(super) fn rewrite(headers: &mut HeaderMap, entry: &Entry, host: &Authority) {
    let base = entry.own_prefix.is_none().then(|| entry.base_in_url());
    if let Some(new) = headers.get(LOCATION).and_then(|value| location(value, entry, base.as_deref(), host)) {
        headers.insert(LOCATION, new);
    }
    let Some(base) = base.filter(|base| !base.is_empty()) else { return };
    if headers.contains_key(SET_COOKIE) {
        let cookies: Vec<HeaderValue> = headers.get_all(SET_COOKIE).iter().cloned().collect();
        headers.remove(SET_COOKIE);
        for value in cookies {
            headers.append(SET_COOKIE, cookie(&value, &base).unwrap_or(value));
        }
    }
}

/// The new value; `None` if the old one is right. `base` is there if the prefix was taken off.
fn location(value: &HeaderValue, entry: &Entry, base: Option<&str>, host: &Authority) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let base_or_none = base.unwrap_or_default();
    if text.starts_with('/') && !text.starts_with("//") {
        let base = base.filter(|base| !base.is_empty())?;
        return HeaderValue::try_from(format!("{base}{text}")).ok();
    }
    let absolute = if text.starts_with("//") { format!("http:{text}") } else { text.to_owned() };
    let uri: Uri = absolute.parse().ok()?;
    let authority = uri.authority()?;
    let is_service = is_same_service(authority, &entry.authority);
    let is_browsers = authority.as_str().eq_ignore_ascii_case(host.as_str());
    let is_below_base = is_browsers && !base_or_none.is_empty();
    if !is_service && !is_below_base {
        return None;
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let fragment = absolute.split_once('#').map(|(_, fragment)| format!("#{fragment}")).unwrap_or_default();
    HeaderValue::try_from(format!("{base_or_none}{path}{fragment}")).ok()
}

/// The same address, or another name of this machine with the same port.
fn is_same_service(one: &Authority, service: &Authority) -> bool {
    let is_loopback = |host: &str| matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let is_same_host = one.host().eq_ignore_ascii_case(service.host())
        || (is_loopback(one.host()) && is_loopback(service.host()));
    is_same_host && one.port_u16().unwrap_or(80) == service.port_u16().unwrap_or(80)
}

/// The cookie with its path below the base path (RFC 6265 §5.2.4); `None` if it has no path or is no text.
fn cookie(value: &HeaderValue, base: &str) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let mut is_changed = false;
    let attributes: Vec<String> = text
        .split(';')
        .enumerate()
        .map(|(index, attribute)| match attribute.split_once('=') {
            Some((name, path)) if index > 0 && name.trim().eq_ignore_ascii_case("path") => {
                is_changed = true;
                let path = path.trim();
                // Anything else than a path means the default, which the browser takes from the address.
                if path.starts_with('/') {
                    format!(
                        "{name}={base}{}",
                        path.strip_suffix('/').filter(|path| path.is_empty()).unwrap_or(path)
                    )
                } else {
                    attribute.to_owned()
                }
            }
            _ => attribute.to_owned(),
        })
        .collect();
    is_changed.then(|| HeaderValue::try_from(attributes.join(";")).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::entry;
    use super::*;

    fn located(text: &str, own_prefix: Option<&str>) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, text.parse().unwrap());
        rewrite(&mut headers, &entry("/apps/a b", 3000, own_prefix), &"yard:8787".parse().unwrap());
        headers[LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn redirects_stay_below_the_base_path() {
        let stripped = |text| located(text, None);
        assert_eq!(stripped("/login?next=/x"), "/apps/a%20b/login?next=/x");
        assert_eq!(stripped("/"), "/apps/a%20b/");
        assert_eq!(stripped("http://127.0.0.1:3000/x?y#z"), "/apps/a%20b/x?y#z");
        assert_eq!(stripped("http://localhost:3000"), "/apps/a%20b/");
        assert_eq!(stripped("//127.0.0.1:3000/x"), "/apps/a%20b/x");
        assert_eq!(stripped("http://yard:8787/x"), "/apps/a%20b/x", "made from the Host that it was given");
        for other in ["x/y", "?q", "", "https://example.org/x", "//example.org/x", "http://127.0.0.1:3001/x"]
        {
            assert_eq!(stripped(other), other);
        }
    }

    #[test]
    fn a_service_that_knows_its_prefix_is_taken_at_its_word() {
        let kept = |text| located(text, Some("/apps/a b"));
        assert_eq!(kept("/apps/a%20b/x"), "/apps/a%20b/x");
        assert_eq!(kept("/elsewhere"), "/elsewhere");
        assert_eq!(kept("http://yard:8787/apps/a%20b/"), "http://yard:8787/apps/a%20b/");
        assert_eq!(
            kept("http://127.0.0.1:3000/apps/a%20b/x"),
            "/apps/a%20b/x",
            "the browser may not reach that"
        );
    }

    #[test]
    fn cookies_stay_below_the_base_path() {
        let cookie = |text: &str, own_prefix| {
            let mut headers = HeaderMap::new();
            headers.append(SET_COOKIE, text.parse().unwrap());
            headers.append(SET_COOKIE, "second=2".parse().unwrap());
            rewrite(&mut headers, &entry("/a", 3000, own_prefix), &"yard".parse().unwrap());
            let values: Vec<_> =
                headers.get_all(SET_COOKIE).iter().map(|value| value.to_str().unwrap()).collect();
            assert_eq!(values[1], "second=2");
            values[0].to_owned()
        };
        assert_eq!(cookie("s=1; Path=/; HttpOnly", None), "s=1; Path=/a; HttpOnly");
        assert_eq!(cookie("s=path=/; path=/x/", None), "s=path=/; path=/a/x/");
        assert_eq!(cookie("path=/", None), "path=/", "a cookie of that name");
        assert_eq!(cookie("s=1; Path=", None), "s=1; Path=");
        assert_eq!(cookie("s=1; Path=/", Some("/a")), "s=1; Path=/");
    }
}
