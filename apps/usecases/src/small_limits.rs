//! Tests with limits so small that a short series crosses them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Grid, Interval, Price, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::testing::{Call, MemoryStore, PausedClock, ScriptedSource};
use ohlcv_ports::{CandleSource, CandleStore, Clock, Coverage};
use tokio_util::sync::CancellationToken;

use crate::{Backfill, BackfillGoal, FetchContext, FetchPolicy, GapQuery, ListGaps, Outcome, PageRoom};

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// An exchange with the days of January 2024 up to the tenth of February, an empty store, a context.
struct Days {
    grid: Grid,
    all: SlotRange,
    source: Arc<ScriptedSource>,
    store: Arc<MemoryStore>,
    backfill: Backfill,
}

impl Days {
    /// With a candle in every slot whose number is a multiple of `step`.
    fn every(step: usize) -> Self {
        let grid = Grid::new(Interval::D1);
        let clock = Arc::new(PausedClock::new(at("2024-02-10T06:00:00Z")));
        let source = Arc::new(ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>));
        let all = TimeRange::new(at("2024-01-01T00:00:00Z"), at("2024-02-10T00:00:00Z")).unwrap();
        let all = grid.slots_in(all);
        let price: Price = "42".parse().unwrap();
        let candles = all.iter().step_by(step).map(|open_time| Candle::flat(open_time, price));
        source.add(btc(), Interval::D1, candles);
        let store = Arc::new(MemoryStore::new());
        let context = FetchContext {
            source: Arc::clone(&source) as Arc<dyn CandleSource>,
            bulk: None,
            room: PageRoom::default(),
            store: Arc::clone(&store) as Arc<dyn CandleStore>,
            coverage: Arc::clone(&store) as Arc<dyn Coverage>,
            clock,
            policy: FetchPolicy {
                interval: Interval::D1,
                grace: Duration::from_secs(30),
                assets_at_once: 1,
                pages_at_once: 1,
            },
            terms: None,
            patience: None,
            stop: CancellationToken::new(),
            progress: Arc::new(|_| {}),
            ended: Arc::new(|_| {}),
            job: None,
        };
        let goal = BackfillGoal { days: 40, days_min: 0, only_days: None, force: false };
        Self { grid, all, source, store, backfill: Backfill::new(context, goal) }
    }

    /// Where the pages start that one backfill asks for.
    async fn pages_of_a_backfill(&self) -> Vec<String> {
        self.source.clear_calls();
        let report = self.backfill.run(&[btc()]).await.unwrap();
        assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
        let calls = self.source.calls().into_iter().filter_map(|call| match call {
            Call::Page(_, slots) => Some(slots.start().to_string()),
            _ => None,
        });
        calls.collect()
    }
}

#[tokio::test(start_paused = true)]
async fn an_audit_over_many_windows_and_reads_finds_what_vanished_and_nothing_else() {
    // Every other day is a hole: twenty holes, in seven reads and eight windows.
    let days = Days::every(2);
    days.pages_of_a_backfill().await;
    let everything = days.store.summary(btc()).await.unwrap().unwrap();
    assert_eq!((everything.candles, everything.backfill.completed), (20, true));

    for (start, end) in
        [("2024-01-01", "2024-01-02"), ("2024-01-13", "2024-01-16"), ("2024-02-08", "2024-02-09")]
    {
        let lost =
            TimeRange::new(at(&format!("{start}T00:00:00Z")), at(&format!("{end}T00:00:00Z"))).unwrap();
        days.store.remove_rows(btc(), lost);
    }
    let lost =
        ["2024-01-01T00:00:00Z", "2024-01-13T00:00:00Z", "2024-01-15T00:00:00Z", "2024-02-08T00:00:00Z"];
    assert_eq!(days.pages_of_a_backfill().await, lost);
    assert_eq!(days.store.summary(btc()).await.unwrap().unwrap(), everything);
}

#[tokio::test(start_paused = true)]
async fn marks_that_take_many_reads_are_all_asked_about() {
    let days = Days::every(1);
    days.pages_of_a_backfill().await;
    // Every fourth day: ten marks, in four reads.
    let marked: Vec<Timestamp> = days.all.iter().step_by(4).collect();
    for open_time in &marked {
        let day = TimeRange::new(*open_time, days.grid.next(*open_time)).unwrap();
        days.store.mark_unverified(btc(), day);
    }
    let marked: Vec<String> = marked.iter().map(Timestamp::to_string).collect();
    assert_eq!(days.pages_of_a_backfill().await, marked);
    assert_eq!(days.store.unverified(btc(), TimeRange::ALL, 100).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_found_in_ledgers_that_take_many_reads() {
    // Every other day is a hole of all three assets: twenty holes each, in seven reads.
    let days = Days::every(2);
    let assets = ["BTC", "ETH", "SOL"].map(|name| name.parse().unwrap());
    for asset in assets {
        let candles =
            days.all.iter().step_by(2).map(|open_time| Candle::flat(open_time, "42".parse().unwrap()));
        days.source.add(asset, Interval::D1, candles);
    }
    days.backfill.run(&assets).await.unwrap();
    let coverage = Arc::clone(&days.store) as Arc<dyn Coverage>;
    let list = ListGaps::new(coverage, Interval::D1, assets.to_vec());
    let limit = NonZeroU32::new(100).unwrap();
    let query = GapQuery { asset: btc(), start: None, end: None, cause: None, limit };
    let gaps = list.run(query).await.unwrap().gaps;
    assert_eq!(gaps.len(), 20);
    for gap in gaps {
        assert_eq!(gap.incident.map(|incident| incident.range), Some(gap.hole.range));
    }
}
