//! Pages, cursors, directions (specification §1.5).

use super::fixture::{Fixture, STREAM, ids, sized_payload};
use super::{Harness, IdOf};
use crate::{Append, Page, Read, Store};

/// A stream without entries reads as an empty page, in either direction and with any cursor.
pub async fn an_unknown_stream_is_an_empty_page<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let known = on.append_one("other", on.input(1)).await;
    for read in [Read::new(), Read::new().descending(), Read::new().after(known), Read::new().tag("a")] {
        let page = on.page(STREAM, read).await;
        assert_eq!(page, Page::empty());
        assert!(page.is_end());
    }
    assert_eq!(on.streams().await, ["other"], "reading makes no stream");
}

/// Pages continue behind the cursor of the one before and say whether there is more.
pub async fn pages_follow_each_other<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.fill(STREAM, 5).await;
    let mut read = Read::new().limit(2);
    for expected in [&all[..2], &all[2..4], &all[4..]] {
        let page = on.page(STREAM, read.clone()).await;
        assert_eq!(ids(&page), expected);
        assert_eq!(page.more, expected.last() != all.last());
        read = read.after(page.next.unwrap());
    }
    assert_eq!(on.page(STREAM, read).await, Page::empty());
}

/// Newest first: the same entries backwards, and the cursor means "older than".
pub async fn descending_pages_go_back<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut all = on.fill(STREAM, 5).await;
    all.reverse();
    assert_eq!(on.ids(STREAM, Read::new().descending()).await, all);
    let mut read = Read::new().limit(2).descending();
    for expected in [&all[..2], &all[2..4], &all[4..]] {
        let page = on.page(STREAM, read.clone()).await;
        assert_eq!(ids(&page), expected);
        assert_eq!(page.more, expected.last() != all.last());
        read = read.after(page.next.unwrap());
    }
    assert_eq!(on.page(STREAM, read).await, Page::empty());
}

/// A cursor is a position, not an entry: it may belong to another stream or to an entry that was trimmed.
pub async fn a_cursor_need_not_be_an_entry_of_the_stream<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let trimmed = on.append_one(STREAM, on.input(0)).await;
    let first = on.append_one(STREAM, on.input(1)).await;
    let foreign = on.append_one("other", on.input(2)).await;
    let second = on.append_one(STREAM, on.input(3)).await;
    let beyond = on.append_one("other", on.input(4)).await;
    on.store.trim(STREAM, &trimmed).await.unwrap();

    let after = |id: &IdOf<H>| Read::new().after(id.clone());
    assert_eq!(on.ids(STREAM, after(&trimmed)).await, [first.clone(), second.clone()]);
    assert_eq!(on.ids(STREAM, after(&foreign)).await, std::slice::from_ref(&second));
    assert_eq!(on.ids(STREAM, after(&beyond)).await, []);
    assert_eq!(on.ids(STREAM, after(&trimmed).descending()).await, []);
    assert_eq!(on.ids(STREAM, after(&foreign).descending()).await, std::slice::from_ref(&first));
    assert_eq!(on.ids(STREAM, after(&beyond).descending()).await, [second, first]);
}

/// A page holds as many entries as were asked for, 100 if nothing was said.
pub async fn a_page_is_as_long_as_asked<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let all = on.append(STREAM, on.inputs(0..103)).await.ids;
    for (read, expected) in [
        (Read::new(), 100),
        (Read::new().limit(0), 100),
        (Read::new().limit(1), 1),
        (Read::new().limit(101), 101),
        (Read::new().limit(102), 102),
        (Read::new().limit(104), 103),
        (Read::new().limit(1000), 103),
    ] {
        let page = on.page(STREAM, read).await;
        assert_eq!(ids(&page), all[..expected]);
        assert_eq!(page.more, expected < all.len(), "{expected}");
    }
}

/// A page is cut before its payloads pass the bytes asked for, and says that there is more.
pub async fn a_page_is_cut_by_bytes<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let sizes = [10, 20, 30, 5, 5, 100, 1000, 10];
    let batch: Vec<_> = sizes.iter().map(|bytes| Append::new(sized_payload(harness, *bytes))).collect();
    let all = on.append(STREAM, batch).await.ids;
    for max_bytes in [0, 1, 10, 29, 30, 31, 60, 64, 65, 70, 169, 170, 171, 1_179, 1_180, 1_181, 1 << 20] {
        let mut sum = 0;
        let fits = sizes
            .iter()
            .take_while(|bytes| {
                sum += **bytes;
                sum <= max_bytes
            })
            .count()
            .max(1);
        let page = on.page(STREAM, Read::new().max_bytes(max_bytes)).await;
        assert_eq!(ids(&page), all[..fits], "max_bytes {max_bytes}");
        assert_eq!(page.more, fits < all.len(), "max_bytes {max_bytes}");
    }
    let page = on.page(STREAM, Read::new().max_bytes(1010).descending()).await;
    assert_eq!(ids(&page), [all[7].clone(), all[6].clone()]);
}

/// A payload larger than the bytes asked for is still delivered, alone.
pub async fn a_page_holds_at_least_one_entry<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let batch = (0..3).map(|_| Append::new(sized_payload(harness, 5000))).collect();
    let all = on.append(STREAM, batch).await.ids;
    let walked = walk(&on, Read::new().max_bytes(100)).await;
    assert_eq!(walked, all);
}

/// Walking in pages of any size finds exactly what one big page holds, in both directions, filtered or not.
pub async fn walking_in_tiny_pages_equals_one_big_page<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for n in 0..60 {
        let size = usize::try_from(n * 37 % 101).unwrap() + 2;
        let input = Append::new(sized_payload(harness, size));
        on.append_one(STREAM, if n % 3 == 0 { input.tag("third") } else { input }).await;
        if n % 5 == 0 {
            on.append_one("other", on.input(n).tag("third")).await;
        }
    }
    for base in [
        Read::new(),
        Read::new().descending(),
        Read::new().tag("third"),
        Read::new().tag("third").descending(),
    ] {
        let big = on.ids(STREAM, base.clone()).await;
        assert_eq!(big.len(), if base.filter.tags.is_empty() { 60 } else { 20 });
        for limit in [1, 2, 7, 20, 59, 60] {
            for max_bytes in [1, 150, 1 << 20] {
                let walked = walk(&on, base.clone().limit(limit).max_bytes(max_bytes)).await;
                assert_eq!(walked, big, "limit {limit}, max_bytes {max_bytes}, {:?}", base.order);
            }
        }
    }
}

/// A walk that has reached the end goes on with what was appended meanwhile.
pub async fn a_walk_goes_on_with_new_entries<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut read = Read::new().limit(2);
    for round in 0..4 {
        let new = on.append(STREAM, on.inputs(round..round + 2)).await.ids;
        let page = on.page(STREAM, read.clone()).await;
        assert_eq!(ids(&page), new);
        read = read.after(page.next.unwrap());
    }
}

/// Follows the cursors of pages until one says that there is no more.
async fn walk<H: Harness>(on: &Fixture<'_, H>, mut read: Read<IdOf<H>>) -> Vec<IdOf<H>> {
    let mut walked: Vec<IdOf<H>> = Vec::new();
    loop {
        let page = on.page(STREAM, read.clone()).await;
        walked.extend(ids(&page));
        match page.next {
            Some(next) if page.more => read.after = Some(next),
            _ => return walked,
        }
        assert!(walked.len() <= 1000, "a walk comes to an end");
    }
}
