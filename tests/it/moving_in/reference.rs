//! A database exactly as the other service makes and fills it.

use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Ohlc, Price, Timestamp, Volume};
use ohlcv_tests::database::{Backend, TestDatabase};

use crate::market::{HALF_DAY, asset, candle, candles};

/// Its schema, word by word.
const SCHEMA: [&str; 3] = [
    "CREATE TABLE spot_ohlcv (
        id SERIAL PRIMARY KEY,
        asset VARCHAR(20) NOT NULL,
        timestamp TIMESTAMPTZ NOT NULL,
        open NUMERIC(20, 8) NOT NULL,
        high NUMERIC(20, 8) NOT NULL,
        low NUMERIC(20, 8) NOT NULL,
        close NUMERIC(20, 8) NOT NULL,
        volume NUMERIC(30, 8) NOT NULL,
        UNIQUE(asset, timestamp)
    )",
    "CREATE INDEX idx_asset_timestamp ON spot_ohlcv(asset, timestamp DESC)",
    "CREATE TABLE backfill_state (
        asset VARCHAR(20) PRIMARY KEY,
        completed BOOLEAN DEFAULT FALSE,
        last_fetched_timestamp TIMESTAMPTZ,
        updated_at TIMESTAMPTZ DEFAULT NOW()
    )",
];

/// How many days of candles it has.
const DAYS: u32 = 60;

/// Its tables, without rows.
pub(super) async fn empty() -> TestDatabase {
    let database = TestDatabase::new(Backend::Postgres).await;
    for statement in SCHEMA {
        database.execute(statement).await;
    }
    database
}

/// The slots of 60 days whose last one is open at `now`.
pub(super) fn open_times(now: Timestamp) -> Vec<Timestamp> {
    let open = HALF_DAY.floor(now);
    let first = open.saturating_sub(Duration::from_secs(86_400) * DAYS);
    candles(asset("BTC"), HALF_DAY, first, now).iter().map(Candle::open_time).collect()
}

/// What that service stored of a candle it saw while it was open: some of the numbers are not final.
fn half_formed(asset: Asset, open_time: Timestamp) -> Candle {
    let whole = candle(asset, open_time);
    let Ohlc { open, low, .. } = whole.prices();
    let close = Price::from_units(open.units() + 3).unwrap();
    let volume = Volume::from_units(whole.volume().units() / 2).unwrap();
    Candle::new(open_time, Ohlc { open, high: close, low, close }, volume).unwrap()
}

/// A database that has run for 60 days: the candles of two assets, a few of them half-formed, the
/// newest one open, one missing, and rows of BTC and of `eth` that are no possible candles.
pub(super) async fn filled(now: Timestamp) -> TestDatabase {
    let database = empty().await;
    let open_times = open_times(now);
    for name in ["BTC", "ETH"] {
        let last_closed = open_times.len() - 2;
        let mut stored: Vec<Candle> =
            open_times.iter().map(|open_time| candle(asset(name), *open_time)).collect();
        for at in [0, 20, 21, last_closed, last_closed + 1] {
            stored[at] = half_formed(asset(name), open_times[at]);
        }
        stored.remove(MISSING);
        store(&database, name, &stored).await;
    }
    let impossible = open_times[IMPOSSIBLE];
    let low = "UPDATE spot_ohlcv SET low = high + 1 WHERE asset = 'BTC' AND timestamp =";
    database.execute(&format!("{low} '{impossible}'")).await;
    let off_grid = open_times[5].saturating_add(Duration::from_secs(3_600));
    for (name, open_time) in [("eth", open_times[5]), ("BTC", off_grid)] {
        store(&database, name, &[candle(asset(name), open_time)]).await;
    }
    for (open_time, numbers) in IMPOSSIBLE_ROWS {
        let insert = "INSERT INTO spot_ohlcv (asset, timestamp, open, high, low, close, volume) VALUES";
        database.execute(&format!("{insert} ('ODD', '{open_time}', {numbers})")).await;
    }
    database
        .execute(&format!(
            "INSERT INTO backfill_state (asset, completed, last_fetched_timestamp)
            VALUES ('BTC', TRUE, '{}'), ('SOL', FALSE, NULL)",
            open_times[open_times.len() - 1]
        ))
        .await;
    database
}

/// Which slot of each asset has no row.
pub(super) const MISSING: usize = 50;
/// Which slot of BTC has a row whose low is above its high.
pub(super) const IMPOSSIBLE: usize = 70;
/// Rows that no candle of 12h can be, of an asset of their own: when they open, and their numbers.
const IMPOSSIBLE_ROWS: [(&str, &str); 8] = [
    ("2024-01-01T00:00:00Z", "1, 1, 1, 1, 'NaN'"),
    ("2024-01-01T12:00:00Z", "1, 'NaN', 1, 1, 1"),
    ("2024-01-02T00:00:00Z", "1, 1, 1, 1, -1"),
    ("2024-01-02T12:00:00Z", "1, 1, -1, 1, 1"),
    ("2024-01-03T06:00:00Z", "1, 1, 1, 1, 1"),
    ("2016-12-31T12:00:00Z", "1, 1, 1, 1, 1"),
    ("9999-12-31T12:00:00Z", "1, 1, 1, 1, 1"),
    ("infinity", "1, 1, 1, 1, 1"),
];
/// How many rows are no possible candles: these, and three of the assets above.
pub(super) const LEFT: usize = IMPOSSIBLE_ROWS.len() + 3;

/// Writes rows as that service does, whatever the asset is called.
pub(super) async fn store(database: &TestDatabase, name: &str, candles: &[Candle]) {
    let row = |candle: &Candle| {
        let Ohlc { open, high, low, close } = candle.prices();
        let (open_time, volume) = (candle.open_time(), candle.volume());
        format!("('{name}', '{open_time}', {open}, {high}, {low}, {close}, {volume})")
    };
    let rows: Vec<String> = candles.iter().map(row).collect();
    let insert = "INSERT INTO spot_ohlcv (asset, timestamp, open, high, low, close, volume) VALUES";
    database.execute(&format!("{insert} {}", rows.join(", "))).await;
}
