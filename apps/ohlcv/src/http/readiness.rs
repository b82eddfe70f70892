//! Whether the database can be used, however many ask at once.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_ports::CandleStore;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A database that takes longer to answer counts as disconnected.
const DATABASE_ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// Asks the store whether it is ready: once for all who wait for the answer.
#[derive(Clone)]
pub(crate) struct Readiness {
    store: Arc<dyn CandleStore>,
    /// When the store was last asked, and what it said.
    last: Arc<Mutex<Option<(Instant, bool)>>>,
}

impl Readiness {
    pub(crate) fn of(store: Arc<dyn CandleStore>) -> Self {
        Self { store, last: Arc::default() }
    }

    /// Whether the database answers. What keeps it from being used is written to the log.
    pub(crate) async fn database_answers(&self) -> bool {
        let arrived = Instant::now();
        let deadline = arrived + DATABASE_ANSWER_TIME_MAX;
        let Ok(mut last) = tokio::time::timeout_at(deadline, self.last.lock()).await else {
            return false;
        };
        if let Some((asked, answer)) = *last
            && asked > arrived
        {
            return answer;
        }
        let asked = Instant::now();
        let answer = match tokio::time::timeout_at(deadline, self.store.ready()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn Error, "the database cannot be used");
                false
            }
            Err(_) => {
                tracing::warn!(waited = ?DATABASE_ANSWER_TIME_MAX, "the database does not answer");
                false
            }
        };
        *last = Some((asked, answer));
        answer
    }
}
