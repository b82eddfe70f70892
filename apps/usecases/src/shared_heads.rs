//! Where series stand, asked for many readers at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ohlcv_domain::{Asset, Head};
use ohlcv_ports::{Coverage, StoreError};
use tokio::sync::oneshot;

/// How many assets one question names; what is more waits for the next one.
const ASSETS_PER_QUESTION_MAX: usize = 100;

/// How many questions are under way at once: while one is answered, those who had the other's answer go
/// on. The second one waits until it serves as many readers as the first: under load few large questions cost
/// the database and this process less than many small ones, and no reader waits longer than for the first
/// one's end.
const QUESTIONS_AT_ONCE_MAX: usize = 2;

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
    // A task is about to take those who wait.
    gathering: bool,
    under_way: usize,
    // The readers whom the questions under way serve.
    served: usize,
}

#[derive(Debug)]
struct Waiting {
    asset: Asset,
    reply: oneshot::Sender<Result<Option<Head>, StoreError>>,
}

impl Queue {
    /// Whether a task has to be begun for those who wait.
    fn begin(&mut self) -> bool {
        let begin = !self.waiting.is_empty()
            && !self.gathering
            && self.under_way < QUESTIONS_AT_ONCE_MAX
            && self.waiting.len() >= self.served;
        self.gathering |= begin;
        begin
    }

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

/// A question that is under way, also if it comes to a bad end.
struct UnderWay<'a> {
    queue: &'a Mutex<Queue>,
    served: usize,
}

impl<'a> UnderWay<'a> {
    /// Takes those whom it answers.
    fn begin(queue: &'a Mutex<Queue>) -> (Self, BTreeMap<Asset, Vec<Waiting>>) {
        let mut locked = lock(queue);
        locked.gathering = false;
        locked.under_way += 1;
        let asked = locked.take();
        let served = asked.values().map(Vec::len).sum();
        locked.served += served;
        drop(locked);
        (Self { queue, served }, asked)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut queue = lock(self.queue);
        queue.under_way -= 1;
        queue.served -= self.served;
        if std::thread::panicking() {
            // Nobody else may come to ask for these.
            queue.waiting.clear();
        }
    }
}

impl SharedHeads {
    /// Asks `coverage`.
    #[must_use]
    pub(crate) fn of(coverage: Arc<dyn Coverage>) -> Self {
        Self { coverage, queue: Arc::default() }
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
            queue.begin()
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

/// Asks for all who wait, again and again until nobody does or another task does. Each question ends
/// within the store's own time limit.
async fn ask(coverage: Arc<dyn Coverage>, queue: Arc<Mutex<Queue>>) {
    loop {
        // Those who are about to ask may join.
        tokio::task::yield_now().await;
        let (under_way, asked) = UnderWay::begin(&queue);
        let assets: Vec<Asset> = asked.keys().copied().collect();
        let heads = coverage.heads(&assets).await;
        drop(under_way);
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
        if !lock(&queue).begin() {
            return;
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
