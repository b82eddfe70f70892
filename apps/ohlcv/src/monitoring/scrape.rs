//! What is read anew when somebody fetches the metrics.

use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_ports::StoreError;
use ohlcv_usecases::{Monitor, Observed};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::recorder;

/// How long the database may take to answer. What it says later is of no use to anybody.
const DATABASE_ANSWER_TIME_MAX: Duration = Duration::from_secs(2);
/// How long an answer of the database is shown, however often the metrics are fetched.
const ANSWER_KEPT: Duration = Duration::from_secs(1);

/// The database connections of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    /// Those that nobody uses.
    pub idle: u32,
    /// Those in use.
    pub used: u32,
    /// Those that threads keep for themselves, to ask where series stand.
    pub kept: u32,
}

/// What a database takes up.
#[async_trait]
pub trait DatabaseUse: Debug + Send + Sync {
    /// The open connections. Asks nobody.
    fn connections(&self) -> Connections;

    /// The size of the whole database in bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    async fn size_bytes(&self) -> Result<u64, StoreError>;
}

/// The metrics of this process, with those that are read from the database when they are fetched.
#[derive(Clone, Debug)]
pub struct Metrics {
    monitor: Monitor,
    database: Option<Arc<dyn DatabaseUse>>,
    last_read: Arc<Mutex<Option<Instant>>>,
}

impl Metrics {
    /// Shows what `monitor` sees. Starts recording, if that was not done before.
    #[must_use]
    pub fn new(monitor: Monitor) -> Self {
        recorder();
        Self { monitor, database: None, last_read: Arc::default() }
    }

    /// The same, with what the database takes up.
    #[must_use]
    pub fn with_database(self, database: Arc<dyn DatabaseUse>) -> Self {
        Self { database: Some(database), ..self }
    }

    /// All metrics in the text format of Prometheus. If the database does not answer within 2 s,
    /// those read from it stay as they were, and `ohlcv_database_up` is 0.
    pub async fn render(&self) -> String {
        self.read_if_due().await;
        if let Some(Connections { idle, used, kept }) =
            self.database.as_ref().map(|known| known.connections())
        {
            for (state, connections) in [("idle", idle), ("used", used), ("kept", kept)] {
                metrics::gauge!("ohlcv_database_connections", "state" => state).set(connections);
            }
        }
        recorder().render()
    }

    /// Whoever fetches while another does waits for the same answer.
    async fn read_if_due(&self) {
        let mut last_read = self.last_read.lock().await;
        if last_read.is_some_and(|at| at.elapsed() < ANSWER_KEPT) {
            return;
        }
        let up = match tokio::time::timeout(DATABASE_ANSWER_TIME_MAX, self.read()).await {
            Ok(Ok(())) => true,
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn Error, "the database cannot be watched");
                false
            }
            Err(_) => {
                tracing::warn!(waited = ?DATABASE_ANSWER_TIME_MAX, "the database cannot be watched: no answer");
                false
            }
        };
        metrics::gauge!("ohlcv_database_up").set(u8::from(up));
        *last_read = Some(Instant::now());
    }

    async fn read(&self) -> Result<(), StoreError> {
        let Observed { lags, holes, jobs, ban } = self.monitor.run().await?;
        for (asset, slots) in lags {
            metrics::gauge!("ohlcv_asset_lag_candles", "asset" => asset.to_string()).set(number(slots));
        }
        for (cause, count) in holes {
            metrics::gauge!("ohlcv_open_holes", "cause" => cause.as_str()).set(number(count));
        }
        for (state, count) in jobs {
            metrics::gauge!("ohlcv_jobs", "state" => state.as_str()).set(number(count));
        }
        metrics::gauge!("ohlcv_exchange_ban_seconds").set(ban.as_secs_f64());
        if let Some(database) = &self.database {
            metrics::gauge!("ohlcv_database_size_bytes").set(number(database.size_bytes().await?));
        }
        Ok(())
    }
}

/// A count as metrics are kept: exact up to 2⁵³.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts like these stay far below 2⁵³")]
fn number(count: u64) -> f64 {
    count as f64
}
