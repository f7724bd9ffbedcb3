//! Traefik: dynamic configuration for the file provider, one file per service, or all in one document.

use super::{ProxyFile, Route, comment};

/// How the files are made.
#[derive(Clone, Debug)]
pub struct TraefikOptions {
    /// Entry points of the routers.
    pub entrypoints: Vec<String>,
    /// Rule of the routers, in the place of the one for the prefix.
    pub rule: Option<String>,
    /// Whether services that do not know their prefix are asked without it.
    pub strip_prefix: bool,
    /// Text that is added to every document.
    pub extra: String,
}

impl Default for TraefikOptions {
    fn default() -> Self {
        Self { entrypoints: vec!["web".to_owned()], rule: None, strip_prefix: false, extra: String::new() }
    }
}

/// The three maps of a document.
#[derive(Default)]
struct Document {
    routers: String,
    services: String,
    middlewares: String,
}

impl TraefikOptions {
    /// The whole configuration as one document.
    pub fn bundle(&self, routes: &[Route]) -> String {
        let mut document = Document::default();
        for route in routes {
            self.add(route, &mut document);
        }
        document.text(&self.extra)
    }

    /// The configuration as one file per service: a folder of them can be given to the file provider.
    pub fn files(&self, routes: &[Route]) -> Vec<ProxyFile> {
        let file = |route: &Route| {
            let mut document = Document::default();
            self.add(route, &mut document);
            ProxyFile { name: format!("{}.yaml", route.file_stem()), text: document.text(&self.extra) }
        };
        routes.iter().map(file).collect()
    }

    fn add(&self, route: &Route, document: &mut Document) {
        let name = route.file_stem().replace('.', "-");
        let rule = self.rule.clone().unwrap_or_else(|| rule_for(&route.prefix));
        let entrypoints: Vec<String> = self.entrypoints.iter().map(|one| yaml(one)).collect();
        let upstream_prefix = route.upstream_prefix(self.strip_prefix);
        let mut middlewares = vec![format!("{name}-headers")];
        document.routers.push_str(&format!(
            "    # {} ({}), {}\n    {name}:\n      rule: {}\n      entryPoints: [{}]\n      service: {name}\n",
            comment(&route.id),
            route.kind,
            comment(&route.provenance),
            yaml(&rule),
            entrypoints.join(", ")
        ));
        document.services.push_str(&format!(
            "    {name}:\n      loadBalancer:\n        passHostHeader: true\n        servers:\n          - url: {}\n",
            yaml(&route.upstream)
        ));
        document
            .middlewares
            .push_str(&format!("    {name}-headers:\n      headers:\n        customRequestHeaders:\n"));
        for (header, value) in route.headers() {
            document.middlewares.push_str(&format!("          {header}: {}\n", yaml(&value)));
        }
        if upstream_prefix != route.prefix {
            middlewares.push(format!("{name}-strip"));
            document.middlewares.push_str(&format!(
                "    {name}-strip:\n      stripPrefix:\n        prefixes: [{}]\n",
                yaml(&route.prefix)
            ));
            if !upstream_prefix.is_empty() {
                middlewares.push(format!("{name}-add"));
                document.middlewares.push_str(&format!(
                    "    {name}-add:\n      addPrefix:\n        prefix: {}\n",
                    yaml(upstream_prefix)
                ));
            }
        }
        document.routers.push_str(&format!("      middlewares: [{}]\n", middlewares.join(", ")));
    }
}

impl Document {
    fn text(self, extra: &str) -> String {
        if self.routers.is_empty() {
            return format!("# Truth Yard: generated, changes are lost; there is no service\n{extra}");
        }
        let mut text = format!(
            "# Truth Yard: generated, changes are lost\nhttp:\n  routers:\n{}  services:\n{}  middlewares:\n{}",
            self.routers, self.services, self.middlewares
        );
        if !extra.is_empty() {
            text.push_str(&format!("\n{}\n", extra.trim_end()));
        }
        text
    }
}

/// The prefix itself and what is below it; not what only begins like it.
fn rule_for(prefix: &str) -> String {
    if prefix.is_empty() {
        return "PathPrefix(`/`)".to_owned();
    }
    format!("Path({}) || PathPrefix({})", quoted(prefix), quoted(&format!("{prefix}/")))
}

/// A string of the rule language: between backticks, or, if it holds one, in double quotes with escapes.
fn quoted(text: &str) -> String {
    if text.contains('`') || text.chars().any(char::is_control) { yaml(text) } else { format!("`{text}`") }
}

