//! SIGKILL under load: what was acknowledged is there, once and in order.
//!
//! `LEDGER_KILL_ROUNDS` sets how often the daemon is killed (50 without it).

use std::collections::BTreeSet;
use std::process::Command;

use ledger_api::proto::ledger_service_client::LedgerServiceClient;
use ledger_api::proto::{AppendRequest, EntryInput, ReadOptions, ReadRequest};
use tonic::Request;
use tonic::transport::Channel;

use crate::home::Home;

/// Clients that append at the same time.
const CLIENTS: usize = 8;
/// Acknowledgements of a client before the daemon is killed: the kill falls into whatever comes next.
const ACKNOWLEDGED_BEFORE_KILL: usize = 20;

pub(crate) fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
    // Whoever started it has ended, so init takes care of it; it is gone once its folder of /proc is. Until then its
    // files, and the lock among them, are closed when no thread is left but the dead first one.
    let is_alive = || {
        let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        threads > 1 || stat.is_ok_and(|stat| !stat.contains(") Z "))
    };
    while is_alive() {
        std::thread::yield_now();
    }
}

fn request<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-ledger-store", "orders".parse().unwrap());
    request
}

async fn connect(address: &str) -> LedgerServiceClient<Channel> {
    LedgerServiceClient::new(
        Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap(),
    )
}

fn append(text: &str) -> AppendRequest {
    let entry =
        EntryInput { payload: text.to_owned().into(), dedup_key: text.to_owned(), ..EntryInput::default() };
    AppendRequest { stream: "s".to_owned(), entries: vec![entry], expect: None }
}

/// Appends until the daemon is gone; answers what was acknowledged and what was then under way.
async fn append_until_killed(
    address: String,
    round: usize,
    client: usize,
    reached: tokio::sync::mpsc::Sender<()>,
) -> (Vec<(String, String)>, String) {
    let mut service = connect(&address).await;
    let mut acknowledged = Vec::new();
    for number in 0.. {
        let text = format!("{round}-{client}-{number}");
        match service.append(request(append(&text))).await {
            Ok(answer) => acknowledged.push((answer.into_inner().ids.remove(0), text)),
            Err(_) => return (acknowledged, text),
        }
        if number == ACKNOWLEDGED_BEFORE_KILL {
            reached.send(()).await.unwrap();
        }
    }
    unreachable!("the loop ends with the daemon")
}

async fn everything(address: &str) -> Vec<(String, String)> {
    let mut service = connect(address).await;
    let (mut after, mut entries) = (String::new(), Vec::new());
    loop {
        let options = Some(ReadOptions { after, limit: 1000, ..ReadOptions::default() });
        let page = service
            .read(request(ReadRequest { stream: "s".to_owned(), options }))
            .await
            .unwrap()
            .into_inner();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        entries.extend(page.entries.iter().map(|entry| (text(&entry.id), text(&entry.payload))));
        match page.next.as_str() {
            "" => return entries,
            next => after = next.to_owned(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_entries_survive_kills_under_load_and_a_retry_adds_none_twice() {
    let rounds = std::env::var("LEDGER_KILL_ROUNDS").map_or(50, |rounds| rounds.parse().unwrap());
    let home = Home::new();
    let (mut acknowledged, mut under_way) = (BTreeSet::new(), Vec::new());
    for round in 0..rounds {
        let pid = home.start();
        let address = home.address();
        let (reached, mut reaching) = tokio::sync::mpsc::channel(CLIENTS);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| tokio::spawn(append_until_killed(address.clone(), round, client, reached.clone())))
            .collect();
        reaching.recv().await.unwrap();
        kill(pid);
        for client in clients {
            let (entries, cut_off) = client.await.unwrap();
            acknowledged.extend(entries);
            under_way.push(cut_off);
        }
    }
    home.start();
    let address = home.address();
    let mut service = connect(&address).await;
    for text in &under_way {
        service.append(request(append(text))).await.unwrap();
    }
    let stored = everything(&address).await;
    let texts: BTreeSet<_> = stored.iter().map(|(_, text)| text.clone()).collect();
    assert_eq!(texts.len(), stored.len(), "none twice");
    let stored: BTreeSet<_> = stored.into_iter().collect();
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
    assert!(acknowledged.len() >= rounds * ACKNOWLEDGED_BEFORE_KILL);
    assert_eq!(stored.len(), acknowledged.len() + under_way.len(), "nothing that nobody sent");
}
