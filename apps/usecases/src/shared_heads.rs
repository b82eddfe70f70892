//! Where series stand, asked for many readers at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ohlcv_domain::{Asset, Head};
use ohlcv_ports::{Coverage, StoreError};
use tokio::sync::oneshot;

/// How many assets one question names; what is more waits for the next one.
const ASSETS_PER_QUESTION_MAX: usize = 100;

/// How often a question waits for one more pass of its thread over whatever there is to do, and how long
/// at most.
const PASSES_MAX: usize = 10;
const GATHERING_TIME_MAX: Duration = Duration::from_micros(1_000);

/// Tells where a series stands, with one question to the store for all who ask at the same time.
///
/// Whoever asks hears of every write that was acknowledged before: an answer is shared only by those
/// who came before its question was sent, the others share the next one. Needs a tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct SharedHeads {
    coverage: Arc<dyn Coverage>,
    queue: Arc<Mutex<Queue>>,
}

/// Who waits. As long as the requests of the process are bounded, so is this.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    // A task is at work for those who wait.
    asking: bool,
}

#[derive(Debug)]
struct Waiting {
    asset: Asset,
    reply: oneshot::Sender<Result<Option<Head>, StoreError>>,
}

impl Queue {
    /// Those whom one question answers, by asset; the others wait for the next one.
    fn take(&mut self) -> BTreeMap<Asset, Vec<Waiting>> {
        let mut asked = BTreeMap::<Asset, Vec<Waiting>>::new();
        for waiting in std::mem::take(&mut self.waiting) {
            if asked.len() == ASSETS_PER_QUESTION_MAX && !asked.contains_key(&waiting.asset) {
                self.waiting.push(waiting);
            } else {
                asked.entry(waiting.asset).or_default().push(waiting);
            }
        }
        asked
    }
}

impl SharedHeads {
    /// Asks `coverage`.
    #[must_use]
    pub(crate) fn of(coverage: Arc<dyn Coverage>) -> Self {
        Self { coverage, queue: Arc::default() }
    }

    /// The same for other readers: those who ask the one share no question with those who ask the other.
    #[must_use]
    pub(crate) fn apart(&self) -> Self {
        Self::of(Arc::clone(&self.coverage))
    }

    /// Where the series of an asset stands; none if nothing was written about it.
    ///
    /// # Errors
    /// [`StoreError`], the same for all who shared the question.
    pub(crate) async fn head(&self, asset: Asset) -> Result<Option<Head>, StoreError> {
        let (reply, answer) = oneshot::channel();
        let begin = {
            let mut queue = lock(&self.queue);
            queue.waiting.push(Waiting { asset, reply });
            !std::mem::replace(&mut queue.asking, true)
        };
        if begin {
            // A task of its own: a reader that goes away takes the answer from nobody else.
            tokio::spawn(ask(Arc::clone(&self.coverage), Arc::clone(&self.queue)));
        }
        answer.await.unwrap_or_else(|_| {
            // Only a panic of the store takes the answer away.
            let reason = "the question where a series stands came to a bad end".to_owned();
            Err(StoreError::Refused { reason, source: None })
        })
    }
}

/// Asks for all who wait, again and again until nobody does: one question at a time, so that each serves
/// as many as can be. Each ends within the store's own time limit.
async fn ask(coverage: Arc<dyn Coverage>, queue: Arc<Mutex<Queue>>) {
    let mut at_work = AtWork { queue: &queue, is_done: false };
    loop {
        gather(&queue).await;
        let asked = lock(&queue).take();
        let assets: Vec<Asset> = asked.keys().copied().collect();
        let heads = coverage.heads(&assets).await;
        for (asset, waiting) in asked {
            for Waiting { reply, .. } in waiting {
                let head = match &heads {
                    Ok(heads) => Ok(heads.iter().find(|head| head.asset == asset).copied()),
                    Err(error) => Err(told_again(error)),
                };
                // Whoever is gone does not want it.
                let _ = reply.send(head);
            }
        }
        if !at_work.goes_on() {
            return;
        }
    }
}

/// Lets those join who are about to ask, until a pass brings nobody new: few large questions cost the
/// database and this process less than many small ones.
async fn gather(queue: &Mutex<Queue>) {
    let (began, mut known) = (Instant::now(), 0);
    for _ in 0..PASSES_MAX {
        tokio::task::yield_now().await;
        let waiting = lock(queue).waiting.len();
        if waiting == known || began.elapsed() > GATHERING_TIME_MAX {
            return;
        }
        known = waiting;
    }
}

/// The task that is at work for those who wait, also if it comes to a bad end.
struct AtWork<'a> {
    queue: &'a Mutex<Queue>,
    is_done: bool,
}

impl AtWork<'_> {
    /// Whether somebody has come meanwhile; if not, the next one begins a new task.
    fn goes_on(&mut self) -> bool {
        let mut queue = lock(self.queue);
        queue.asking = !queue.waiting.is_empty();
        self.is_done = !queue.asking;
        queue.asking
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        if !self.is_done {
            // Nobody else comes to ask for these.
            let mut queue = lock(self.queue);
            queue.waiting.clear();
            queue.asking = false;
        }
    }
}

/// An error for one more reader. What lies beneath is in the words already.
fn told_again(error: &StoreError) -> StoreError {
    let source = None;
    match error {
        StoreError::Unavailable { reason, .. } => StoreError::Unavailable { reason: reason.clone(), source },
        StoreError::LeaseLost { lease } => StoreError::LeaseLost { lease: lease.clone() },
        StoreError::Corrupt { reason } => StoreError::Corrupt { reason: reason.clone() },
        StoreError::Refused { reason, .. } => StoreError::Refused { reason: reason.clone(), source },
    }
}

fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}
