//! Query parameters to fields of a request (specification §5.7): unknown ones are ignored, values that cannot be
//! read are refused with the name of their field.

use std::collections::BTreeMap;

use ledger_api::convert::timestamp;
use ledger_api::proto::{ListStreamIDsRequest, ReadOptions, SubscribeRequest, subscribe_request};
use tonic::Status;

use super::escapes;

/// What stands before the fields of [`ReadOptions`].
pub(super) const OPTIONS: &str = "options.";

/// The parameters of a request, in order.
#[derive(Debug, Default)]
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(text: &str) -> Result<Self, escapes::Malformed> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty());
        let decode = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((escapes::decode_form(name)?, escapes::decode_form(value)?))
        };
        pairs.map(decode).collect::<Result<_, _>>().map(Self)
    }

    /// The page of a list of names.
    pub(super) fn into_list(self) -> Result<ListStreamIDsRequest, Status> {
        let mut request = ListStreamIDsRequest::default();
        let mut seen = Seen::default();
        for (name, value) in self.0 {
            match name.as_str() {
                "after" => request.after = seen.once("after", value)?,
                "limit" => request.limit = int64("limit", &seen.once("limit", value)?)?,
                _ => {}
            }
        }
        Ok(request)
    }

    /// What to read; `None` if nothing is said about it.
    pub(super) fn into_options(self) -> Result<Option<ReadOptions>, Status> {
        let mut fields = Fields::default();
        for (name, value) in self.0 {
            if let Some(field) = name.strip_prefix(OPTIONS) {
                fields.set(field, value)?;
            }
        }
        Ok(fields.is_any.then_some(fields.options))
    }

    /// Where a subscription begins, `after=ID`, or `from=start` or `from=now`; and its conditions, as of a read.
    pub(super) fn into_subscription(self) -> Result<SubscribeRequest, Status> {
        let mut request = SubscribeRequest::default();
        let mut seen = Seen::default();
        let mut fields = Fields::default();
        for (name, value) in self.0 {
            match name.as_str() {
                "after" => request.after = seen.once("after", value)?,
                "from" => request.set_position(match seen.once("from", value)?.as_str() {
                    "start" => subscribe_request::Position::Start,
                    "now" => subscribe_request::Position::Now,
                    other => {
                        return Err(unparsable("from", &format!("expected start or now, found {other:?}")));
                    }
                }),
                name => {
                    if let Some(field) = name.strip_prefix(OPTIONS) {
                        fields.set(field, value)?;
                    }
                }
            }
        }
        request.options = fields.is_any.then_some(fields.options);
        Ok(request)
    }
}

