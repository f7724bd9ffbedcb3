//! The table of routes, and the rules by which a path finds its route (specification §5.7).
//!
//! A path is cut at its slashes, then every segment is decoded: `a%3Ab` is the stream `a:b`. Nothing else is done to
//! it; `..` and an empty segment are names like any other. A slash in a segment (`%2F`) belongs to no route, because
//! it could be taken for the end of a segment on the way here. A verb (`:count`) is looked for at the end of the
//! last segment, so that names may hold colons.

use http::Method;

use super::escapes;

/// What a route leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Appends a batch.
    Append,
    /// Reads a page.
    Read,
    /// Counts entries.
    Count,
    /// Replaces tags.
    SetTags,
    /// Changes annotations.
    SetAnnotations,
    /// Deletes the oldest entries.
    Trim,
    /// Names the streams.
    ListStreamIDs,
    /// Gives a stream another name.
    RenameStream,
    /// Size of a stream.
    Stat,
    /// Searches payloads.
    Search,
    /// Follows a stream by server-sent events.
    Subscribe,
    /// Health as the original tells it.
    Health,
    /// Whether the process answers.
    Live,
    /// Whether the database answers.
    Ready,
    /// The description of the routes.
    OpenApi,
    /// What the daemon has counted.
    Metrics,
}

impl Call {
    /// Path of the call over gRPC, by which the guard knows what it needs.
    pub(super) fn guarded_as(self) -> &'static str {
        match self {
            Self::Append => "/ledger.v1.LedgerService/Append",
            Self::Read => "/ledger.v1.LedgerService/Read",
            Self::Count => "/ledger.v1.LedgerService/Count",
            Self::SetTags => "/ledger.v1.LedgerService/SetTags",
            Self::SetAnnotations => "/ledger.v1.LedgerService/SetAnnotations",
            Self::Trim => "/ledger.v1.LedgerService/Trim",
            Self::ListStreamIDs => "/ledger.v1.LedgerService/ListStreamIDs",
            Self::RenameStream => "/ledger.v1.LedgerService/RenameStream",
            Self::Stat => "/ledger.v1.LedgerService/Stat",
            Self::Search => "/ledger.v1.LedgerService/Search",
            Self::Subscribe => "/ledger.v1.LedgerStreaming/Subscribe",
            Self::Health => "/ledger.v1.LedgerService/Health",
            // Orchestrators have no key.
            Self::Live | Self::Ready => "/grpc.health.v1.Health/Check",
            // The description of the service needs what reflection needs.
            Self::OpenApi => "/openapi.json",
            Self::Metrics => "/metrics",
        }
    }
}

/// One route.
#[derive(Debug)]
pub struct Route {
    /// The method; every other one is answered with 501.
    pub method: Method,
    /// The path: fields of the request in braces, a verb behind the last colon.
    pub template: &'static str,
    /// Where it leads.
    pub call: Call,
    /// Whether the request is the body; otherwise it is the query.
    pub has_body: bool,
}

const fn route(method: Method, template: &'static str, call: Call) -> Route {
    Route { method, template, call, has_body: false }
}

const fn with_body(method: Method, template: &'static str, call: Call) -> Route {
    Route { method, template, call, has_body: true }
}

/// Every route of the gateway.
pub const ROUTES: &[Route] = &[
    with_body(Method::POST, "/v1/streams/{stream}/entries", Call::Append),
    route(Method::GET, "/v1/streams/{stream}/entries", Call::Read),
    route(Method::GET, "/v1/streams/{stream}/entries:count", Call::Count),
    route(Method::GET, "/v1/streams/{stream}/entries:subscribe", Call::Subscribe),
    with_body(Method::POST, "/v1/streams/{stream}/entries:trim", Call::Trim),
    with_body(Method::POST, "/v1/streams/{stream}/entries:search", Call::Search),
    with_body(Method::PUT, "/v1/streams/{stream}/entries/{id}/tags", Call::SetTags),
    with_body(Method::PATCH, "/v1/streams/{stream}/entries/{id}/annotations", Call::SetAnnotations),
    route(Method::GET, "/v1/streams", Call::ListStreamIDs),
    with_body(Method::POST, "/v1/streams/{name}:rename", Call::RenameStream),
    route(Method::GET, "/v1/streams/{stream}:stat", Call::Stat),
    route(Method::GET, "/v1/health", Call::Health),
    route(Method::GET, "/healthz", Call::Live),
    route(Method::GET, "/readyz", Call::Ready),
    route(Method::GET, "/openapi.json", Call::OpenApi),
    route(Method::GET, "/metrics", Call::Metrics),
];

/// Why a path leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// A percent escape is none, or the bytes are no UTF-8.
    Malformed(escapes::Malformed),
    /// There is no such path.
    NotFound,
    /// There is, but for another method.
    WrongMethod,
}

