//! Messages and services generated from `proto/ledger/v1/ledger.proto`; their documentation comes from there.
//!
//! Id and stream of an [`Entry`] are `Bytes` that hold text, so that the entries of a page share memory; see `build.rs`.
#![allow(
    missing_docs,
    unused_qualifications,
    unreachable_pub,
    clippy::all,
    clippy::indexing_slicing,
    clippy::semicolon_if_nothing_returned,
    clippy::redundant_clone,
    reason = "generated code"
)]

tonic::include_proto!("ledger.v1");

/// The encoded `FileDescriptorSet` of the protocol and its imports, with HTTP routes and comments: for server
/// reflection and for gateways.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("ledger");

/// The protocol's sources, path and text of each, for whoever generates clients in another language.
pub const SOURCES: [(&str, &str); 3] = [
    ("ledger/v1/ledger.proto", include_str!("../proto/ledger/v1/ledger.proto")),
    ("google/api/annotations.proto", include_str!("../proto/google/api/annotations.proto")),
    ("google/api/http.proto", include_str!("../proto/google/api/http.proto")),
];

#[cfg(test)]
mod tests {
    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::{FILE_DESCRIPTOR_SET, SOURCES};

    #[test]
    fn the_sources_are_all_that_the_protocol_needs_beside_the_well_known_types() {
        let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let mut needed: Vec<_> = files.file.iter().map(|file| file.name()).collect();
        needed.retain(|name| !name.starts_with("google/protobuf/"));
        let mut given: Vec<_> = SOURCES.iter().map(|(path, _)| *path).collect();
        (needed.sort_unstable(), given.sort_unstable());
        assert_eq!(given, needed);
    }

    #[test]
    fn the_descriptor_describes_every_service() {
        let files = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap();
        let file = files.file.iter().find(|file| file.package() == "ledger.v1").unwrap();
        let services: Vec<_> = file.service.iter().map(|service| service.name()).collect();
        assert_eq!(services, ["LedgerService", "LedgerStreaming", "LedgerConsumers"]);
        assert_eq!(file.service[0].method.len(), 11);
    }

    /// Extensions are dropped by prost's types, so the routes are looked for in the bytes.
    #[test]
    fn the_descriptor_keeps_the_http_routes() {
        for route in ["/v1/streams/{stream}/entries:search", "/v1/streams/{name}:rename", "/v1/health"] {
            let found = FILE_DESCRIPTOR_SET.windows(route.len()).any(|window| window == route.as_bytes());
            assert!(found, "{route}");
        }
    }
}
