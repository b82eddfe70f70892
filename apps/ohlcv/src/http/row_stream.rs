//! Bodies of any length, made page by page as their readers take them.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};
use http_body_util::combinators::BoxBody;
use ohlcv_usecases::{QueryError, RowPages};
use poem::Body;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tracing::Instrument;

use super::admission::Admission;
use super::cutting::Unfinished;
use super::formats::Encoder;
use super::no_answer::NoAnswer;
use super::problem::Problem;

/// What is made before it is sent: a part waits while another one is on its way.
const PARTS_AHEAD_MAX: usize = 1;

/// What long answers may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamLimits {
    /// Long answers at once; whoever comes later is turned away.
    pub(crate) at_once: usize,
    /// For a page, with the wait for a turn at the database. Less than a connection may rest.
    pub(crate) page: Duration,
    /// How long a client may take for a part before the next one can wait for it.
    pub(crate) taking: Duration,
    /// From the first part to the last.
    pub(crate) whole: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            // Each keeps three pages of rows in memory, some ten megabytes at most.
            at_once: 16,
            page: Duration::from_secs(30),
            // As for any answer.
            taking: Duration::from_secs(120),
            whole: Duration::from_secs(60 * 60),
        }
    }
}

/// Makes long answers.
#[derive(Clone)]
pub(crate) struct RowStreams {
    room: Arc<Semaphore>,
    admission: Arc<Admission>,
    no_answer: NoAnswer,
    limits: StreamLimits,
}

/// Why an answer has no next part.
#[derive(Debug)]
enum Unmade {
    Query(QueryError),
    Unwritten(io::Error),
}

impl From<QueryError> for Unmade {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<io::Error> for Unmade {
    fn from(error: io::Error) -> Self {
        Self::Unwritten(error)
    }
}

/// The rows of an answer on their way to bytes.
struct Production {
    // Of each asset, those that were not written yet.
    left: VecDeque<RowPages>,
    encoder: Encoder,
    ended: bool,
}

impl RowStreams {
    pub(crate) fn new(admission: Arc<Admission>, no_answer: NoAnswer, limits: StreamLimits) -> Self {
        Self { room: Arc::new(Semaphore::new(limits.at_once)), admission, no_answer, limits }
    }

    /// Begins an answer: the rows of `left`, one after the other, as `encoder` writes them. The first part
    /// is made at once, so that what is wrong with the question is told. The response has to carry the
    /// second value, so that the server can cut its connection.
    ///
    /// # Errors
    /// The problem that the client is told.
    pub(crate) async fn begin(
        &self,
        left: VecDeque<RowPages>,
        encoder: Encoder,
    ) -> Result<(Body, Unfinished), Problem> {
        let room = Arc::clone(&self.room).try_acquire_owned().map_err(|_| {
            metrics::counter!("ohlcv_http_requests_shed_total").increment(1);
            Problem::overloaded("too many long answers are under way: try again a little later")
        })?;
        let mut production = Production { left, encoder, ended: false };
        let first = {
            let _turn = self.admission.turn()?;
            production.part().await.map_err(|unmade| match unmade {
                Unmade::Query(error) => self.no_answer.problem(error),
                Unmade::Unwritten(error) => {
                    tracing::error!(%error, "rows could not be written");
                    Problem::internal()
                }
            })?
        };
        let (sender, parts) = mpsc::channel(PARTS_AHEAD_MAX);
        let admission = Arc::clone(&self.admission);
        // A task of its own, so that a client that takes nothing keeps no more than its connection.
        tokio::spawn(produce(production, first, sender, admission, self.limits, room).in_current_span());
        let unfinished = Unfinished::default();
        let parts = Parts { parts, ended: false, unfinished: unfinished.clone() };
        Ok((BoxBody::new(parts).into(), unfinished))
    }
}

impl Production {
    /// The next part; none behind the last one.
    async fn part(&mut self) -> Result<Option<Bytes>, Unmade> {
        while let Some(pages) = self.left.front_mut() {
            match pages.next().await? {
                Some(rows) if rows.is_empty() => {}
                Some(rows) => {
                    self.encoder.push(pages.asset(), &rows)?;
                    return Ok(Some(self.encoder.take().into()));
                }
                None => drop(self.left.pop_front()),
            }
        }
        if std::mem::replace(&mut self.ended, true) {
            return Ok(None);
        }
        self.encoder.finish()?;
        Ok(Some(self.encoder.take().into()))
    }
}

/// Makes one part after the other, as fast as they are taken, and the mark that it was the last one.
/// Whatever goes wrong, the mark is missing, and the client is told by a connection that breaks.
async fn produce(
    mut production: Production,
    first: Option<Bytes>,
    sender: mpsc::Sender<Option<Bytes>>,
    admission: Arc<Admission>,
    limits: StreamLimits,
    _room: OwnedSemaphorePermit,
) {
    let all = async {
        let mut part = first;
        loop {
            let last = part.is_none();
            sender.send_timeout(part, limits.taking).await.map_err(|error| match error {
                mpsc::error::SendTimeoutError::Timeout(_) => Some("the client takes nothing".to_owned()),
                mpsc::error::SendTimeoutError::Closed(_) => None,
            })?;
            if last {
                return Ok(());
            }
            let next = async {
                let _turn = admission.turn_in_time().await;
                production.part().await
            };
            part = tokio::select! {
                () = sender.closed() => return Err(None),
                made = tokio::time::timeout(limits.page, next) => match made {
                    Ok(Ok(part)) => part,
                    Ok(Err(Unmade::Query(error))) => return Err(Some(error.to_string())),
                    Ok(Err(Unmade::Unwritten(error))) => return Err(Some(error.to_string())),
                    Err(_) => return Err(Some("a page took too long".to_owned())),
                },
            };
        }
    };
    let ended = tokio::time::timeout(limits.whole, all).await;
    match ended.unwrap_or_else(|_| Err(Some(format!("it took longer than {:?}", limits.whole)))) {
        Ok(()) => {}
        Err(None) => tracing::debug!("the client went away before it had the whole answer"),
        Err(Some(why)) => tracing::warn!(why, "an answer was broken off"),
    }
}

/// The parts of an answer as its body.
struct Parts {
    parts: mpsc::Receiver<Option<Bytes>>,
    ended: bool,
    unfinished: Unfinished,
}

impl HttpBody for Parts {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let part = ready!(self.parts.poll_recv(context));
        self.ended = !matches!(part, Some(Some(_)));
        Poll::Ready(match part {
            Some(Some(part)) => Some(Ok(Frame::data(part))),
            Some(None) => None,
            // The server cuts the connection, so that a part is not taken for the whole.
            None => {
                self.unfinished.give_up();
                Some(Err(io::Error::other("the answer was broken off")))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.ended
    }
}

#[cfg(test)]
mod tests;
