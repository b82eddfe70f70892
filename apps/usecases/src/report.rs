//! What a run tells: progress while it goes on, a report when it has ended.

use std::sync::Arc;

use ohlcv_domain::{Applied, Asset, Rejection, Timestamp};
use ohlcv_ports::{SourceError, StoreError};

use crate::ExchangeTime;

/// How far a run is with one asset, in slots of its grid; told first when the work on it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The asset.
    pub asset: Asset,
    /// Slots that were answered about in this run.
    pub done: u64,
    /// Slots that this run set out to ask about.
    pub expected: u64,
}

/// Where progress goes. Called often; must not block.
pub type ProgressSink = Arc<dyn Fn(Progress) + Send + Sync>;

/// Where the report of each asset goes as soon as there is one. Must not block.
pub type ReportSink = Arc<dyn Fn(&AssetReport) + Send + Sync>;

/// What a run did with all its assets.
#[derive(Debug)]
pub struct RunReport {
    /// The clocks at the start of the run.
    pub time: ExchangeTime,
    /// One report an asset, in the order they were given.
    pub assets: Vec<AssetReport>,
}

impl RunReport {
    /// Nothing was done: it was stopped before the exchange told its time.
    pub(crate) fn stopped(assets: &[Asset], now: Timestamp) -> Self {
        let report = |&asset| AssetReport::empty(asset, Outcome::Stopped);
        let time = ExchangeTime { exchange: now, local: now };
        Self { time, assets: assets.iter().map(report).collect() }
    }

    /// Whether looking again soon may bring more: newest candles are missing, for a reason that can
    /// pass.
    #[must_use]
    pub fn is_worth_repeating(&self) -> bool {
        self.assets.iter().any(|report| report.behind && report.can_pass())
    }

    /// When the next hole of any asset should be asked about, by the local clock.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let served = self.assets.iter().filter(|report| report.is_served());
        served.filter_map(|report| report.due).min()
    }

    /// Whether some asset was not worked on to the end, for a reason that can pass.
    #[must_use]
    pub fn is_unfinished(&self) -> bool {
        let unfinished = |report: &AssetReport| matches!(report.outcome, Outcome::Failed(_) | Outcome::Busy);
        self.assets.iter().any(|report| unfinished(report) && report.can_pass())
    }

    /// Whether some asset failed.
    #[must_use]
    pub fn has_failures(&self) -> bool {
        self.assets.iter().any(|report| matches!(report.outcome, Outcome::Failed(_)))
    }
}

/// What a run did with one asset.
#[derive(Debug)]
pub struct AssetReport {
    /// The asset.
    pub asset: Asset,
    /// What was stored and turned away, also if it failed in the end; nothing if its lease was lost.
    pub gains: Gains,
    /// Whether candles are missing whose answer may come any time.
    pub behind: bool,
    /// When the next hole should be asked about, by the local clock.
    pub due: Option<Timestamp>,
    /// How it ended.
    pub outcome: Outcome,
}

impl AssetReport {
    /// Nothing came in.
    pub(crate) fn empty(asset: Asset, outcome: Outcome) -> Self {
        Self { asset, gains: Gains::default(), behind: true, due: None, outcome }
    }

    /// The same report of a run that did not set out to complete the history.
    pub(crate) fn without_lack(self) -> Self {
        match self.outcome {
            Outcome::Incomplete(_) => Self { outcome: Outcome::Done, ..self },
            _ => self,
        }
    }

    /// Whether the exchange has this market for us at all.
    fn is_served(&self) -> bool {
        !matches!(
            self.outcome,
            Outcome::Failed(AssetError::Source(
                SourceError::UnknownAsset { .. } | SourceError::Blocked { .. }
            ))
        )
    }

    /// Whether the same run may end better soon. A request that was refused as wrong may be so for
    /// one hole alone, which has a time of its own.
    pub(crate) fn can_pass(&self) -> bool {
        match &self.outcome {
            Outcome::Failed(error) => error.can_pass(),
            _ => true,
        }
    }
}

/// What came in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gains {
    /// Pages asked for.
    pub pages: u64,
    /// What they changed in the store.
    pub stored: Applied,
    /// Rows that were turned away at the door.
    pub rejected: u64,
}

impl Gains {
    pub(crate) fn add_page(&mut self, applied: Applied, rejected: &[Rejection]) {
        self.pages += 1;
        self.stored.new += applied.new;
        self.stored.changed += applied.changed;
        self.stored.unchanged += applied.unchanged;
        self.rejected += rejected.len() as u64;
    }
}

/// How the work on one asset ended.
#[derive(Debug)]
pub enum Outcome {
    /// Everything that could be had is stored.
    Done,
    /// All was asked, but there is less than was wanted; why.
    Incomplete(String),
    /// Another process works on it; nothing was done here.
    Busy,
    /// It was stopped from outside; run again, it goes on where it was.
    Stopped,
    /// Something failed; what was stored before stays.
    Failed(AssetError),
}

impl AssetError {
    /// Whether the same may work later.
    pub(crate) fn can_pass(&self) -> bool {
        !matches!(
            self,
            Self::Source(
                SourceError::UnknownAsset { .. } | SourceError::Blocked { .. } | SourceError::Refused { .. }
            )
        )
    }
}

/// Why the work on one asset failed.
#[derive(Debug, thiserror::Error)]
pub enum AssetError {
    /// The exchange did not answer, or not usably.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store did not do what it was asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The clocks differ too much to say which candle is closed.
    #[error(
        "the exchange's clock shows {exchange}, the local one {local}: more than 15 minutes apart, \
         so nothing new is stored; set the local clock, or check BINANCE_API_BASE_URL"
    )]
    Clocks {
        /// The exchange's clock.
        exchange: Timestamp,
        /// The local clock.
        local: Timestamp,
    },
}
