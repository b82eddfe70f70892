//! Connections that are kept beside the pool, one for each runtime that asks.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sea_orm::{DbErr, sqlx};
use tokio::runtime::{self, Handle};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::query_error;

/// How long one connection is kept; as long as one of the pool lives.
const KEPT_TIME_MAX: Duration = Duration::from_secs(30 * 60);
/// How long one is kept that nobody uses. Networks forget silent ones after some more minutes.
const UNUSED_TIME_MAX: Duration = Duration::from_secs(300);
/// How long the pool is used when nothing could be opened beside it.
const REFUSED_PAUSE: Duration = Duration::from_secs(1);
/// How long one that is lent is waited for before another one is opened.
const LENT_TIME_MAX: Duration = Duration::from_millis(20);
/// How long, and how often in between, those in use are waited for when all are closed.
const CLOSING_TIME_MAX: Duration = Duration::from_secs(2);
const CLOSING_PAUSE: Duration = Duration::from_millis(5);

/// What can be kept.
pub(in super::super) trait Connection: Send + Sized + 'static {
    /// Takes leave.
    fn close(self) -> impl Future<Output = ()> + Send;
}

/// Keeps a connection for each runtime between two questions. To give it back to the pool would cost
/// another round trip, with which the pool tests it; and an answer is to wake the thread that waits for it
/// and no other one.
pub(in super::super) struct Shelf<C> {
    inner: Arc<Mutex<Inner<C>>>,
    // As many as there are connections, and one.
    open: Arc<()>,
}

struct Inner<C> {
    kept: HashMap<runtime::Id, Kept<C>>,
    // Of these a task closes the connection when nobody asks any more.
    watched: HashSet<runtime::Id>,
    // Cancelled when it is back.
    lent: HashMap<runtime::Id, CancellationToken>,
    // When nothing could be opened at last.
    refused: Option<Instant>,
    closed: bool,
}

/// A connection that is, or was, on the shelf.
pub(super) struct Kept<C> {
    pub(super) connection: C,
    since: Instant,
    used: Instant,
    _place: Place,
}

/// Leave to open a connection; it is counted from then on.
pub(super) struct Place {
    _open: Arc<()>,
}

impl<C> Default for Shelf<C> {
    fn default() -> Self {
        let inner = Inner {
            kept: HashMap::new(),
            watched: HashSet::new(),
            lent: HashMap::new(),
            refused: None,
            closed: false,
        };
        Self { inner: Arc::new(Mutex::new(inner)), open: Arc::default() }
    }
}

impl<C: Connection> Shelf<C> {
    /// The connection of this runtime, for the question that all readers wait for. One that is lent is waited
    /// for a moment: another one would most likely take longer to open. If it has ended meanwhile, the
    /// question tells.
    pub(super) async fn take(&self) -> Result<Option<Kept<C>>, DbErr> {
        let own = Handle::current().id();
        let waiting_ends = Instant::now() + LENT_TIME_MAX;
        // Ends when the time is over; most often after one loan.
        loop {
            let (kept, lent) = {
                let mut inner = lock(&self.inner);
                if inner.closed {
                    return Err(query_error(sqlx::Error::PoolClosed));
                }
                (inner.kept.remove(&own), inner.lent.get(&own).cloned())
            };
            match (kept, lent) {
                (None, Some(lent)) => {
                    if timeout_at(waiting_ends, lent.cancelled()).await.is_err() {
                        return Ok(None);
                    }
                }
                (kept, _) => return Ok(kept.filter(Kept::is_fresh)),
            }
        }
    }

    /// The connection of this runtime for a question that can be put to the pool as well; none if it is
    /// not at hand.
    pub(super) fn borrow(&self) -> Option<Borrowed<'_, C>> {
        let own = Handle::current().id();
        let mut inner = lock(&self.inner);
        if inner.lent.contains_key(&own) {
            // A second loan would take the place of the first, which others may wait for.
            return None;
        }
        let kept = inner.kept.remove(&own)?;
        inner.lent.insert(own, CancellationToken::new());
        drop(inner);
        let borrowed = Borrowed { shelf: self, own, kept: Some(kept) };
        borrowed.kept.as_ref().is_some_and(Kept::is_fresh).then_some(borrowed)
    }

    /// Leave to open one; none if there was nothing to be had a moment ago.
    pub(super) fn place(&self) -> Option<Place> {
        let inner = lock(&self.inner);
        let refused = inner.refused.is_some_and(|at| at.elapsed() < REFUSED_PAUSE);
        // Under the lock: whoever closes counts this one.
        (!inner.closed && !refused).then(|| Place { _open: Arc::clone(&self.open) })
    }

    /// Notes that nothing was to be had.
    pub(super) fn refused(&self) {
        lock(&self.inner).refused = Some(Instant::now());
    }

    /// Keeps a connection until the next question; closes it if it is one too many.
    pub(super) async fn put(&self, kept: Kept<C>) {
        if let Some(surplus) = self.keep(kept) {
            // In a box, so that the usual question does not carry the room for this along.
            Box::pin(surplus.connection.close()).await;
        }
    }

    fn keep(&self, kept: Kept<C>) -> Option<Kept<C>> {
        let own = Handle::current().id();
        let mut inner = lock(&self.inner);
        if inner.closed || inner.kept.contains_key(&own) {
            return Some(kept);
        }
        inner.kept.insert(own, Kept { used: Instant::now(), ..kept });
        if inner.watched.insert(own) {
            tokio::spawn(close_unused(Arc::clone(&self.inner), own));
        }
        None
    }

    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        Arc::strong_count(&self.open) - 1
    }

    /// Closes all, those in use when they are given back. Whatever is asked afterwards fails.
    pub(super) async fn close(&self) {
        let kept = {
            let mut inner = lock(&self.inner);
            inner.closed = true;
            std::mem::take(&mut inner.kept)
        };
        for kept in kept.into_values() {
            kept.connection.close().await;
        }
        let began = Instant::now();
        while self.open() > 0 && began.elapsed() < CLOSING_TIME_MAX {
            tokio::time::sleep(CLOSING_PAUSE).await;
        }
    }
}

