//! `ledger stream tag` and `ledger stream annotate`: what can be changed about an entry.

use bytes::Bytes;
use clap::Args;
use ledger_streams::{AnnotationChanges, EntryId, Store, StoreError};

use super::{StoreCommand, StreamArg, Target, required};
use crate::console::Console;
use crate::errors::Failure;
use crate::filter::pairs;
use crate::open::Purpose;

/// Arguments of `tag`.
#[derive(Args, Debug)]
pub(crate) struct TagArgs {
    #[command(flatten)]
    target: StreamArg,
    /// Id of the entry (required)
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// A tag that the entry shall have; repeatable. None at all clears its tags
    #[arg(short, long = "tag", value_name = "TAG")]
    tags: Vec<String>,
}

/// Arguments of `annotate`.
#[derive(Args, Debug)]
pub(crate) struct AnnotateArgs {
    #[command(flatten)]
    target: StreamArg,
    /// Id of the entry (required)
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// An annotation to set, or with nothing behind the = to delete; repeatable
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl TagArgs {
    /// The id, as text.
    fn id(&self) -> Result<&str, Failure> {
        required("tag", "--id", &self.id)
    }
}

impl AnnotateArgs {
    /// The id, as text.
    fn id(&self) -> Result<&str, Failure> {
        required("annotate", "--id", &self.id)
    }

    /// What is to be changed; of several changes of a key the last one counts.
    fn changes(&self) -> Result<AnnotationChanges, Failure> {
        if self.set.is_empty() {
            let text = "at least one --set key=value is required (use --set key= to delete an annotation)";
            return Err(Failure::Arguments(text.to_owned()));
        }
        let pairs = pairs("annotation", &self.set)?.into_iter();
        Ok(pairs.fold(AnnotationChanges::new(), |changes, (key, value)| {
            if value.is_empty() { changes.delete(key) } else { changes.set(key, value) }
        }))
    }
}

impl StoreCommand for TagArgs {
    const PURPOSE: Purpose = Purpose::Change;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    fn check(&self) -> Result<(), Failure> {
        self.id().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        _: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let id = S::Id::parse(self.id()?)?;
        let done = store.set_tags(&self.target.stream, &id, self.tags.clone()).await;
        done.map_err(|error| or_append_only("SetTags", error))
    }
}

impl StoreCommand for AnnotateArgs {
    const PURPOSE: Purpose = Purpose::Change;

    fn target(&self) -> Target<'_> {
        (&self.target).into()
    }

    fn check(&self) -> Result<(), Failure> {
        self.id()?;
        self.changes().map(drop)
    }

    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        _: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let id = S::Id::parse(self.id()?)?;
        let done = store.set_annotations(&self.target.stream, &id, self.changes()?).await;
        done.map_err(|error| or_append_only("SetAnnotations", error))
    }
}

fn or_append_only(operation: &'static str, error: StoreError) -> Failure {
    match error {
        StoreError::NotSupported(_) => Failure::AppendOnly { operation },
        error => error.into(),
    }
}