/// A string of YAML: JSON's strings are strings of YAML 1.2 too.
fn yaml(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::super::tests::route;
    use super::*;
    use serde_json::Value;

    fn parsed(text: &str) -> Value {
        serde_saphyr::from_str(text).unwrap()
    }

    /// The part of Traefik's dynamic configuration that is written here, as its reference has it ("Routing &
    /// Load Balancing", "HTTP"): a key that it does not know is an error of its file provider.
    mod schema {
        use std::collections::BTreeMap;

        use serde::Deserialize;

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Configuration {
            pub(super) http: Http,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Http {
            pub(super) routers: BTreeMap<String, Router>,
            pub(super) services: BTreeMap<String, Service>,
            pub(super) middlewares: BTreeMap<String, Middleware>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(super) struct Router {
            pub(super) rule: String,
            pub(super) entry_points: Vec<String>,
            pub(super) service: String,
            pub(super) middlewares: Vec<String>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(super) struct Service {
            pub(super) load_balancer: LoadBalancer,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(super) struct LoadBalancer {
            pub(super) pass_host_header: bool,
            pub(super) servers: Vec<Server>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct Server {
            pub(super) url: String,
        }

        /// One of them, and no other.
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        pub(super) enum Middleware {
            Headers(Headers),
            StripPrefix(StripPrefix),
            AddPrefix(AddPrefix),
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, rename_all = "camelCase")]
        pub(super) struct Headers {
            pub(super) custom_request_headers: BTreeMap<String, String>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct StripPrefix {
            pub(super) prefixes: Vec<String>,
        }

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct AddPrefix {
            pub(super) prefix: String,
        }
    }

    #[test]
    fn every_document_has_the_shape_that_traefik_reads() {
        let routes = [
            route("/a", Some("/a")),
            Route { provenance: "/srv/b.db".to_owned(), ..route("/public", Some("/b")) },
            Route { provenance: "/srv/it's \"c\"\n.db".to_owned(), ..route("/it's \"c\"\n", None) },
        ];
        for strip_prefix in [false, true] {
            let options = TraefikOptions { strip_prefix, ..TraefikOptions::default() };
            let files = options.files(&routes);
            assert_eq!(files.len(), routes.len());
            for text in files.iter().map(|file| file.text.as_str()).chain([options.bundle(&routes).as_str()])
            {
                let schema::Http { routers, services, middlewares } =
                    serde_saphyr::from_str::<schema::Configuration>(text).unwrap().http;
                for router in routers.values() {
                    assert!(router.rule.contains("PathPrefix(") && router.entry_points == ["web"], "{text}");
                    let balancer = &services[&router.service].load_balancer;
                    assert!(
                        balancer.pass_host_header && balancer.servers[0].url.starts_with("http://"),
                        "{text}"
                    );
                    for name in &router.middlewares {
                        match &middlewares[name] {
                            schema::Middleware::Headers(headers) => {
                                assert!(
                                    headers.custom_request_headers.contains_key("X-Truth-Yard-Id"),
                                    "{text}"
                                );
                            }
                            schema::Middleware::StripPrefix(strip) => {
                                assert!(strip.prefixes[0].starts_with('/'));
                            }
                            schema::Middleware::AddPrefix(add) => assert!(add.prefix.starts_with('/')),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn all_services_stand_in_one_valid_document() {
        let mut other = route("/b", None);
        other.provenance = "/srv/cargo.d/b.db".to_owned();
        let text = TraefikOptions::default().bundle(&[route("/a", Some("/a")), other]);
        let document = parsed(&text);
        let routers = document.pointer("/http/routers").unwrap().as_object().unwrap();
        assert_eq!(routers.len(), 2);
        let rules: Vec<&str> = routers.values().map(|router| router["rule"].as_str().unwrap()).collect();
        assert_eq!(rules, ["Path(`/a`) || PathPrefix(`/a/`)", "Path(`/b`) || PathPrefix(`/b/`)"]);
    }

    #[test]
    fn every_middleware_that_a_router_names_is_there() {
        let options = TraefikOptions { strip_prefix: true, ..TraefikOptions::default() };
        for route in [route("/a", None), route("/public", Some("/a")), route("/a", Some("/a"))] {
            let document = parsed(&options.bundle(std::slice::from_ref(&route)));
            let http = document.get("http").unwrap();
            let router = http["routers"].as_object().unwrap().values().next().unwrap();
            for name in router["middlewares"].as_array().unwrap() {
                assert!(http["middlewares"].get(name.as_str().unwrap()).is_some(), "{name} of {route:?}");
            }
            assert!(http["services"].get(router["service"].as_str().unwrap()).is_some());
        }
    }

    #[test]
    fn no_name_breaks_out_of_its_place() {
        let document = parsed(&TraefikOptions::default().bundle(&[route("/a`) || Path(`/\"\n: x", None)]));
        let router = document.pointer("/http/routers").unwrap().as_object().unwrap().values().next().unwrap();
        let rule = router["rule"].as_str().unwrap();
        assert!(rule.starts_with("Path(\"/a`) || Path(`/\\\"\\n: x\")"), "{rule}");
    }
}
