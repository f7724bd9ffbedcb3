//! What a store says that it can do.

use std::sync::Arc;

use super::fixture::{Fixture, STREAM, within};
use super::{Harness, IdOf, PayloadOf, Promised};
use crate::{Expect, Read, Store, StoreName};

/// The store has the capabilities that its harness promises, not one less and not one more.
pub async fn are_exactly_those_promised<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    assert_eq!(Promised::by(&on.store), harness.promised());
}

/// The name of the store is a valid one, the same for every handle.
pub async fn the_store_has_a_name<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    StoreName::new(on.store.name()).unwrap();
    assert_eq!(on.store.clone().name(), on.store.name());
}

/// A healthy store says so.
pub async fn an_open_store_is_healthy<H: Harness>(harness: &H) {
    if !harness.promised().health {
        return;
    }
    let on = Fixture::open(harness).await;
    within(on.store.capabilities().health.expect("promised").health()).await.unwrap();
}

/// Behind a trait object the store does the same.
pub async fn the_store_can_be_used_as_a_trait_object<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let dynamic: Arc<dyn Store<Id = IdOf<H>, Payload = PayloadOf<H>>> = Arc::new(on.store.clone());
    let appended = dynamic.append(STREAM, on.inputs(0..2), Expect::Empty).await.unwrap();
    assert_eq!(on.ids(STREAM, Read::new()).await, appended.ids);
    assert_eq!(dynamic.read(STREAM, &Read::new()).await.unwrap().entries, on.all(STREAM).await);
    assert_eq!(Promised::by(&*dynamic), harness.promised());
}

/// Stores that were opened separately share nothing.
pub async fn two_stores_share_nothing<H: Harness>(harness: &H) {
    let (one, two) = (Fixture::open(harness).await, Fixture::open(harness).await);
    one.append_one(STREAM, one.input(1).dedup_key("key")).await;
    two.assert_empty().await;
    two.append_one(STREAM, two.input(1).dedup_key("key")).await;
    within(one.store.close()).await.unwrap();
    assert_eq!(two.store.count(STREAM).await.unwrap(), 1);
}
