//! A database of the service that this one re-creates becomes one of this service.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod reference;

use std::time::Duration;

use ohlcv_domain::{Interval, TimeRange, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, said};
use serde_json::json;

use crate::backfill::holes;
use crate::market::{HALF_DAY, Market, asset, candle, candles, dumped};
use crate::store::{COLUMNS_OF_CANDLES, columns_of_candles};

/// How many days are wanted here: more than the other service has.
const WANTED_DAYS: u32 = 95;
const WANTED: [(&str, &str); 2] = [("TRACKED_ASSETS", "BTC,ETH"), ("INITIAL_BACKFILL_DAYS", "95")];

/// A market as of now: the database's clock decides which candle is still open.
struct Move {
    market: Market,
    now: Timestamp,
    database: TestDatabase,
}

impl Move {
    async fn of(database: impl AsyncFnOnce(Timestamp) -> TestDatabase) -> Self {
        let now = ohlcv_adapters::SystemClock.now();
        let market = Market::new(HALF_DAY, &["BTC", "ETH"], &now.to_string(), 120).await;
        Self { market, now, database: database(now).await }
    }

    fn program(&self) -> Program {
        let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
            .with("DATABASE_URL", self.database.url())
            .with("BINANCE_API_BASE_URL", &self.market.exchange.url())
            .with("BINANCE_REQUEST_DELAY_MS", "0");
        WANTED.into_iter().fold(program, |program, (name, value)| program.with(name, value))
    }

