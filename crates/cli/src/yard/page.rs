//! `ledger yard ps --html`: the services that run, as one page that needs nothing else (specification §6.3).

use jiff::Timestamp;
use ledger_yard::{Home, Record, Tagged, tagged};

use super::list::pid;

/// The page. What the services carry in their environment beyond the marks of the yard is not on it.
pub(super) fn page(home: &Home, records: &[Record]) -> String {
    let processes = tagged(home.path());
    let mut rows: Vec<String> = records
        .iter()
        .map(|record| row(record, processes.iter().find(|process| Some(process.pid) == record.pid())))
        .collect();
    rows.sort();
    let body = if rows.is_empty() {
        "<tr><td colspan=\"5\">No services found.</td></tr>\n".to_owned()
    } else {
        rows.concat()
    };
    let count = match records.len() {
        1 => "1 service discovered".to_owned(),
        count => format!("{count} services discovered"),
    };
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Operational Truth Yard Services</title>\n<style>{STYLE}</style>\n</head>\n<body>\n\
         <h1>Operational Truth Yard Services</h1>\n<p>{count}</p>\n<table>\n<thead><tr><th>Service</th><th>Proxy</th>\
         <th>Upstream</th><th>Process</th><th>PID</th></tr></thead>\n<tbody>\n{body}</tbody>\n</table>\n\
         <footer>Generated {} by ledger {}</footer>\n</body>\n</html>\n",
        Timestamp::now(),
        env!("CARGO_PKG_VERSION")
    )
}

const STYLE: &str = "body{font-family:system-ui,sans-serif;margin:2rem}table{border-collapse:collapse;width:100%}\
                     th,td{border-bottom:1px solid #ccc;padding:.4rem;text-align:left;vertical-align:top}\
                     pre{white-space:pre-wrap;overflow-wrap:anywhere}footer{color:#666;margin-top:1rem}";

fn row(record: &Record, process: Option<&Tagged>) -> String {
    let marks: Vec<(&String, &String)> =
        process.map(|process| process.env.iter().collect()).unwrap_or_default();
    let marks = serde_json::to_string_pretty(&marks).unwrap_or_default();
    let cmdline = process.map_or("", |process| process.cmdline.as_str());
    let label = process.and_then(|process| process.env.get("TRUTH_YARD_LABEL")).map_or("", String::as_str);
    let details = format!(
        "cmdline: {cmdline}\nkind: {}\ncontextPath: {}\nlabel: {label}\n{marks}",
        record.kind(),
        record.path.display()
    );
    format!(
        "<tr><td>{}</td><td>{}</td><td>{}</td><td><details><summary>{}</summary><pre>{}</pre></details></td>\
         <td>{}</td></tr>\n",
        escaped(record.service_id()),
        escaped(record.prefix()),
        link(record.url()),
        escaped(record.actual_state()),
        escaped(&details),
        pid(record)
    )
}

/// A link, if it is one that a browser may follow.
fn link(url: &str) -> String {
    let text = escaped(url);
    if url.starts_with("http://") { format!("<a href=\"{text}\">{text}</a>") } else { text }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_breaks_out_of_its_cell() {
        assert_eq!(escaped("<b a=\"x\" b='y'>&"), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp;");
        assert_eq!(link("javascript:alert(1)"), "javascript:alert(1)");
    }

    #[test]
    fn an_empty_yard_has_a_page_that_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let page = page(&Home::create(folder.path()).unwrap(), &[]);
        assert!(
            page.contains("<p>0 services discovered</p>") && page.contains("No services found."),
            "{page}"
        );
    }
}
