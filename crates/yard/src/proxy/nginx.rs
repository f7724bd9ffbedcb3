//! nginx: one file `truth-yard.generated.conf` with a server, to be included at the level of `http`, which includes the
//! files `truth-yard.*.location` beside it, one per service; these can also be included into a server of one's own.

use std::path::Path;

use super::{ProxyFile, Route, comment};

/// How the files are made.
#[derive(Clone, Debug)]
pub struct NginxOptions {
    /// `listen`.
    pub listen: String,
    /// `server_name`.
    pub server_name: String,
    /// Whether services that do not know their prefix are asked without it.
    pub strip_prefix: bool,
    /// Text that is added to the server.
    pub extra: String,
}

impl Default for NginxOptions {
    fn default() -> Self {
        Self {
            listen: "80".to_owned(),
            server_name: "_".to_owned(),
            strip_prefix: false,
            extra: String::new(),
        }
    }
}

impl NginxOptions {
    /// The whole configuration as one text.
    pub fn bundle(&self, routes: &[Route]) -> String {
        let locations: Vec<String> = routes.iter().map(|route| self.location(route)).collect();
        self.server(&locations.join("\n"))
    }

    /// The configuration as files for this folder.
    pub fn files(&self, routes: &[Route], folder: &Path) -> Vec<ProxyFile> {
        let include =
            format!("include {};\n", quoted(&folder.join("truth-yard.*.location").to_string_lossy()));
        let bundle = ProxyFile { name: "truth-yard.generated.conf".to_owned(), text: self.server(&include) };
        let location = |route: &Route| ProxyFile {
            name: format!("{}.location", route.file_stem()),
            text: self.location(route),
        };
        routes.iter().map(location).chain([bundle]).collect()
    }

    fn server(&self, inside: &str) -> String {
        let mut text = format!(
            "# Truth Yard: generated, changes are lost\nserver {{\n  listen {};\n  server_name {};\n",
            self.listen, self.server_name
        );
        for line in inside.lines().chain(self.extra.lines()) {
            text.push_str(&if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") });
        }
        text.push_str("}\n");
        text
    }

    /// Two locations: the prefix itself, and what is below it. A name that only begins with the prefix is another one.
    fn location(&self, route: &Route) -> String {
        let upstream_prefix = route.upstream_prefix(self.strip_prefix);
        let mut text =
            format!("# {} ({})\n# {}\n", comment(&route.id), route.kind, comment(&route.provenance));
        if !route.prefix.is_empty() {
            let target = quoted(&format!("{}/", encoded(&route.prefix)));
            text.push_str(&format!("location = {} {{ return 301 {target}; }}\n", quoted(&route.prefix)));
        }
        text.push_str(&format!("location ^~ {} {{\n", quoted(&format!("{}/", route.prefix))));
        // Where the path stays as it is, nginx passes it on byte for byte if nothing follows the address.
        let path = if upstream_prefix == route.prefix {
            String::new()
        } else {
            format!("{}/", encoded(upstream_prefix))
        };
        text.push_str(&format!("  proxy_pass {};\n", quoted(&format!("{}{path}", route.upstream))));
        if !path.is_empty() {
            let (from, to) =
                (format!("{}/", encoded(upstream_prefix)), format!("{}/", encoded(&route.prefix)));
            text.push_str(&format!("  proxy_redirect {} {};\n", quoted(&from), quoted(&to)));
            text.push_str(&format!("  proxy_cookie_path {} {};\n", quoted(&from), quoted(&to)));
        }
        text.push_str(FIXED);
        for (name, value) in route.headers() {
            text.push_str(&format!("  proxy_set_header {name} \"{value}\";\n"));
        }
        text.push_str("}\n");
        text
    }
}

/// The same for every service: streaming and WebSockets work, the service learns who asked for what.
const FIXED: &str = "  proxy_http_version 1.1;
  proxy_buffering off;
  proxy_set_header Host $host;
  proxy_set_header X-Real-IP $remote_addr;
  proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  proxy_set_header X-Forwarded-Host $host;
  proxy_set_header X-Forwarded-Proto $scheme;
  proxy_set_header Upgrade $http_upgrade;
  proxy_set_header Connection $http_connection;
";

/// A word of nginx's language. In double quotes a backslash or a quote is escaped by a backslash, and everything else,
/// line ends too, stands for itself.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// For places that expand variables: `$` cannot be escaped there, so it goes percent-encoded, with what may not stand in a
/// URL.
fn encoded(path: &str) -> String {
    crate::keeper::request_path(path).trim_start_matches('/').replace('$', "%24").split('/').fold(
        String::new(),
        |mut text, segment| {
            if !segment.is_empty() {
                text.push('/');
                text.push_str(segment);
            }
            text
        },
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::route;
    use super::*;

    #[test]
    fn a_prefix_takes_no_path_that_only_begins_like_it() {
        let text = NginxOptions::default().bundle(&[route("/a", Some("/a"))]);
        assert!(text.contains("location = \"/a\" { return 301 \"/a/\"; }"), "{text}");
        assert!(text.contains("location ^~ \"/a/\" {"), "{text}");
        assert!(text.contains("proxy_pass \"http://127.0.0.1:3000\";"), "{text}");
    }

    #[test]
    fn a_service_that_knows_its_prefix_keeps_it_and_another_is_stripped() {
        let options = NginxOptions { strip_prefix: true, ..NginxOptions::default() };
        assert!(options.bundle(&[route("/a", Some("/a"))]).contains("proxy_pass \"http://127.0.0.1:3000\";"));
        let stripped = options.bundle(&[route("/a", None)]);
        assert!(stripped.contains("proxy_pass \"http://127.0.0.1:3000/\";"), "{stripped}");
        assert!(stripped.contains("proxy_redirect \"/\" \"/a/\";"), "{stripped}");
        let moved = options.bundle(&[route("/public", Some("/a"))]);
        assert!(moved.contains("proxy_pass \"http://127.0.0.1:3000/a/\";"), "{moved}");
    }

    #[test]
    fn no_name_breaks_out_of_its_place() {
        let mut evil = route("/a\"; } evil { $x\n", None);
        evil.id = "x\n} evil {".to_owned();
        let text = NginxOptions::default().bundle(&[evil]);
        assert!(text.contains("location ^~ \"/a\\\"; } evil { $x\n"), "{text}");
        assert!(!text.lines().any(|line| line.trim_start().starts_with("} evil")), "{text}");
    }
}
