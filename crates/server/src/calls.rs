//! Every call of the daemon: what it needs, and what it is counted as.

use crate::keys::Right;
use crate::limits::Kind;

/// One kind of call.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Call {
    path: &'static str,
    /// Its name in metrics.
    pub(crate) name: &'static str,
    /// The right that it needs; `None` for those that touch no entries.
    pub(crate) needs: Option<Right>,
    /// Whether it stays open.
    pub(crate) kind: Kind,
}

const READ: Option<Right> = Some(Right::Read);
const WRITE: Option<Right> = Some(Right::Write);
const ADMIN: Option<Right> = Some(Right::Admin);

/// Every call that is known.
const CALLS: &[Call] = &[
    call("/ledger.v1.LedgerService/Append", "Append", WRITE, Kind::Request),
    call("/ledger.v1.LedgerService/Read", "Read", READ, Kind::Request),
    call("/ledger.v1.LedgerService/Count", "Count", READ, Kind::Request),
    call("/ledger.v1.LedgerService/Stat", "Stat", READ, Kind::Request),
    call("/ledger.v1.LedgerService/ListStreamIDs", "ListStreamIDs", READ, Kind::Request),
    call("/ledger.v1.LedgerService/Search", "Search", READ, Kind::Request),
    call("/ledger.v1.LedgerService/SetTags", "SetTags", WRITE, Kind::Request),
    call("/ledger.v1.LedgerService/SetAnnotations", "SetAnnotations", WRITE, Kind::Request),
    call("/ledger.v1.LedgerService/Trim", "Trim", ADMIN, Kind::Request),
    call("/ledger.v1.LedgerService/RenameStream", "RenameStream", ADMIN, Kind::Request),
    call("/ledger.v1.LedgerService/Health", "Health", None, Kind::Request),
    call("/ledger.v1.LedgerStreaming/AppendSession", "AppendSession", WRITE, Kind::Stream),
    call("/ledger.v1.LedgerStreaming/Subscribe", "Subscribe", READ, Kind::Stream),
    call("/ledger.v1.LedgerConsumers/GetCursor", "GetCursor", READ, Kind::Request),
    call("/ledger.v1.LedgerConsumers/SetCursor", "SetCursor", WRITE, Kind::Request),
    call("/ledger.v1.LedgerConsumers/FindBySource", "FindBySource", READ, Kind::Request),
    call("/grpc.health.v1.Health/Check", "HealthCheck", None, Kind::Request),
    call("/grpc.health.v1.Health/Watch", "HealthWatch", None, Kind::Stream),
    call("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", "ServerReflection", None, Kind::Stream),
    call(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        "ServerReflection",
        None,
        Kind::Stream,
    ),
    call("/metrics", "Metrics", READ, Kind::Request),
    call("/openapi.json", "OpenApi", None, Kind::Request),
];

/// A call of the protocol without a line above is for administrators until it has one.
const ADDED_LATER: Call = call("", "other", ADMIN, Kind::Request);
/// Whatever else somebody asks for; no service answers it.
const UNKNOWN: Call = call("", "unknown", None, Kind::Request);

const fn call(path: &'static str, name: &'static str, needs: Option<Right>, kind: Kind) -> Call {
    Call { path, name, needs, kind }
}

/// The call with this path.
pub(crate) fn call_at(path: &str) -> &'static Call {
    match CALLS.iter().find(|call| call.path == path) {
        Some(call) => call,
        None if path.starts_with("/ledger.v1.") => &ADDED_LATER,
        None => &UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;

    use super::*;

    #[test]
    fn every_call_of_the_protocol_has_a_line() {
        let described =
            prost_types::FileDescriptorSet::decode(ledger_api::proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut paths = BTreeSet::new();
        for file in described.file {
            for service in &file.service {
                for method in &service.method {
                    let kind = if method.server_streaming() { Kind::Stream } else { Kind::Request };
                    let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                    assert_eq!(call_at(&path).path, path);
                    assert_eq!(call_at(&path).kind, kind, "{path}");
                    paths.insert(path);
                }
            }
        }
        assert_eq!(paths.len(), 16, "{paths:?}");
        assert_eq!(call_at("/ledger.v1.LedgerService/AddedLater"), &ADDED_LATER);
    }
}