/// A connection that is lent. It is closed, unless it is given back.
pub(super) struct Borrowed<'a, C> {
    shelf: &'a Shelf<C>,
    own: runtime::Id,
    kept: Option<Kept<C>>,
}

impl<C: Connection> Borrowed<'_, C> {
    /// None once it was given back.
    pub(super) fn connection(&mut self) -> Option<&mut C> {
        self.kept.as_mut().map(|kept| &mut kept.connection)
    }

    pub(super) async fn give_back(mut self) {
        if let Some(kept) = self.kept.take() {
            self.shelf.put(kept).await;
        }
    }
}

impl<C> Drop for Borrowed<'_, C> {
    fn drop(&mut self) {
        if let Some(lent) = lock(&self.shelf.inner).lent.remove(&self.own) {
            lent.cancel();
        }
    }
}

/// Closes the connection of a runtime when it was not used for a while. One task at a time for each.
async fn close_unused<C: Connection>(inner: Arc<Mutex<Inner<C>>>, own: runtime::Id) {
    let mut due = Instant::now() + UNUSED_TIME_MAX;
    let unused = loop {
        tokio::time::sleep_until(due).await;
        let mut inner = lock(&inner);
        match inner.kept.get(&own) {
            Some(kept) if kept.is_fresh() => due = kept.used + UNUSED_TIME_MAX,
            _ => {
                inner.watched.remove(&own);
                break inner.kept.remove(&own);
            }
        }
    };
    if let Some(kept) = unused {
        kept.connection.close().await;
    }
}

fn lock<C>(inner: &Mutex<Inner<C>>) -> MutexGuard<'_, Inner<C>> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<C> Kept<C> {
    /// One that was just opened.
    pub(super) fn new(connection: C, place: Place) -> Self {
        let now = Instant::now();
        Self { connection, since: now, used: now, _place: place }
    }

    fn is_fresh(&self) -> bool {
        self.used.elapsed() < UNUSED_TIME_MAX && self.since.elapsed() < KEPT_TIME_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of many, by its number.
    struct Numbered(u32);

    impl Connection for Numbered {
        async fn close(self) {}
    }

    async fn with_one() -> Shelf<Numbered> {
        let shelf = Shelf::default();
        put(&shelf, 1).await;
        shelf
    }

    async fn put(shelf: &Shelf<Numbered>, number: u32) {
        let place = shelf.place().unwrap();
        shelf.put(Kept::new(Numbered(number), place)).await;
    }

    async fn taken(shelf: &Shelf<Numbered>) -> Option<u32> {
        shelf.take().await.unwrap().map(|kept| kept.connection.0)
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lent_is_waited_for_until_it_is_given_back_or_lost() {
        let shelf = with_one().await;
        let lent = shelf.borrow().unwrap();
        let given_back = async {
            tokio::time::sleep(LENT_TIME_MAX / 2).await;
            lent.give_back().await;
        };
        assert_eq!(tokio::join!(taken(&shelf), given_back).0, Some(1));
        put(&shelf, 2).await;
        let lent = shelf.borrow().unwrap();
        let lost = async {
            tokio::time::sleep(LENT_TIME_MAX / 2).await;
            drop(lent);
        };
        let began = Instant::now();
        assert_eq!(tokio::join!(taken(&shelf), lost).0, None);
        assert!(began.elapsed() < LENT_TIME_MAX, "{:?}", began.elapsed());
        assert_eq!(shelf.open(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_lent_for_long_is_not_waited_for() {
        let shelf = with_one().await;
        let _lent = shelf.borrow().unwrap();
        let began = Instant::now();
        assert_eq!(taken(&shelf).await, None);
        assert!(began.elapsed() >= LENT_TIME_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_lent_at_a_time() {
        let shelf = with_one().await;
        let lent = shelf.borrow().unwrap();
        put(&shelf, 2).await;
        assert!(shelf.borrow().is_none());
        assert_eq!(taken(&shelf).await, Some(2));
        lent.give_back().await;
        assert_eq!(shelf.borrow().unwrap().connection().unwrap().0, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_given_back_after_the_end_is_closed() {
        let shelf = with_one().await;
        let lent = shelf.borrow().unwrap();
        let given_back = async {
            tokio::time::sleep(LENT_TIME_MAX / 2).await;
            lent.give_back().await;
        };
        tokio::join!(shelf.close(), given_back);
        assert_eq!(shelf.open(), 0);
        assert!(shelf.take().await.is_err());
    }
}
