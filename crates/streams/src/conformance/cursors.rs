//! Named positions of consumers.

use super::Harness;
use super::fixture::{Fixture, ODD_TEXTS, STREAM, expect_error, within};
use crate::{CursorStore, Store, StoreError};

async fn get<S: Store>(store: &S, name: &str) -> Option<String> {
    let capabilities = store.capabilities();
    let cursors: &dyn CursorStore<Id = _, Payload = _> = capabilities.cursors.expect("promised");
    within(cursors.get_cursor(name)).await.expect("get a cursor")
}

async fn try_set<S: Store>(store: &S, name: &str, position: &str) -> Result<bool, StoreError> {
    let capabilities = store.capabilities();
    let cursors: &dyn CursorStore<Id = _, Payload = _> = capabilities.cursors.expect("promised");
    within(cursors.set_cursor(name, position)).await
}

async fn set<S: Store>(store: &S, name: &str, position: &str) -> bool {
    try_set(store, name, position).await.expect("set a cursor")
}

/// A consumer has no position until one is set; each has its own.
pub async fn each_consumer_has_its_own<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    assert_eq!(get(&on.store, "bridge").await, None);
    assert!(set(&on.store, "bridge", "7").await);
    assert!(set(&on.store, "hook", "3").await);
    assert_eq!(get(&on.store, "bridge").await.as_deref(), Some("7"));
    assert_eq!(get(&on.store, "hook").await.as_deref(), Some("3"));
    assert_eq!(get(&on.store, "Bridge").await, None);
    on.assert_empty().await;
}

/// Positions only move forward; a late or repeated one changes nothing and says so.
pub async fn positions_only_move_forward<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    assert!(set(&on.store, "c", "5").await);
    for (position, moves, expected) in [
        ("5", false, "5"),
        ("4", false, "5"),
        ("6", true, "6"),
        ("0", false, "6"),
        ("", false, "6"),
        ("7", true, "7"),
    ] {
        assert_eq!(set(&on.store, "c", position).await, moves, "{position:?}");
        assert_eq!(get(&on.store, "c").await.as_deref(), Some(expected));
    }
}

/// Decimal positions move by their value, however long and however padded they are (W58).
pub async fn decimal_positions_compare_as_numbers<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    let rising = [
        "0",
        "9",
        "10",
        "99",
        "0000000000000000100",
        "101",
        "0000000000000000999",
        "1000",
        "9223372036854775807",
        "9223372036854775808",
        "340282366920938463463374607431768211456",
    ];
    for (n, position) in rising.iter().enumerate() {
        assert!(set(&on.store, "c", position).await, "forward to {position}");
        for older in &rising[..=n] {
            assert!(!set(&on.store, "c", older).await, "not from {position} to {older}");
        }
        assert_eq!(get(&on.store, "c").await.as_deref(), Some(*position), "kept as it was written");
    }
    assert!(set(&on.store, "padded", "007").await);
    assert!(!set(&on.store, "padded", "7").await, "the same number");
    assert_eq!(get(&on.store, "padded").await.as_deref(), Some("007"));
}

/// Positions that are not decimal move in the order of their bytes.
pub async fn other_positions_compare_by_bytes<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    let rising = ["", "-1", "10x", "9x", "B", "a", "a\n", "a b", "aa", "é", "日", "🦀"];
    for (n, position) in rising.iter().enumerate() {
        assert!(set(&on.store, "c", position).await, "forward to {position:?}");
        for older in &rising[..=n] {
            assert!(!set(&on.store, "c", older).await, "not from {position:?} to {older:?}");
        }
        assert_eq!(get(&on.store, "c").await.as_deref(), Some(*position));
    }
}

/// Any text names a consumer; U+0000 is refused in names and positions, and no one has a name with it.
pub async fn any_text_names_a_consumer<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    for name in ODD_TEXTS.iter().chain(&[""]) {
        assert!(set(&on.store, name, name).await, "{name:?}");
    }
    for name in ODD_TEXTS.iter().chain(&[""]) {
        assert_eq!(get(&on.store, name).await.as_deref(), Some(*name));
    }
    expect_error!(try_set(&on.store, "a\0", "1").await, InvalidText);
    expect_error!(try_set(&on.store, "new", "1\0").await, InvalidText);
    assert_eq!(get(&on.store, "a\0").await, None);
    assert_eq!(get(&on.store, "new").await, None);
}

/// Of positions set at the same time the furthest remains.
pub async fn of_concurrent_positions_the_furthest_remains<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..50 {
        let store = on.store.clone();
        // Neither in rising nor in falling order.
        tasks.spawn(async move { set(&store, "c", &(n * 37 % 50 + 1).to_string()).await });
    }
    let moved = within(tasks.join_all()).await.into_iter().filter(|moved| *moved).count();
    assert!(moved >= 1);
    assert_eq!(get(&on.store, "c").await.as_deref(), Some("50"));
}

/// Positions have nothing to do with streams of the same name: trimming one does not touch the other.
pub async fn positions_are_kept_beside_the_entries<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    assert!(set(&on.store, STREAM, &id.to_string()).await);
    on.store.trim(STREAM, &id).await.unwrap();
    assert_eq!(get(&on.store, STREAM).await, Some(id.to_string()));
    assert_eq!(on.store.count(STREAM).await.unwrap(), 0);
}