    /// Runs the program to a good end; returns what it said.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.program().run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        said(&output)
    }

    /// Where the closed part of the series ends.
    fn closed_until(&self) -> Timestamp {
        HALF_DAY.floor(self.now)
    }

    /// Every closed candle that the exchange has of the wanted days, as a dump shows them.
    fn wanted(&self) -> Vec<String> {
        let first = self.closed_until().saturating_sub(Duration::from_secs(86_400) * WANTED_DAYS);
        let of_asset = |name| {
            let mut wanted = candles(asset(name), HALF_DAY, first, self.now);
            wanted.pop();
            dumped(asset(name), &wanted)
        };
        ["BTC", "ETH"].into_iter().flat_map(of_asset).collect()
    }

    async fn told(&self, sql: &str) -> Vec<String> {
        self.database.query(sql).await.iter().map(|row| row.try_get("", "told").unwrap()).collect()
    }

    async fn count(&self, table: &str) -> String {
        self.told(&format!("SELECT CAST(COUNT(*) AS TEXT) AS told FROM {table}")).await.concat()
    }

    /// Tables with their columns, indexes and sequences.
    async fn schema(&self) -> Vec<String> {
        let mut told = Vec::new();
        for sql in [
            "SELECT table_name || ' ' || column_name || ' ' || data_type || ' ' || is_nullable || ' '
                || COALESCE(regexp_replace(column_default, 'test_[0-9_]+\\.', ''), '-') AS told
            FROM information_schema.columns WHERE table_schema = current_schema()
            ORDER BY table_name, ordinal_position",
            "SELECT regexp_replace(indexdef, 'test_[0-9_]+\\.', '') AS told FROM pg_indexes
            WHERE schemaname = current_schema() ORDER BY indexname",
            "SELECT sequence_name || ' ' || data_type AS told FROM information_schema.sequences
            WHERE sequence_schema = current_schema() ORDER BY 1",
        ] {
            told.extend(self.told(sql).await);
        }
        told
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_becomes_that_of_a_new_database() {
    let fresh = Move::of(async |_| TestDatabase::new(Backend::Postgres).await).await;
    fresh.run(&["migrate"]);
    let moved = Move::of(async |now| {
        let database = reference::empty().await;
        let last_closed = HALF_DAY.step(now, -1);
        reference::store(&database, "BTC", &[candle(asset("BTC"), last_closed)]).await;
        database
    })
    .await;
    moved.run(&["migrate"]);
    assert_eq!(moved.schema().await, fresh.schema().await);
    assert_eq!(columns_of_candles(&moved.database).await, COLUMNS_OF_CANDLES);
    assert_eq!(moved.database.dump().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moved_in_is_served_at_once_and_said_to_be_unverified() {
    let moved = Move::of(reference::filled).await;
    let before = moved.told("SELECT CAST(MAX(id) AS TEXT) AS told FROM spot_ohlcv").await;
    moved.run(&["migrate"]);
    let service = moved.market.service(&moved.database, &WANTED).await;
    let open_times = reference::open_times(moved.now);
    let (first, last_closed) = (open_times[0], open_times[open_times.len() - 2]);
    let assets = service.get("/api/v1/assets").await.json()["assets"].clone();
    for (at, lacking) in [(0, 2), (1, 1)] {
        assert_eq!(assets[at]["total_candles"], open_times.len() - 1 - lacking);
        assert_eq!(assets[at]["earliest_timestamp"], first.to_string());
        assert_eq!(assets[at]["latest_timestamp"], last_closed.to_string());
        assert_eq!(assets[at]["backfill_completed"], false);
        let reason = assets[at]["backfill_reason"].as_str().unwrap();
        assert!(reason.contains("still to be verified"), "{reason}");
    }
    assert_eq!(assets.as_array().unwrap().len(), 2, "{assets}");
    let rows = service.get("/api/v1/ohlcv/BTC?limit=10000").await.rows();
    assert_eq!(rows.len(), open_times.len() - 3);
    let filled = service.get("/api/v1/ohlcv/BTC?limit=10000&fill=true").await.rows();
    assert_eq!(filled.len(), open_times.len() - 1);
    assert_eq!(filled[reference::MISSING]["filled"], json!(true));

    let hole = |at: usize| format!("pending {} {}", open_times[at].millis(), open_times[at + 1].millis());
    let expected = [hole(reference::MISSING), hole(reference::IMPOSSIBLE), hole(reference::MISSING)];
    assert_eq!(holes(&moved.database).await, expected);
    let span = format!("{} {}", first.millis(), open_times[open_times.len() - 1].millis());
    let spans = [format!("BTC {span}"), format!("ETH {span}")];
    let told = "asset || ' ' || CAST(start_ms AS TEXT) || ' ' || CAST(end_ms AS TEXT) AS told";
    assert_eq!(moved.told(&format!("SELECT {told} FROM unverified ORDER BY 1")).await, spans);
    assert_eq!(moved.told(&format!("SELECT {told} FROM change_log ORDER BY 1")).await, spans);
    let told = "asset || ' ' || CAST(completed AS TEXT) AS told FROM backfill_state ORDER BY asset";
    assert_eq!(moved.told(&format!("SELECT {told}")).await, ["BTC false", "ETH false", "SOL false"]);
    // New rows are numbered behind the old ones.
    service.backfill().await;
    let newer = format!("SELECT CAST(MIN(id) > {} AS TEXT) AS told FROM spot_ohlcv", before.concat());
    let of_before = format!("{newer} WHERE timestamp < '{first}'");
    assert_eq!(moved.told(&of_before).await, ["true"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_backfill_makes_every_candle_the_exchanges_and_the_second_asks_for_none() {
    let moved = Move::of(reference::filled).await;
    moved.run(&["migrate"]);
    assert_ne!(moved.database.dump().await, moved.wanted());
    let said = moved.run(&["backfill"]);
    assert_eq!(moved.database.dump().await, moved.wanted(), "{said}");
    assert!(!said.contains("disagree"), "ledger and summary were right from the start: {said}");
    assert_eq!((holes(&moved.database).await, moved.count("unverified").await), (Vec::new(), "0".to_owned()));
    let without_details = "spot_ohlcv WHERE quote_volume IS NULL OR trades IS NULL";
    assert_eq!(moved.count(without_details).await, "0", "the rest of the kline is known, too");
    let service = moved.market.service(&moved.database, &WANTED).await;
    for row in service.get("/api/v1/assets").await.json()["assets"].as_array().unwrap() {
        assert_eq!((&row["backfill_completed"], &row["total_candles"]), (&json!(true), &json!(190)));
    }

    moved.market.exchange.clear_requests();
    moved.run(&["backfill"]);
    assert_eq!(moved.market.exchange.klines_requests().len(), 0);
    assert_eq!(moved.database.dump().await, moved.wanted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_of_the_service_alone_moves_in_and_verifies() {
    let moved = Move::of(reference::filled).await;
    let mut running = moved.program().with("LISTEN_ADDRESS", "127.0.0.1:0").start(&["run"]);
    running.wait_for("ETH: 71 new candles");
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0), "{:?}", running.heard());
    assert_eq!(moved.database.dump().await, moved.wanted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_no_possible_candles_are_kept_aside_and_spoken_of() {
    let moved = Move::of(reference::filled).await;
    let said = moved.run(&["migrate"]);
    let told = format!("{} former rows of spot_ohlcv are no possible candles", reference::LEFT);
    assert!(said.contains(&told) && said.contains("reference_spot_ohlcv"), "{said}");
    assert!(said.contains("2 that are still open"), "{said}");
    assert_eq!(moved.count("reference_spot_ohlcv").await, reference::LEFT.to_string());
    assert_eq!(moved.count("reference_spot_ohlcv WHERE low > high").await, "1");
    moved.run(&["backfill"]);
    assert_eq!(moved.count("reference_spot_ohlcv").await, reference::LEFT.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn migrating_again_is_harmless() {
    let moved = Move::of(reference::filled).await;
    moved.run(&["migrate"]);
    let (before, schema) = (moved.database.dump().await, moved.schema().await);
    let said = moved.run(&["migrate"]);
    assert!(said.contains("the schema is current"), "{said}");
    assert_eq!((moved.database.dump().await, moved.schema().await), (before, schema));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_interval_or_quote_asset_than_the_other_service_had_is_refused() {
    let moved = Move::of(reference::filled).await;
    moved.run(&["migrate"]);
    for (name, value) in [("CANDLE_INTERVAL", "1h"), ("QUOTE_ASSET", "EUR")] {
        let output = moved.program().with(name, value).run(&["backfill"]);
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(&format!("{name} is {value}")), "{}", said(&output));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_without_rows_bind_the_database_to_nothing() {
    let moved = Move::of(async |_| reference::empty().await).await;
    moved.run(&["migrate"]);
    assert_eq!((moved.count("setting").await, moved.count("series").await), ("0".to_owned(), "0".to_owned()));
    moved.run(&["backfill"]);
    assert_eq!(moved.database.dump().await, moved.wanted());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_the_exchange_does_not_have_stays_and_is_named() {
    let moved = Move::of(reference::filled).await;
    let lost = reference::open_times(moved.now)[30];
    let range = TimeRange::new(lost, HALF_DAY.next(lost)).unwrap();
    moved.market.source.remove(asset("BTC"), Interval::H12, range);
    moved.run(&["migrate"]);
    let said = moved.run(&["backfill"]);
    assert!(said.contains(&format!("the exchange has no candles of BTC in {range}")), "{said}");
    assert_eq!(said.matches("the exchange has no candles").count(), 1, "{said}");
    assert_eq!(moved.database.dump().await, moved.wanted());
    assert_eq!(moved.count("unverified").await, "0");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_could_read_the_table_still_can() {
    let moved = Move::of(reference::filled).await;
    moved.database.execute("GRANT SELECT ON spot_ohlcv TO PUBLIC").await;
    moved.run(&["migrate"]);
    let may = |what: &str| {
        format!("SELECT CAST(has_table_privilege('public', 'spot_ohlcv', '{what}') AS TEXT) AS told")
    };
    assert_eq!(moved.told(&may("SELECT")).await, ["true"]);
    assert_eq!(moved.told(&may("INSERT")).await, ["false"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_views_read_or_of_another_shape_are_left_alone_and_the_reason_is_told() {
    for (change, told) in [
        ("CREATE VIEW newest AS SELECT MAX(timestamp) FROM spot_ohlcv", "drop newest"),
        ("ALTER TABLE spot_ohlcv DROP COLUMN volume", "with the columns asset, close"),
        ("ALTER TABLE backfill_state ADD COLUMN note TEXT", "last_fetched_timestamp, note, updated_at"),
    ] {
        let moved = Move::of(reference::filled).await;
        moved.database.execute(change).await;
        let before = (moved.schema().await, moved.count("spot_ohlcv").await);
        let output = moved.program().run(&["migrate"]);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(told), "{}", said(&output));
        assert_eq!((moved.schema().await, moved.count("spot_ohlcv").await), before);
    }
}
