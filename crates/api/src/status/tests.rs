use ledger_streams::{
    Backend, Conflict, Corrupt, EntryNotFound, InvalidCursor, InvalidStoreName, InvalidText, LimitExceeded,
    Locked, NotSupported, ReadOnly, SourceTaken, StorageFull, StoreClosed, StoreError, StreamExists,
    StreamNotFound,
};
use tonic::{Code, Status};

use super::*;

const STORE: &str = "orders";
const DATABASE: &str = "store orders at http://h:1";

/// Every error, with its code and whether the client gets back the very same.
fn every_error() -> Vec<(StoreError, Code)> {
    let (stream, store) = (|| "s".to_owned(), || STORE.to_owned());
    let database = || DATABASE.to_owned();
    vec![
        (StoreClosed { store: store() }.into(), Code::Unavailable),
        (InvalidCursor { text: "x".into(), expected: "a decimal 64-bit id" }.into(), Code::InvalidArgument),
        (InvalidStoreName { name: "1".into(), reason: "it is empty" }.into(), Code::InvalidArgument),
        (InvalidText { what: "stream name", at: 3 }.into(), Code::InvalidArgument),
        (LimitExceeded { what: "size", limit: 1, actual: 2 }.into(), Code::InvalidArgument),
        (EntryNotFound { id: "1".into(), stream: stream(), store: store() }.into(), Code::NotFound),
        (StreamNotFound { stream: stream(), store: store() }.into(), Code::NotFound),
        (StreamExists { stream: stream(), store: store() }.into(), Code::AlreadyExists),
        (
            Conflict { stream: stream(), expected_last_id: None, actual_last_id: Some("8".into()) }.into(),
            Code::Aborted,
        ),
        (SourceTaken { source_id: "1".into(), taken_by: "other".into() }.into(), Code::AlreadyExists),
        (ReadOnly { store: store() }.into(), Code::FailedPrecondition),
        (NotSupported { operation: "rename", store: store() }.into(), Code::Unimplemented),
        (Locked { database: database(), waited_ms: 5000 }.into(), Code::Unavailable),
        (StorageFull { database: database() }.into(), Code::ResourceExhausted),
        (
            Corrupt { database: database(), detail: "the log of the daemon says where".into() }.into(),
            Code::DataLoss,
        ),
        (
            Backend {
                backend: "daemon",
                step: format!("operation on {DATABASE}"),
                advice: "the database failed; the log of the daemon says why".into(),
                outcome_unknown: true,
                source: None,
            }
            .into(),
            Code::Internal,
        ),
    ]
}

#[test]
fn every_error_survives_the_wire() {
    for (error, code) in every_error() {
        let status = to_status(&error);
        assert_eq!(status.code(), code, "{error}");
        let back = from_detail(detail_in(&status).unwrap(), STORE, DATABASE).unwrap();
        assert_eq!(format!("{back:?}"), format!("{error:?}"));

        let answer = to_append_error(&error);
        assert_eq!((answer.code, &*answer.message), (code.into(), status.message()));
        assert_eq!(answer.detail, detail_in(&status));
        let alone = from_append_error(answer);
        assert_eq!((alone.code(), alone.message()), (status.code(), status.message()));
        assert_eq!(detail_in(&alone), detail_in(&status));
    }
}

#[test]
fn what_the_original_knows_has_its_texts() {
    let texts: Vec<_> =
        every_error().iter().map(|(error, _)| to_status(error).message().to_owned()).collect();
    for text in [
        "store closed",
        "entry not found",
        r#"ledger: stream not found: "s" in store "orders""#,
        r#"ledger: stream already exists: "s" in store "orders""#,
        "stream is read-only",
        "operation not supported by this backend",
    ] {
        assert!(texts.iter().any(|known| known == text), "{text}");
    }
}

#[test]
fn neither_paths_nor_words_of_a_database_leave_the_daemon() {
    let path = || "/var/lib/ledger.db".to_owned();
    let source: Box<dyn std::error::Error + Send + Sync> = "near \"SELEC\": syntax error".into();
    let errors: [StoreError; 5] = [
        Locked { database: path(), waited_ms: 1 }.into(),
        StorageFull { database: path() }.into(),
        Corrupt { database: path(), detail: "malformed page 7".into() }.into(),
        ReadOnly { store: path() }.into(),
        Backend {
            backend: "sqlite",
            step: format!("append on {}", path()),
            advice: format!("{} cannot be opened: SQLITE_CANTOPEN", path()),
            outcome_unknown: false,
            source: Some(source),
        }
        .into(),
    ];
    for error in errors {
        let status = to_status(&error);
        let said = format!("{} {:?}", status.message(), detail_in(&status));
        for secret in ["/var", "SELEC", "page 7", "SQLITE"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}

#[test]
fn long_texts_fit_into_headers() {
    let long = "ä".repeat(1 << 20);
    let error = EntryNotFound { id: long.clone(), stream: long.clone(), store: STORE.into() }.into();
    let status = to_status(&error);
    assert!(status.metadata().get_bin(ERROR_DETAIL).unwrap().as_encoded_bytes().len() < 4096);
    let error = StreamNotFound { stream: long, store: STORE.into() }.into();
    let message = to_status(&error).message().to_owned();
    assert!(message.len() <= 1024 && message.ends_with('…'), "{}", message.len());
}

#[test]
fn a_bad_request_is_the_fault_of_the_client() {
    let status = Status::from(RequestError::NoStore);
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(status.message(), "missing x-ledger-store metadata header");
    let cursor = InvalidCursor { text: "x".into(), expected: "a decimal 64-bit id" };
    assert!(detail_in(&Status::from(RequestError::InvalidCursor(cursor))).is_some());
    assert!(detail_in(&Status::unavailable("by somebody else")).is_none());
}
