//! Threads that digest batches and check signatures.

use std::{
    sync::{Mutex, PoisonError, mpsc},
    thread::Scope,
};

use super::{
    Secrets,
    digest::{Digested, digest},
    read::Batch,
    signatures::{Checked, SignatureJob, check},
};

/// Work for a thread.
#[derive(Debug)]
pub(crate) enum Job {
    Digest(u64, Batch),
    Check(u64, Vec<SignatureJob>),
}

/// What a thread made of it.
#[derive(Debug)]
pub(crate) enum Done {
    Digested(u64, Digested),
    Checked(u64, Checked),
}

/// Starts `threads` threads; they end when the sender of jobs is dropped.
pub(crate) fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    threads: usize,
    secrets: &'scope Secrets,
    jobs: &'scope Mutex<mpsc::Receiver<Job>>,
) -> mpsc::Receiver<Done> {
    let (done, results) = mpsc::channel();
    for _ in 0..threads.max(1) {
        let done = done.clone();
        scope.spawn(move || {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let result = match job {
                    Ok(Job::Digest(number, batch)) => Done::Digested(number, digest(batch, secrets)),
                    Ok(Job::Check(number, signatures)) => Done::Checked(number, check(&signatures)),
                    Err(_) => return,
                };
                if done.send(result).is_err() {
                    return;
                }
            }
        });
    }
    results
}
