//! Commands on stores of other kinds than the one in a file.

use std::fmt;

use async_trait::async_trait;
use clap::Parser;
use ledger_streams::{
    AnnotationChanges, Append, Appended, Duplicate, EntryId, Expect, InvalidCursor, MemoryStore,
    NotSupported, Page, Read, Stat, StoreError,
};

use super::*;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: StreamCommand,
}

/// Runs command lines on one store.
struct Only<S>(S);

impl<S: Store<Payload = Bytes>> Stores for Only<S> {
    async fn run<C: StoreCommand>(&self, command: C, console: &mut Console<'_>) -> Result<(), Failure> {
        command.run(&self.0, console).await
    }
}

impl<S: Store<Payload = Bytes>> Only<S> {
    /// What a command line prints, or how it fails.
    async fn line(&self, line: &str) -> Result<String, String> {
        let line = Line::parse_from(["stream"].into_iter().chain(line.split_whitespace()));
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let done = dispatch(line.command, self, &mut Console::new(&mut out, &mut notes)).await;
        assert_eq!(String::from_utf8(notes).unwrap(), "");
        done.map(|()| String::from_utf8(out).unwrap()).map_err(|failure| failure.to_string())
    }
}

/// An id as another backend may have it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Hex(i64);

impl fmt::Display for Hex {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "x{:04x}", self.0)
    }
}

impl EntryId for Hex {
    fn is_behind(&self, other: &Self) -> bool {
        self > other
    }

    fn parse(text: &str) -> Result<Self, InvalidCursor> {
        let number = text.strip_prefix('x').and_then(|digits| i64::from_str_radix(digits, 16).ok());
        number.map(Self).ok_or_else(|| InvalidCursor { text: text.to_owned(), expected: "x and hex digits" })
    }
}

/// A store with ids of another kind, nothing to be changed, and no capabilities.
struct Plain(MemoryStore);

impl Plain {
    fn refused(&self, operation: &'static str) -> StoreError {
        NotSupported { operation, store: self.0.name().to_owned() }.into()
    }
}

#[async_trait]
impl Store for Plain {
    type Id = Hex;
    type Payload = Bytes;

    fn name(&self) -> &str {
        self.0.name()
    }

    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<Hex>,
    ) -> Result<Appended<Hex>, StoreError> {
        let expect = match expect {
            Expect::Any => Expect::Any,
            Expect::Empty => Expect::Empty,
            Expect::LastId(Hex(id)) => Expect::LastId(id),
        };
        let Appended { ids, duplicates, durability } = self.0.append(stream, entries, expect).await?;
        let duplicates =
            duplicates.into_iter().map(|Duplicate { index, id }| Duplicate { index, id: Hex(id) });
        let ids = ids.into_iter().map(Hex).collect();
        Ok(Appended { ids, duplicates: duplicates.collect(), durability })
    }

    async fn read(&self, stream: &str, read: &Read<Hex>) -> Result<Page<Hex, Bytes>, StoreError> {
        let Read { after, limit, max_bytes, order, filter } = read.clone();
        let read = Read { after: after.map(|Hex(id)| id), limit, max_bytes, order, filter };
        let page = self.0.read(stream, &read).await?;
        let (next, more) = (page.next.map(Hex), page.more);
        let entries = page.into_iter().map(|entry| ledger_streams::Entry {
            id: Hex(entry.id),
            stream: entry.stream,
            payload: entry.payload,
            order_key: entry.order_key,
            dedup_key: entry.dedup_key,
            schema_version: entry.schema_version,
            metadata: entry.metadata,
            tags: entry.tags,
            annotations: entry.annotations,
            source_id: entry.source_id,
            created_at: entry.created_at,
            updated_at: entry.updated_at,
        });
        Ok(Page { entries: entries.collect(), damaged: Vec::new(), next, more })
    }

    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        self.0.count(stream).await
    }

    async fn stat(&self, stream: &str) -> Result<Stat<Hex>, StoreError> {
        let Stat { stream, count, first_id, last_id } = self.0.stat(stream).await?;
        Ok(Stat { stream, count, first_id: first_id.map(Hex), last_id: last_id.map(Hex) })
    }

    async fn set_tags(&self, _: &str, _: &Hex, _: Vec<String>) -> Result<(), StoreError> {
        Err(self.refused("set_tags"))
    }

    async fn set_annotations(&self, _: &str, _: &Hex, _: AnnotationChanges) -> Result<(), StoreError> {
        Err(self.refused("set_annotations"))
    }

    async fn trim(&self, stream: &str, Hex(up_to): &Hex) -> Result<u64, StoreError> {
        self.0.trim(stream, up_to).await
    }

    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.0.list_streams(after, limit).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.0.close().await
    }
}

#[tokio::test]
async fn commands_work_on_any_store() {
    let stores = Only(Plain(MemoryStore::new("plain").unwrap()));
    assert_eq!(stores.line("append one").await.unwrap(), "x0001\n");
    assert_eq!(stores.line("append --expect-last x0001 two").await.unwrap(), "x0002\n");
    assert_eq!(stores.line("read --after x0001").await.unwrap(), "x0002\ttwo\n");
    assert_eq!(stores.line("read --desc --all").await.unwrap(), "x0002\ttwo\nx0001\tone\n");
    assert_eq!(stores.line("count").await.unwrap(), "2\n");
    let stat = "Stream:  default\nCount:   2\nFirstID: x0001\nLastID:  x0002\n";
    assert_eq!(stores.line("stat").await.unwrap(), stat);
    assert!(stores.line("export").await.unwrap().starts_with("{\"id\":\"x0001\","));
    assert_eq!(stores.line("trim --before x0001").await.unwrap(), "trimmed 1 entries\n");
    assert_eq!(stores.line("list").await.unwrap(), "default\n");
    assert_eq!(
        stores.line("read --after 7").await.unwrap_err(),
        "ledger: invalid cursor type: expected x and hex digits, got \"7\""
    );
}

#[tokio::test]
async fn what_a_store_cannot_do_is_said() {
    let stores = Only(Plain(MemoryStore::new("plain").unwrap()));
    for (line, operation) in [("tag --id x1", "SetTags"), ("annotate --id x1 --set a=b", "SetAnnotations")] {
        assert_eq!(
            stores.line(line).await.unwrap_err(),
            format!(
                "{operation:?} is not supported by the configured backend\n(mutation operations are \
                 unavailable on append-only stores such as ClickHouse)"
            )
        );
    }
    for (line, operation) in [("search a", "search"), ("rename --to b", "rename"), ("tail", "subscribe")] {
        assert_eq!(
            stores.line(line).await.unwrap_err(),
            format!("ledger: operation not supported by this backend: {operation} on store \"plain\"")
        );
    }
}

#[tokio::test]
async fn a_tail_ends_with_its_store() {
    let memory = MemoryStore::new("memory").unwrap();
    let stores = Only(memory.clone());
    stores.line("append one").await.unwrap();
    let close = async {
        tokio::task::yield_now().await;
        memory.close().await
    };
    let (printed, closed) = tokio::join!(stores.line("tail"), close);
    closed.unwrap();
    assert_eq!(printed.unwrap(), "1\tone\n");
}