/// Fields that were set: each may be once.
#[derive(Default)]
struct Seen(Vec<&'static str>);

impl Seen {
    fn once(&mut self, field: &'static str, value: String) -> Result<String, Status> {
        if self.0.contains(&field) {
            return Err(Status::invalid_argument(format!(
                "too many values for field {field:?}: expected one"
            )));
        }
        self.0.push(field);
        Ok(value)
    }
}

#[derive(Default)]
struct Fields {
    options: ReadOptions,
    seen: Seen,
    is_any: bool,
}

impl Fields {
    fn set(&mut self, field: &str, value: String) -> Result<(), Status> {
        let (options, seen) = (&mut self.options, &mut self.seen);
        self.is_any = true;
        match field {
            "after" => options.after = seen.once("after", value)?,
            "limit" => options.limit = int64("limit", &seen.once("limit", value)?)?,
            "desc" => options.desc = boolean("desc", &seen.once("desc", value)?)?,
            "order_key" | "orderKey" => options.order_key = seen.once("order_key", value)?,
            "tag" => options.tag = seen.once("tag", value)?,
            "all_tags" | "allTags" => options.all_tags.push(value),
            "since" => options.since = Some(time("since", &seen.once("since", value)?)?),
            "until" => options.until = Some(time("until", &seen.once("until", value)?)?),
            "max_bytes" | "maxBytes" => {
                options.max_bytes = int64("max_bytes", &seen.once("max_bytes", value)?)?;
            }
            _ => match keyed(field) {
                Some(("metadata_filters" | "metadataFilters", key)) => {
                    insert(&mut options.metadata_filters, "metadata_filters", key, value)?;
                }
                Some(("annotation_filters" | "annotationFilters", key)) => {
                    insert(&mut options.annotation_filters, "annotation_filters", key, value)?;
                }
                _ => {}
            },
        }
        Ok(())
    }
}

/// The two parts of `field[key]`.
fn keyed(field: &str) -> Option<(&str, &str)> {
    field.strip_suffix(']')?.split_once('[')
}

fn insert(map: &mut BTreeMap<String, String>, field: &str, key: &str, value: String) -> Result<(), Status> {
    if map.insert(key.to_owned(), value).is_some() {
        let message = format!("more than one value provided for key {key:?} in map {field:?}");
        return Err(Status::invalid_argument(message));
    }
    Ok(())
}

fn unparsable(field: &str, reason: &str) -> Status {
    Status::invalid_argument(format!("parsing field {field:?}: {reason}"))
}

fn int64(field: &str, value: &str) -> Result<i64, Status> {
    value
        .parse()
        .map_err(|_| unparsable(field, &format!("expected a whole number of 64 bits, found {value:?}")))
}

/// The spellings that clients of the original may use.
fn boolean(field: &str, value: &str) -> Result<bool, Status> {
    match value {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(unparsable(field, &format!("expected true or false, found {value:?}"))),
    }
}

fn time(field: &str, value: &str) -> Result<prost_types::Timestamp, Status> {
    let time: jiff::Timestamp = value.parse().map_err(|_| {
        unparsable(field, &format!("expected a time such as 2026-11-21T07:00:00Z, found {value:?}"))
    })?;
    Ok(timestamp(time))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(query: &str) -> Result<Option<ReadOptions>, String> {
        Query::parse(query).unwrap().into_options().map_err(|status| status.message().to_owned())
    }

    #[test]
    fn every_field_of_the_read_options_can_be_given_in_both_spellings() {
        let text = "options.after=7&options.limit=20&options.desc=true&options.order_key=o&options.tag=t&\
                    options.all_tags=a&options.all_tags=b&options.metadata_filters[env]=prod&\
                    options.annotation_filters%5Bx%5D=y+z&options.since=2026-11-21T07:00:00.5Z&\
                    options.max_bytes=99";
        let snake = options(text).unwrap().unwrap();
        let map = |key: &str, value: &str| BTreeMap::from([(key.to_owned(), value.to_owned())]);
        let expected = ReadOptions {
            after: "7".into(),
            limit: 20,
            desc: true,
            order_key: "o".into(),
            tag: "t".into(),
            all_tags: vec!["a".into(), "b".into()],
            metadata_filters: map("env", "prod"),
            annotation_filters: map("x", "y z"),
            since: Some(prost_types::Timestamp { seconds: 1_795_244_400, nanos: 500_000_000 }),
            until: None,
            max_bytes: 99,
        };
        assert_eq!(snake, expected);
        let camel = text
            .replace("order_key", "orderKey")
            .replace("all_tags", "allTags")
            .replace("metadata_filters", "metadataFilters")
            .replace("annotation_filters", "annotationFilters")
            .replace("max_bytes", "maxBytes");
        assert_eq!(options(&camel).unwrap().unwrap(), expected);
    }

    #[test]
    fn unknown_parameters_are_ignored_and_bad_values_name_their_field() {
        assert_eq!(options("limit=5&x=y&optionsx=1&stream=other&&").unwrap(), None);
        assert_eq!(options("options.nonsense=1").unwrap(), Some(ReadOptions::default()));
        for (query, field) in [
            ("options.limit=many", "parsing field \"limit\": "),
            ("options.limit=", "parsing field \"limit\": "),
            ("options.limit=9223372036854775808", "parsing field \"limit\": "),
            ("options.desc=yes", "parsing field \"desc\": "),
            ("options.since=today", "parsing field \"since\": "),
            ("options.limit=1&options.limit=2", "too many values for field \"limit\""),
            ("options.orderKey=1&options.order_key=2", "too many values for field \"order_key\""),
            ("options.metadata_filters[a]=1&options.metadata_filters[a]=2", "more than one value provided"),
        ] {
            let message = options(query).unwrap_err();
            assert!(message.starts_with(field), "{query}: {message}");
        }
        assert!(Query::parse("a=%zz").is_err());
    }

    #[test]
    fn a_subscription_begins_where_the_query_says() {
        use subscribe_request::Position;
        let parse = |query: &str| Query::parse(query).unwrap().into_subscription();
        assert_eq!(parse("").unwrap().position(), Position::Start);
        assert_eq!(parse("from=now").unwrap().position(), Position::Now);
        assert_eq!(parse("after=7&from=start").unwrap().after, "7");
        assert_eq!(parse("options.tag=t").unwrap().options.unwrap().tag, "t");
        assert!(parse("from=7").unwrap_err().message().contains("start or now"));
    }
}
