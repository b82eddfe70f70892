//! A small world for one test: an exchange with a script, a store in memory, a clock that stands.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ohlcv_domain::{
    Asset, Candle, Cause, Grid, Hole, Interval, Ohlc, Price, SlotRange, Summary, TimeRange, Timestamp, Volume,
};
use ohlcv_ports::testing::{Call, MemoryStore, PausedClock, ScriptedSource};
use ohlcv_ports::{CandleSource, CandleStore, Clock, Coverage, HoleQuery, SourceError, Take};
use ohlcv_usecases::{
    AssetReport, Backfill, BackfillGoal, CatchUp, FetchContext, FetchPolicy, PageRoom, Progress,
    ProgressSink, RunReport,
};
use tokio_util::sync::CancellationToken;

/// The time by all clocks when a world begins: an hour after a 12h candle has closed.
pub(crate) const NOW: &str = "2024-11-06T13:00";
/// Where the closed part of a 12h series ends at [`NOW`].
pub(crate) const CLOSED: &str = "2024-11-06T12:00";
/// Where ten days of a 12h series begin at [`NOW`]: twenty slots.
pub(crate) const TEN_DAYS_AGO: &str = "2024-10-27T12:00";
pub(crate) const GRACE: Duration = Duration::from_secs(30);
/// How many pages of an asset may be on their way at once.
pub(crate) const PAGES_AT_ONCE: usize = 4;
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

/// Reads `2024-11-06`, `2024-11-06T12:00` and RFC 3339.
pub(crate) fn at(text: &str) -> Timestamp {
    let rest = match text.len() {
        10 => "T00:00:00Z",
        16 => ":00Z",
        _ => "",
    };
    format!("{text}{rest}").parse().unwrap()
}

pub(crate) fn range(start: &str, end: &str) -> TimeRange {
    TimeRange::new(at(start), at(end)).unwrap()
}

pub(crate) fn half_days(start: &str, end: &str) -> SlotRange {
    SlotRange::new(Grid::new(Interval::H12), at(start), at(end)).unwrap()
}

pub(crate) fn asset(name: &str) -> Asset {
    name.parse().unwrap()
}

pub(crate) fn btc() -> Asset {
    asset("BTC")
}

/// The candle of an open time: no other one has its numbers.
pub(crate) fn candle(open_time: Timestamp) -> Candle {
    candle_of(open_time, 0)
}

/// What an exchange says of the same slot while the candle is open, or by mistake.
pub(crate) fn other_candle(open_time: Timestamp) -> Candle {
    candle_of(open_time, 1_000)
}

/// What an exchange says of the same slot after it revised its history for the `n`th time.
pub(crate) fn revised_candle(open_time: Timestamp, n: u128) -> Candle {
    candle_of(open_time, 2_000 + n)
}

fn candle_of(open_time: Timestamp, more: u128) -> Candle {
    let number = u128::try_from(open_time.millis() / 1_000).unwrap() + more;
    let price = |units| Price::from_units(units).unwrap();
    let prices = Ohlc {
        open: price(number),
        high: price(number + 3),
        low: price(number - 3),
        close: price(number + 1),
    };
    Candle::new(open_time, prices, Volume::from_units(number * 2).unwrap()).unwrap()
}

pub(crate) fn candles(slots: SlotRange) -> Vec<Candle> {
    slots.iter().map(candle).collect()
}

/// What a source says that is out of order.
pub(crate) fn away() -> SourceError {
    SourceError::Unavailable { reason: "connection reset".to_owned(), source: None }
}

pub(crate) struct World {
    pub(crate) interval: Interval,
    pub(crate) clock: Arc<PausedClock>,
    pub(crate) source: Arc<ScriptedSource>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) stop: CancellationToken,
    progress: Arc<Mutex<Vec<Progress>>>,
}

