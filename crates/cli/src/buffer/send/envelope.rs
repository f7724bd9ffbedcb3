//! What stands around the records of a file: ready-made envelopes, and templates for others.

use clap::{Args, ValueEnum};
use jiff::Timestamp;

use crate::buffer::Envelope;
use crate::errors::Failure;

/// Where the records of a file go in a template.
const RECORDS: &str = "{records}";
/// The time of sending in a template, as RFC 3339.
const NOW: &str = "{now}";
/// The write key in a template, as it stands between quotes in JSON.
const WRITE_KEY: &str = "{write_key}";

/// Which envelope.
#[derive(Args, Debug)]
pub(crate) struct EnvelopeArgs {
    /// A ready-made envelope [default: segment]
    #[arg(long, value_enum, value_name = "NAME", conflicts_with = "template")]
    envelope: Option<Preset>,
    /// An envelope of your own: {records} stands for the records, {now} for the time, {write_key} for the key
    #[arg(long, value_name = "TEXT")]
    template: Option<String>,
    /// What stands between two records of a template
    #[arg(long, value_name = "TEXT", default_value = ",")]
    separator: String,
    /// Type of a template's content
    #[arg(long, value_name = "TYPE", default_value = "application/json")]
    content_type: String,
    /// Key for {write_key} and the segment envelope; other users of this machine can see it, the variable hides it
    #[arg(
        long,
        env = "LEDGER_WRITE_KEY",
        value_name = "KEY",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true
    )]
    write_key: String,
}

/// A ready-made envelope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Preset {
    /// {"batch":[…],"sentAt":"…","writeKey":"…"}
    Segment,
    /// One record per line, and nothing else
    Jsonl,
}

impl EnvelopeArgs {
    fn preset(&self) -> Preset {
        self.envelope.unwrap_or(Preset::Segment)
    }

    pub(super) fn content_type(&self) -> &str {
        match (&self.template, self.preset()) {
            (Some(_), _) => &self.content_type,
            (None, Preset::Segment) => "application/json",
            (None, Preset::Jsonl) => "application/x-ndjson",
        }
    }

    /// # Errors
    /// [`Failure::Arguments`] for a template without exactly one place for the records.
    pub(super) fn envelope(&self) -> Result<Envelope, Failure> {
        let (template, separator) = match (&self.template, self.preset()) {
            (Some(template), _) => (template.as_str(), self.separator.as_str()),
            (None, Preset::Segment) => {
                (r#"{"batch":[{records}],"sentAt":"{now}","writeKey":"{write_key}"}"#, ",")
            }
            (None, Preset::Jsonl) => (RECORDS, "\n"),
        };
        let parts = template.split_once(RECORDS).filter(|(_, behind)| !behind.contains(RECORDS));
        let Some((header, footer)) = parts else {
            return Err(Failure::Arguments(format!("--template must contain {RECORDS} exactly once")));
        };
        let key = json_text(&self.write_key);
        let fill = |part: &str| {
            // The key comes last: what it contains is no template.
            let (part, key) = (part.to_owned(), key.clone());
            move || {
                part.replace(NOW, &format!("{:.3}", Timestamp::now())).replace(WRITE_KEY, &key).into_bytes()
            }
        };
        let (header, footer) = (Box::new(fill(header)), Box::new(fill(footer)));
        Ok(Envelope { header, footer, separator: separator.as_bytes().to_vec() })
    }
}

/// A text as it stands between the quotes of JSON.
fn json_text(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(template: Option<&str>, envelope: Option<Preset>) -> EnvelopeArgs {
        EnvelopeArgs {
            envelope,
            template: template.map(str::to_owned),
            separator: ",".to_owned(),
            content_type: "text/plain".to_owned(),
            write_key: "ke\"y{now}".to_owned(),
        }
    }

    #[test]
    fn the_segment_envelope_is_that_of_the_request() {
        let envelope = args(None, None).envelope().unwrap();
        assert_eq!((envelope.header)(), br#"{"batch":["#);
        let footer = String::from_utf8((envelope.footer)()).unwrap();
        let whole: serde_json::Value = serde_json::from_str(&format!("{{\"batch\":[{footer}")).unwrap();
        assert_eq!(whole["writeKey"], "ke\"y{now}");
        whole["sentAt"].as_str().unwrap().parse::<Timestamp>().unwrap();
    }

    #[test]
    fn a_template_has_one_place_for_the_records() {
        let envelope = args(Some("<{records}>"), None).envelope().unwrap();
        assert_eq!(((envelope.header)(), (envelope.footer)()), (b"<".to_vec(), b">".to_vec()));
        for wrong in ["", "no place", "{records}{records}"] {
            assert!(args(Some(wrong), None).envelope().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn lines_have_nothing_around_them() {
        let envelope = args(None, Some(Preset::Jsonl)).envelope().unwrap();
        assert_eq!(
            ((envelope.header)(), (envelope.footer)(), envelope.separator),
            (vec![], vec![], b"\n".to_vec())
        );
    }
}
