//! Where series stand, asked for many readers at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ohlcv_domain::{Asset, Head};
use ohlcv_ports::{Coverage, StoreError};
use tokio::sync::oneshot;

/// How many assets one question names; what is more waits for the next one.
const ASSETS_PER_QUESTION_MAX: usize = 100;

/// How often a question gives way to those who are about to ask.
const GATHERING_MAX: usize = 4;

/// Tells where a series stands, with one question to the store for all who ask at the same time.
///
/// Whoever asks hears of every write that was acknowledged before: an answer is shared only by those
/// who came before its question was sent, the others share the next one. One question is under way at
/// a time. Needs a tokio runtime.
#[derive(Clone, Debug)]
pub(crate) struct SharedHeads {
    coverage: Arc<dyn Coverage>,
    queue: Arc<Mutex<Queue>>,
}

/// Who waits. As long as the requests of the process are bounded, so is this.
#[derive(Debug, Default)]
struct Queue {
    waiting: Vec<Waiting>,
    asking: bool,
}

#[derive(Debug)]
struct Waiting {
    asset: Asset,
    reply: oneshot::Sender<Result<Option<Head>, StoreError>>,
}

/// Whoever asks next begins anew, also if this question came to a bad end.
struct Asking {
    queue: Arc<Mutex<Queue>>,
    ended: bool,
}

impl Drop for Asking {
    fn drop(&mut self) {
        if !self.ended {
            let mut queue = lock(&self.queue);
            queue.asking = false;
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
            !std::mem::replace(&mut queue.asking, true)
        };
        if begin {
            // A task of its own: a reader that goes away takes the answer from nobody else.
            let asking = Asking { queue: Arc::clone(&self.queue), ended: false };
            tokio::spawn(ask(Arc::clone(&self.coverage), asking));
        }
        answer.await.unwrap_or_else(|_| {
            // Only a panic of the store takes the answer away.
            let reason = "the question where a series stands came to a bad end".to_owned();
            Err(StoreError::Refused { reason, source: None })
        })
    }
}

/// Asks for all who wait, again and again until nobody does. Each question ends within the store's own
/// time limit.
async fn ask(coverage: Arc<dyn Coverage>, mut asking: Asking) {
    loop {
        gather(&asking.queue).await;
        let mut asked = BTreeMap::<Asset, Vec<Waiting>>::new();
        {
            let mut queue = lock(&asking.queue);
            let mut later = Vec::new();
            for waiting in std::mem::take(&mut queue.waiting) {
                if asked.len() == ASSETS_PER_QUESTION_MAX && !asked.contains_key(&waiting.asset) {
                    later.push(waiting);
                } else {
                    asked.entry(waiting.asset).or_default().push(waiting);
                }
            }
            queue.waiting = later;
            if asked.is_empty() {
                queue.asking = false;
                drop(queue);
                asking.ended = true;
                return;
            }
        }
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
    }
}

/// Gives way to those who are about to ask, for as long as more keep coming: a question for many costs
/// what one for a few does. Without others it takes a few microseconds.
async fn gather(queue: &Mutex<Queue>) {
    let mut waiting = 0;
    for _ in 0..GATHERING_MAX {
        tokio::task::yield_now().await;
        let now = lock(queue).waiting.len();
        if now == waiting {
            return;
        }
        waiting = now;
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
