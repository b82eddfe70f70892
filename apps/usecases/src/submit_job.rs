//! Somebody asks for a fetch, which becomes a job.

use std::sync::Arc;

use ohlcv_domain::{Asset, RangeError, TimeRange, Timestamp};
use ohlcv_ports::{Clock, Jobs, NewJob, StoreError, Submitted, Work};

/// How many jobs may wait or be worked on; more are refused until some have ended.
pub const UNENDED_JOBS_MAX: u64 = 100;

/// Takes jobs for tracked assets.
#[derive(Clone, Debug)]
pub struct SubmitJob {
    jobs: Arc<dyn Jobs>,
    clock: Arc<dyn Clock>,
    tracked: Vec<Asset>,
}

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FetchWish {
    /// The assets; none stands for all tracked ones.
    pub assets: Option<Vec<Asset>>,
    /// Earliest open time, inclusive. With neither bound everything is brought up to date.
    pub start: Option<Timestamp>,
    /// Latest open time, exclusive. One in the future ends at the last closed candle.
    pub end: Option<Timestamp>,
    /// Under this key the same wish makes one job, however often it is sent.
    pub idempotency_key: Option<String>,
}

/// Why a wish makes no job.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// Both bounds of a range, or neither.
    #[error("{missing} is missing: a range has both bounds; without either everything is brought up to date")]
    HalfARange {
        /// The bound that was not given.
        missing: &'static str,
    },
    /// The range has no instant.
    #[error("start_date {start} is not before end_date {end}: the end is exclusive")]
    EmptyRange {
        /// The start that was given.
        start: Timestamp,
        /// The end that was given.
        end: Timestamp,
    },
    /// The range lies in the future.
    #[error("start_date {start} lies in the future, where there are no candles yet")]
    InTheFuture {
        /// The start that was given.
        start: Timestamp,
    },
    /// No asset is named.
    #[error("assets is empty: name at least one, or leave it out for all tracked ones")]
    NoAssets,
    /// An asset is not tracked.
    #[error("{} not tracked: tracked are {}", listed(unknown, "is", "are"), listed(tracked, "", ""))]
    NotTracked {
        /// The assets that are not.
        unknown: Vec<Asset>,
        /// Those that are.
        tracked: Vec<Asset>,
    },
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn listed(assets: &[Asset], one: &str, many: &str) -> String {
    let names: Vec<&str> = assets.iter().map(Asset::as_str).collect();
    let verb = if assets.len() == 1 { one } else { many };
    format!("{} {verb}", names.join(", ")).trim_end().to_owned()
}

impl SubmitJob {
    /// Takes jobs for `tracked`, which stands for all assets.
    #[must_use]
    pub fn new(jobs: Arc<dyn Jobs>, clock: Arc<dyn Clock>, tracked: Vec<Asset>) -> Self {
        Self { jobs, clock, tracked }
    }

    /// Puts a job into the queue.
    ///
    /// # Errors
    /// [`SubmitError`] if the wish cannot be fulfilled; then there is no job.
    pub async fn run(&self, wish: FetchWish) -> Result<Submitted, SubmitError> {
        let work = match (wish.start, wish.end) {
            (None, None) => Work::CatchUp,
            (Some(start), Some(end)) => Work::Range(self.range(start, end)?),
            (Some(_), None) => return Err(SubmitError::HalfARange { missing: "end_date" }),
            (None, Some(_)) => return Err(SubmitError::HalfARange { missing: "start_date" }),
        };
        let assets = self.assets(wish.assets)?;
        let job = NewJob { work, assets };
        Ok(self.jobs.submit(job, wish.idempotency_key, UNENDED_JOBS_MAX).await?)
    }

    fn range(&self, start: Timestamp, end: Timestamp) -> Result<TimeRange, SubmitError> {
        let range = TimeRange::new(start, end).and_then(|range| {
            if range.is_empty() { Err(RangeError::Reversed { start, end }) } else { Ok(range) }
        });
        let range = range.map_err(|_| SubmitError::EmptyRange { start, end })?;
        if start >= self.clock.now() {
            return Err(SubmitError::InTheFuture { start });
        }
        Ok(range)
    }

    /// Each asset once, in the order given.
    fn assets(&self, named: Option<Vec<Asset>>) -> Result<Vec<Asset>, SubmitError> {
        let Some(named) = named else { return Ok(self.tracked.clone()) };
        let mut assets: Vec<Asset> = Vec::new();
        let mut unknown: Vec<Asset> = Vec::new();
        for asset in named {
            let list = if self.tracked.contains(&asset) { &mut assets } else { &mut unknown };
            if !list.contains(&asset) {
                list.push(asset);
            }
        }
        if !unknown.is_empty() {
            return Err(SubmitError::NotTracked { unknown, tracked: self.tracked.clone() });
        }
        if assets.is_empty() { Err(SubmitError::NoAssets) } else { Ok(assets) }
    }
}