impl World {
    /// An exchange that knows no asset yet, and an empty store.
    pub(crate) fn new(interval: Interval) -> Self {
        let clock = Arc::new(PausedClock::new(at(NOW)));
        let source = ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>);
        Self {
            interval,
            clock,
            source: Arc::new(source),
            store: Arc::new(MemoryStore::new()),
            stop: CancellationToken::new(),
            progress: Arc::default(),
        }
    }

    /// 12h candles of BTC, listed years ago, with more of them to come for months.
    pub(crate) fn of_btc() -> Self {
        let world = Self::new(Interval::H12);
        world.lists("BTC", "2023-01-01", "2025-06-01");
        world
    }

    /// Lets the exchange have every candle of an asset from its first one on, those included that
    /// are still open or to come.
    pub(crate) fn lists(&self, name: &str, first: &str, end: &str) {
        let slots = Grid::from_first(self.interval, at(first)).slots_in(range(first, end));
        self.source.add(asset(name), self.interval, candles(slots));
    }

    /// Takes candles of BTC away from the exchange.
    pub(crate) fn loses(&self, range: TimeRange) {
        self.source.remove(btc(), self.interval, range);
    }

    /// Lets one page fail, counted from the next one, which is number 1.
    pub(crate) fn fail_page(&self, number: usize) {
        if number == 1 {
            return self.source.fail_next_pages(1, away);
        }
        self.on_page(number - 1, |source| source.fail_next_pages(1, away));
    }

    /// Does something while one page is on its way out, counted from the next one, which is 1.
    pub(crate) fn on_page(&self, number: usize, act: impl Fn(&ScriptedSource) + Send + Sync + 'static) {
        let (source, answered) = (Arc::downgrade(&self.source), AtomicUsize::new(0));
        self.source.tamper(move |page| {
            if answered.fetch_add(1, Ordering::Relaxed) + 1 == number {
                act(&source.upgrade().unwrap());
            }
            page
        });
    }

    pub(crate) fn context(&self) -> FetchContext {
        self.context_with(Arc::clone(&self.source) as Arc<dyn CandleSource>)
    }

    /// The ports of this world with another way to its exchange, for two assets at once.
    pub(crate) fn context_with(&self, source: Arc<dyn CandleSource>) -> FetchContext {
        let told = Arc::clone(&self.progress);
        let progress: ProgressSink = Arc::new(move |progress| told.lock().unwrap().push(progress));
        FetchContext {
            source,
            bulk: None,
            room: PageRoom::default(),
            store: Arc::clone(&self.store) as Arc<dyn CandleStore>,
            coverage: Arc::clone(&self.store) as Arc<dyn Coverage>,
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            policy: FetchPolicy {
                interval: self.interval,
                grace: GRACE,
                assets_at_once: 2,
                pages_at_once: PAGES_AT_ONCE,
            },
            terms: None,
            patience: None,
            stop: self.stop.clone(),
            progress,
            ended: Arc::new(|_| {}),
            job: None,
        }
    }

    pub(crate) async fn run_backfill(&self, days: u32) -> RunReport {
        Backfill::new(self.context(), goal(days)).run(&[btc()]).await.unwrap()
    }

    pub(crate) async fn run_catch_up(&self) -> RunReport {
        CatchUp::new(self.context(), goal(10)).run(&[btc()]).await.unwrap()
    }

    /// A backfill of BTC alone.
    pub(crate) async fn backfill(&self, days: u32) -> AssetReport {
        self.run_backfill(days).await.assets.remove(0)
    }

    /// A backfill of BTC that asks for everything again.
    pub(crate) async fn forced_backfill(&self, days: u32) -> AssetReport {
        let goal = BackfillGoal { force: true, ..goal(days) };
        Backfill::new(self.context(), goal).run(&[btc()]).await.unwrap().assets.remove(0)
    }

    /// A catch-up of BTC alone.
    pub(crate) async fn catch_up(&self) -> AssetReport {
        self.run_catch_up().await.assets.remove(0)
    }

    /// What the exchange was asked since this was looked at last.
    pub(crate) fn calls(&self) -> Vec<Call> {
        let calls = self.source.calls();
        self.source.clear_calls();
        calls
    }

    /// The pages that it was asked for since this was looked at last.
    pub(crate) fn pages(&self) -> Vec<SlotRange> {
        let pages = self.calls().into_iter().filter_map(|call| match call {
            Call::Page(_, slots) => Some(slots),
            Call::ServerTime | Call::Listing(_) => None,
        });
        pages.collect()
    }

    pub(crate) fn progress(&self) -> Vec<Progress> {
        self.progress.lock().unwrap().clone()
    }

    pub(crate) async fn rows(&self, name: &str) -> Vec<Candle> {
        self.store.page(asset(name), TimeRange::ALL, Take::Oldest, u64::MAX).await.unwrap()
    }

    /// The holes of BTC.
    pub(crate) async fn holes(&self) -> Vec<Hole> {
        self.store.holes(btc(), HoleQuery::oldest(TimeRange::ALL, u64::MAX)).await.unwrap()
    }

    /// Where the holes of BTC are, and why.
    pub(crate) async fn ledger(&self) -> Vec<(TimeRange, Cause)> {
        self.holes().await.into_iter().map(|hole| (hole.range, hole.cause)).collect()
    }

    /// The summary of BTC.
    pub(crate) async fn summary(&self) -> Option<Summary> {
        self.store.summary(btc()).await.unwrap()
    }
}

/// A goal that any length of history reaches.
pub(crate) fn goal(days: u32) -> BackfillGoal {
    BackfillGoal { days, days_min: 0, only_days: None, force: false }
}
