//! Tests with limits so small that a short series crosses them.

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Candle, Grid, Interval, Price, TimeRange, Timestamp};
use ohlcv_ports::testing::{Call, MemoryStore, PausedClock, ScriptedSource};
use ohlcv_ports::{CandleSource, CandleStore, Clock, Coverage};
use tokio_util::sync::CancellationToken;

use crate::{Backfill, BackfillGoal, FetchContext, FetchPolicy, Outcome};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn an_audit_over_many_windows_and_reads_finds_what_vanished_and_nothing_else() {
    let btc = "BTC".parse().unwrap();
    let days = Grid::new(Interval::D1);
    let clock = Arc::new(PausedClock::new(at("2024-02-10T06:00:00Z")));
    let source = Arc::new(ScriptedSource::new(Arc::clone(&clock) as Arc<dyn Clock>));
    // Every other day is a hole: twenty holes, in seven reads and eight windows.
    let all = days.slots_in(TimeRange::new(at("2024-01-01T00:00:00Z"), at("2024-02-10T00:00:00Z")).unwrap());
    let price: Price = "42".parse().unwrap();
    source.add(btc, Interval::D1, all.iter().step_by(2).map(|open_time| Candle::flat(open_time, price)));
    let store = Arc::new(MemoryStore::new());
    let context = FetchContext {
        source: Arc::clone(&source) as Arc<dyn CandleSource>,
        store: Arc::clone(&store) as Arc<dyn CandleStore>,
        coverage: Arc::clone(&store) as Arc<dyn Coverage>,
        clock,
        policy: FetchPolicy { interval: Interval::D1, grace: Duration::from_secs(30), assets_at_once: 1 },
        terms: None,
        patience: None,
        stop: CancellationToken::new(),
        progress: Arc::new(|_| {}),
        ended: Arc::new(|_| {}),
    };
    let goal = BackfillGoal { days: 40, days_min: 0, only_days: None, force: false };
    let backfill = Backfill::new(context, goal);
    backfill.run(&[btc]).await.unwrap();
    let everything = store.summary(btc).await.unwrap().unwrap();
    assert_eq!((everything.candles, everything.backfill.completed), (20, true));

    for (start, end) in
        [("2024-01-01", "2024-01-02"), ("2024-01-13", "2024-01-16"), ("2024-02-08", "2024-02-09")]
    {
        let lost =
            TimeRange::new(at(&format!("{start}T00:00:00Z")), at(&format!("{end}T00:00:00Z"))).unwrap();
        store.remove_rows(btc, lost);
    }
    source.clear_calls();
    let report = backfill.run(&[btc]).await.unwrap();
    assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
    let pages: Vec<String> = source
        .calls()
        .iter()
        .filter_map(|call| match call {
            Call::Page(_, slots) => Some(slots.start().to_string()),
            _ => None,
        })
        .collect();
    let lost =
        ["2024-01-01T00:00:00Z", "2024-01-13T00:00:00Z", "2024-01-15T00:00:00Z", "2024-02-08T00:00:00Z"];
    assert_eq!(pages, lost);
    assert_eq!(store.summary(btc).await.unwrap().unwrap(), everything);
}