/// Fields of a request that stand in its path, by name.
pub(super) type Values = Vec<(&'static str, String)>;

/// The route of a path as it was sent, and the values in it.
pub(super) fn find(method: &Method, path: &str) -> Result<(&'static Route, Values), NoRoute> {
    let path = path.strip_prefix('/').ok_or(NoRoute::NotFound)?;
    let segments: Result<Vec<String>, _> = path.split('/').map(escapes::decode_segment).collect();
    let segments = segments.map_err(NoRoute::Malformed)?;
    if segments.iter().any(|segment| segment.contains('/')) {
        return Err(NoRoute::NotFound);
    }
    let mut matching = ROUTES.iter().filter_map(|route| Some((route, values(route.template, &segments)?)));
    let first = matching.next().ok_or(NoRoute::NotFound)?;
    std::iter::once(first)
        .chain(matching)
        .find(|(route, _)| route.method == *method)
        .ok_or(NoRoute::WrongMethod)
}

/// The values of a path; `None` if it is not of this template.
fn values(template: &'static str, segments: &[String]) -> Option<Values> {
    let template = template.strip_prefix('/')?;
    // A colon is only ever that of the verb.
    let (template, verb) =
        template.split_once(':').map_or((template, None), |(path, verb)| (path, Some(verb)));
    if template.split('/').count() != segments.len() {
        return None;
    }
    let mut values = Values::new();
    for (index, (expected, segment)) in template.split('/').zip(segments).enumerate() {
        let is_last = index.checked_add(1) == Some(segments.len());
        let segment = match verb {
            Some(verb) if is_last => {
                // A verb without anything before it is no name with a verb.
                segment.strip_suffix(verb)?.strip_suffix(':').filter(|name| !name.is_empty())?
            }
            _ => segment,
        };
        match expected.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
            Some(name) => values.push((name, segment.to_owned())),
            None if expected == segment => {}
            None => return None,
        }
    }
    Some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(method: &Method, path: &str) -> Result<(Call, Vec<String>), NoRoute> {
        find(method, path)
            .map(|(route, values)| (route.call, values.into_iter().map(|(_, value)| value).collect()))
    }

    #[test]
    fn every_route_is_found_by_its_own_template() {
        for route in ROUTES {
            let path = route.template.replace("{stream}", "s").replace("{name}", "s").replace("{id}", "7");
            let expected: Vec<&str> = match route.template.matches('{').count() {
                0 => vec![],
                1 => vec!["s"],
                _ => vec!["s", "7"],
            };
            let (call, values) = found(&route.method, &path).unwrap();
            assert_eq!((call, values), (route.call, expected.into_iter().map(str::to_owned).collect()));
            let other = if route.method == Method::DELETE { Method::GET } else { Method::DELETE };
            assert_eq!(found(&other, &path), Err(NoRoute::WrongMethod), "{path}");
        }
    }

    #[test]
    fn segments_are_decoded_once_and_names_may_be_anything_but_a_slash() {
        for (path, stream) in [
            ("/v1/streams/a%3Ab/entries", "a:b"),
            ("/v1/streams/a:b/entries", "a:b"),
            ("/v1/streams//entries", ""),
            ("/v1/streams/../entries", ".."),
            ("/v1/streams/%2e%2e/entries", ".."),
            ("/v1/streams/%252F/entries", "%2F"),
            ("/v1/streams/a+b/entries", "a+b"),
            ("/v1/streams/%00/entries", "\0"),
            ("/v1/streams/%C3%A9/entries", "é"),
            ("/v1/streams/s/entr%69es", "s"),
        ] {
            assert_eq!(found(&Method::GET, path), Ok((Call::Read, vec![stream.to_owned()])), "{path}");
        }
        let stat = |name: &str| Ok((Call::Stat, vec![name.to_owned()]));
        assert_eq!(found(&Method::GET, "/v1/streams/a:b:stat"), stat("a:b"));
        assert_eq!(found(&Method::GET, "/v1/streams/a%3Astat"), stat("a"));
    }

    #[test]
    fn what_is_not_in_the_table_is_not_found() {
        for path in [
            "/",
            "",
            "*",
            "//",
            "/v1",
            "/v1/streams/",
            "/v1/streams/s",
            "/v1/streams/s/",
            "/v1/streams/a%2Fb/entries",
            "/v1/streams/s/entries%2F7%2Ftags",
            "/v1/streams/a/b/entries",
            "/v1/streams/s/entries/",
            "/v1//streams",
            "//v1/streams",
            "/v1/streams/:stat",
            "/v1/streams/:rename",
            "/v1/streams/s/entries:nonsense",
            "/v1/../v1/streams",
            "/V1/streams",
        ] {
            for method in [Method::GET, Method::POST] {
                assert_eq!(found(&method, path), Err(NoRoute::NotFound), "{path}");
            }
        }
        for path in ["/v1/streams/%zz/entries", "/v1/streams/%/entries", "/v1/streams/%ff/entries"] {
            assert!(matches!(found(&Method::GET, path), Err(NoRoute::Malformed(_))), "{path}");
        }
    }
}
