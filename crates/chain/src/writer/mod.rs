//! The writer: a ledger's home, its keys, and appending with group commit.
//!
//! ```no_run
//! use ledger_chain::{WriteSet, writer::{Ledger, Settings}};
//!
//! let ledger = Ledger::init("audit", Settings::default())?;
//! let mut writes = WriteSet::new();
//! writes.put("public:app.records", "k", "v");
//! let appended = ledger.append(&writes)?;
//! println!("{} is synced", appended.txid);
//! ledger.close()?;
//! # Ok::<(), ledger_chain::writer::LedgerError>(())
//! ```
//!
//! # Home
//!
//! | path | content |
//! |---|---|
//! | `ledger/` | chunk files and nothing else |
//! | `snapshots/` | snapshots: see [`snapshot`](crate::snapshot) |
//! | `keys/service_key.pem`, `node_key.pem` | private keys (PKCS#8), readable by the owner only; with a passphrase protected by it |
//! | `keys/service_cert.pem`, `node_cert.pem` | certificates |
//! | `keys/ledger_secrets` | one line per secret: `<first seqno> <hex>`, readable by the owner only; with a passphrase protected by it |
//! | `keys/view` | the last view that was used |
//! | `index/` | can be thrown away |
//! | `synced` | up to where the chunk files are known to be synced, so that damage is not taken for a torn write; not part of a backup |
//! | `lock` | locked by the writer |
//!
//! # The way of an append
//!
//! The caller encodes its maps and queues them. One thread takes all that wait, gives them sequence numbers, encrypts, hashes them
//! into the tree, adds a signature when one is due, writes everything at once, syncs once, and answers all.
//!
//! [`Engine`] is the part without threads: entries come in the order in which they are proposed, [`commit`](Engine::commit) is
//! told from outside, [`rollback`](Engine::rollback) takes back what is not committed. Here a single node commits its own
//! signatures as soon as they are synced; replication will tell it instead.
//!
//! Every opening for writing begins a new view, so that the IV of an entry (its position) is never used twice with one key, even
//! if a torn entry was cut off.

mod engine;
mod error;
mod home;
mod keys;
mod ledger;
mod passphrase;
mod prepared;
mod queue;
mod settings;

pub use engine::{Engine, Recovery};
pub use error::LedgerError;
pub use home::Home;
pub(crate) use home::INDEX;
pub use keys::{Identity, load_secrets};
pub use ledger::{Appended, Durability, Ledger, Pending};
pub use prepared::Prepared;
pub use settings::{Profile, Settings, UnknownProfile};
