//! The code of the README's section "Buffer" is this code, and it works.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[rustfmt::skip]
fn the_code_of_the_readme() -> std::io::Result<()> {
    // begin
    use ledger_buffer::{LedgerConfig, LedgerStore};

    let store = LedgerStore::new(LedgerConfig {
        storage_location: "outbox".into(), base_filename: "events".into(), max_file_size: 475_000,
        header: Box::new(|| br#"{"batch":["#.to_vec()), footer: Box::new(|| b"]}".to_vec()), separator: b",".to_vec(),
    })?;
    store.append(br#"{"event":"page_view"}"#)?;                       // safe from a killed process once it returns
    while let Some(fetched) = store.fetch(Some(12), None)? {          // oldest first; nobody else gets these files meanwhile
        for mut reader in fetched.data {                              // an HTTP client takes the reader as the body
            println!("Content-Length: {}", reader.content_length());
            std::io::copy(&mut reader, &mut std::io::stdout())?;
        }
        store.remove(&fetched.removable)?;                            // it has arrived: delete
    }
    // end
    Ok(())
}

fn dedented(text: &str) -> Vec<&str> {
    text.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect()
}

#[test]
fn the_readme_shows_code_that_works() {
    let readme = include_str!("../../../README.md");
    let section = readme.split_once("\n## Buffer\n").unwrap().1;
    let shown = section.split_once("```rust\n").unwrap().1.split_once("```").unwrap().0;
    let source = include_str!("readme.rs")
        .split_once("    // begin\n")
        .unwrap()
        .1
        .split_once("    // end\n")
        .unwrap()
        .0;
    assert_eq!(shown.lines().collect::<Vec<_>>(), dedented(source));

    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    the_code_of_the_readme().unwrap();
    assert_eq!(std::fs::read_dir("outbox").unwrap().count(), 0, "everything was sent");
}
