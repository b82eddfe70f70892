//! Jobs as those see them who ask for them.

use std::fmt::Debug;

use async_trait::async_trait;
use ohlcv_domain::JobId;

use crate::{Job, JobState, NewJob, StoreError};

/// The jobs of all processes, those that have ended among them as long as they are kept.
///
/// Implementations MUST have written a job to where it survives a crash before they say that it is
/// accepted.
#[cfg_attr(feature = "mock", mockall::automock)]
#[async_trait]
pub trait Jobs: Debug + Send + Sync {
    /// Puts a job into the queue, unless `queued_max` jobs or more have not ended yet, or a job was
    /// asked for under the same key before.
    ///
    /// # Errors
    /// [`StoreError`]; then nothing is known: with a key it is safe to ask again.
    async fn submit(
        &self,
        job: NewJob,
        idempotency_key: Option<String>,
        queued_max: u64,
    ) -> Result<Submitted, StoreError>;

    /// The job of that name, if there is one.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn find(&self, id: JobId) -> Result<Option<Job>, StoreError>;

    /// At most `limit` jobs, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn list(&self, limit: u64) -> Result<Vec<Job>, StoreError>;

    /// Cancels a job. One that waits ends at once; a worker that has it is told when it next
    /// records its progress. None if there is no such job; one that has ended stays as it is.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn cancel(&self, id: JobId) -> Result<Option<Cancelling>, StoreError>;

    /// How many jobs are in each state; states without jobs may be left out.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn counts(&self) -> Result<Vec<(JobState, u64)>, StoreError>;

    /// At most `limit` jobs that have changed since the change `seq`, in the order of their last changes.
    /// Numbers count up from change to change of all jobs. What has been seen as the newest number MUST
    /// stay that until a job changes again: no change of a lower number may come to light later.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn changes(&self, seq: u64, limit: u64) -> Result<JobChanges, StoreError>;
}

/// What has become of jobs since somebody last looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JobChanges {
    /// The number of the newest change of all; 0 before the first one.
    pub newest: u64,
    /// The jobs as they now stand, each with the number of its last change, ascending. Earlier changes of
    /// the same job are not told.
    pub jobs: Vec<(u64, Job)>,
}

/// What became of a job that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submitted {
    /// It is in the queue.
    Accepted(Job),
    /// The same was asked for before under the same key; this is that job.
    Repeated(Job),
    /// Something else was asked for before under the same key.
    KeyTaken(JobId),
    /// Too many jobs have not ended yet; how many.
    QueueFull(u64),
}

/// What became of the wish to cancel a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cancelling {
    /// It is cancelled, or will be as soon as its worker hears of it.
    Wished(Job),
    /// It had ended before.
    TooLate(Job),
}
