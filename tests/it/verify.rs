//! `ohlcv verify` finds what somebody spoilt behind the program's back, and mends what can be mended.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::Duration;

use ohlcv_adapters::SystemClock;
use ohlcv_domain::{Interval, Price, TimeRange, Timestamp};
use ohlcv_ports::Clock;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::Options;
use ohlcv_tests::process::{Program, said};
use serde_json::{Value, json};

use crate::backfill::whole_database;
use crate::market::{HALF_DAY, Market, asset, candle, candles};

ohlcv_tests::on_each_database!(
    a_clean_store_is_exit_0_and_stays_as_it_is,
    each_thing_that_somebody_planted_is_found,
    a_repair_mends_what_can_be_mended_and_a_second_look_is_clean,
    what_cannot_be_mended_is_left_and_said_to_be,
    an_asset_that_fails_stops_no_other,
    a_verification_that_is_asked_to_stop_ends_with_143_or_130,
);

/// Where the closed part of the series ends, a hundred days of candles, four of which the exchange
/// does not have; all else is stored.
struct Stored {
    market: Market,
    database: TestDatabase,
    backend: Backend,
    closed_until: Timestamp,
}

impl Stored {
    async fn new(backend: Backend) -> Self {
        let now = SystemClock.now();
        let closed_until = HALF_DAY.closed_until(now, Duration::from_secs(30));
        let market = Market::new(HALF_DAY, &["BTC"], &now.to_string(), 100).await;
        let gone = TimeRange::new(HALF_DAY.step(closed_until, -50), HALF_DAY.step(closed_until, -46));
        market.source.remove(asset("BTC"), Interval::H12, gone.unwrap());
        let stored = Self { market, database: TestDatabase::new(backend).await, backend, closed_until };
        let output = stored.program().run(&["backfill", "--days", "95"]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        stored
    }

    fn program(&self) -> Program {
        Program::new(env!("CARGO_BIN_EXE_ohlcv"))
            .with("DATABASE_URL", self.database.url())
            .with("BINANCE_API_BASE_URL", &self.market.exchange.url())
            .with("BINANCE_REQUEST_DELAY_MS", "0")
            .with("TRACKED_ASSETS", "BTC")
    }

    /// The open time of a slot, counted back from the last closed one, which is 1.
    fn slot(&self, back: i64) -> Timestamp {
        HALF_DAY.step(self.closed_until, -back)
    }

    /// A time as the column of candles wants it.
    fn time(&self, at: Timestamp) -> String {
        match self.backend {
            Backend::Sqlite => at.millis().to_string(),
            Backend::Postgres => format!("TIMESTAMPTZ '{at}'"),
        }
    }

    async fn plant(&self, sql: &str) {
        assert_eq!(self.database.execute(sql).await, 1, "{sql}");
    }

    async fn delete_one(&self) {
        self.plant(&format!("DELETE FROM spot_ohlcv WHERE timestamp = {}", self.time(self.slot(20)))).await;
    }

    async fn change_a_digit(&self) {
        let close = candle(asset("BTC"), self.slot(30)).close();
        let close = Price::from_units(close.units() + 1).unwrap();
        let time = self.time(self.slot(30));
        self.plant(&format!("UPDATE spot_ohlcv SET close = '{close}' WHERE timestamp = {time}")).await;
    }

    async fn put_in_a_row(&self, at: Timestamp) {
        let time = self.time(at);
        self.plant(&format!(
            "INSERT INTO spot_ohlcv (asset, timestamp, open, high, low, close, volume) VALUES
            ('BTC', {time}, '10.00000000', '10.00000000', '10.00000000', '10.00000000', '0.00000000')"
        ))
        .await;
    }

    async fn make_the_summary_stale(&self) {
        self.plant("UPDATE series SET candles = candles + 1, last_ms = last_ms - 43200000").await;
    }

    /// A hole over half of the one that is there and two candles behind it.
    async fn put_in_a_hole(&self) {
        let (start, end) = (self.slot(48).millis(), self.slot(44).millis());
        self.plant(&format!("INSERT INTO hole VALUES ('BTC', {start}, {end}, 'failed', '', 0, 1, 0)")).await;
    }

    async fn spoil_a_number(&self) {
        // Neither is a number: text on the one, NaN on the other.
        let nonsense = if self.backend == Backend::Sqlite { "lots" } else { "NaN" };
        let time = self.time(self.slot(10));
        self.plant(&format!("UPDATE spot_ohlcv SET close = '{nonsense}' WHERE timestamp = {time}")).await;
    }

    async fn put_the_low_above_the_high(&self) {
        let time = self.time(self.slot(12));
        self.plant(&format!("UPDATE spot_ohlcv SET low = high, high = low WHERE timestamp = {time}")).await;
    }

    /// What `verify` says of BTC, and its exit status.
    fn verify(&self, more: &[&str]) -> (Option<i32>, Value) {
        let output = self.program().run(&[&["verify", "--json"], more].concat());
        let document: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", said(&output)));
        (output.status.code(), document["assets"][0].clone())
    }
}

async fn a_clean_store_is_exit_0_and_stays_as_it_is(backend: Backend) {
    let stored = Stored::new(backend).await;
    let before = whole_database(&stored.database).await;
    stored.market.exchange.clear_requests();
    let (status, found) = stored.verify(&[]);
    assert_eq!(status, Some(0), "{found}");
    assert_eq!((&found["stored"], &found["compared"]), (&json!(186), &json!(186)));
    assert_eq!((&found["counts"], &found["faults"], &found["summary"]), (&json!({}), &json!([]), &json!([])));
    assert_eq!((&found["clean"], &found["outcome"]), (&json!(true), &json!("done")));
    assert_eq!(stored.market.exchange.klines_requests().len(), 2, "the listing, and one page");
    let (status, found) = stored.verify(&["--repair"]);
    assert_eq!((status, &found["written"]), (Some(0), &json!({"new": 0, "changed": 0})));
    assert_eq!(whole_database(&stored.database).await, before);

    let output = stored.program().run(&["verify"]);
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(table.starts_with("asset  month"), "{table}");
    assert!(table.trim_end().ends_with("clean"), "{table}");
    assert!(said(&output).contains("BTC: 186 candles compared, 0 faults"), "{}", said(&output));
}

async fn each_thing_that_somebody_planted_is_found(backend: Backend) {
    let one = |kinds: &[&str]| -> Value {
        kinds
            .iter()
            .map(|kind| ((*kind).to_owned(), json!({"found": 1, "mended": 0})))
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    for planted in 0..8 {
        let stored = Stored::new(backend).await;
        let (counts, summary): (Value, &[&str]) = match planted {
            0 => {
                stored.delete_one().await;
                (one(&["missing_in_store", "unexplained"]), &["candles"])
            }
            1 => {
                stored.change_a_digit().await;
                (one(&["differs"]), &[])
            }
            2 => {
                // A flat candle where the exchange has none, as others fill gaps.
                stored.put_in_a_row(stored.slot(48)).await;
                (one(&["missing_at_source", "hole_over_candle"]), &["candles"])
            }
            3 => {
                stored.put_in_a_row(stored.slot(20).saturating_add(Duration::from_secs(3_600))).await;
                (one(&["off_grid"]), &["candles"])
            }
            4 => {
                stored.make_the_summary_stale().await;
                (json!({}), &["candles", "last"])
            }
            5 => {
                stored.put_in_a_hole().await;
                (one(&["holes_overlap", "hole_over_candle"]), &[])
            }
            6 => {
                stored.spoil_a_number().await;
                (one(&["impossible"]), &[])
            }
            _ => {
                stored.put_the_low_above_the_high().await;
                (one(&["impossible"]), &[])
            }
        };
        let before = whole_database(&stored.database).await;
        let (status, found) = stored.verify(&[]);
        assert_eq!((status, &found["clean"]), (Some(1), &json!(false)), "{planted}: {found}");
        assert_eq!(found["counts"], counts, "{planted}: {found}");
        let fields: Vec<&str> = found["summary"]
            .as_array()
            .unwrap()
            .iter()
            .map(|fault| fault["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, summary, "{planted}: {found}");
        assert_eq!(whole_database(&stored.database).await, before, "{planted}: nothing was changed");
    }
}

async fn a_repair_mends_what_can_be_mended_and_a_second_look_is_clean(backend: Backend) {
    let stored = Stored::new(backend).await;
    let (rows, digests) = (stored.database.dump().await, stored.verify(&[]).1["digests"].clone());
    stored.delete_one().await;
    stored.change_a_digit().await;
    stored.make_the_summary_stale().await;
    stored.put_in_a_hole().await;
    let (status, found) = stored.verify(&["--repair"]);
    assert_eq!(status, Some(1), "differences were found");
    assert_eq!(found["written"], json!({"new": 1, "changed": 1}), "{found}");
    for (kind, count) in found["counts"].as_object().unwrap() {
        assert_eq!(count["found"], count["mended"], "{kind}: {found}");
    }
    assert!(found["summary"].as_array().unwrap().iter().all(|fault| fault["mended"] == true), "{found}");
    let (status, second) = stored.verify(&[]);
    assert_eq!(status, Some(0), "{second}");
    assert_eq!(second["digests"], digests);
    assert_eq!(stored.database.dump().await, rows);
}

async fn what_cannot_be_mended_is_left_and_said_to_be(backend: Backend) {
    let stored = Stored::new(backend).await;
    stored.put_in_a_row(stored.slot(48)).await;
    stored.put_in_a_row(stored.slot(20).saturating_add(Duration::from_secs(3_600))).await;
    stored.put_the_low_above_the_high().await;
    stored.change_a_digit().await;
    let output = stored.program().run(&["verify", "--repair"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let text = said(&output);
    for told in ["missing_at_source: 10.0000", "off_grid: 10.0000", "impossible: ", "delete them by hand"] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let mended = text.lines().find(|line| line.contains(" differs: close ")).unwrap();
    assert!(mended.ends_with("(mended)"), "{mended}");
    let (status, found) = stored.verify(&[]);
    assert_eq!(status, Some(1));
    let left: Vec<&String> = found["counts"].as_object().unwrap().keys().collect();
    assert_eq!(left, ["impossible", "missing_at_source", "off_grid"]);
}

async fn an_asset_that_fails_stops_no_other(backend: Backend) {
    let stored = Stored::new(backend).await;
    let program = stored.program();
    stored.plant("INSERT INTO series (asset, span_start_ms, span_end_ms, candles, change_seq, backfill_reason) VALUES ('GONE', 0, 43200000, 0, 0, '')").await;
    let output = program.run(&["verify", "--asset", "GONE,BTC", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["assets"][0]["outcome"], "failed");
    assert!(document["assets"][0]["reason"].as_str().unwrap().contains("GONEUSDT"), "{document}");
    assert_eq!(document["assets"][1]["clean"], true, "{document}");
    assert!(said(&output).contains("GONE: 0 candles compared"), "{}", said(&output));
}

async fn a_verification_that_is_asked_to_stop_ends_with_143_or_130(backend: Backend) {
    let now = SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(2_950 * 86_400));
    let series = vec![(asset("BTC"), candles(asset("BTC"), HALF_DAY, first, now))];
    let options = Options { latency: Duration::from_millis(300), ..Options::default() };
    let market = Market::of(Interval::H12, series, now, options).await;
    let closed_until = HALF_DAY.closed_until(now, Duration::from_secs(30));
    let stored = Stored { market, database: TestDatabase::new(backend).await, backend, closed_until };
    let filled = stored.program().with("INITIAL_BACKFILL_DAYS", "2900").run(&["backfill"]);
    assert_eq!(filled.status.code(), Some(0), "{}", said(&filled));
    for (signal, status) in [("TERM", 143), ("INT", 130)] {
        stored.market.exchange.clear_requests();
        let mut running = stored.program().start(&["verify", "--json"]);
        while stored.market.pages_asked().len() < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.signal(signal);
        assert_eq!(running.wait(), Some(status), "{:?}", running.heard());
        running.wait_for("run it again");
    }
}

ohlcv_tests::on_postgres! {
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn sqlite_and_postgresql_have_the_same_digests() {
        let sqlite = Stored::new(Backend::Sqlite).await;
        let postgres = TestDatabase::new(Backend::Postgres).await;
        let other = Stored { database: postgres, backend: Backend::Postgres, ..Stored::new(Backend::Sqlite).await };
        let filled = other.program().run(&["backfill", "--days", "95"]);
        assert_eq!(filled.status.code(), Some(0), "{}", said(&filled));
        let [one, other] = [&sqlite, &other].map(|stored| stored.verify(&[]).1["digests"].clone());
        assert!(one.as_array().unwrap().len() >= 4, "{one}");
        assert_eq!(one, other);
    }
}

#[test]
fn what_cannot_be_verified_is_refused_before_anything_is_opened() {
    let cases: [(&[&str], &str); 3] = [
        (&["--start", "2024-11-02T00:00:00Z", "--end", "2024-11-01T00:00:00Z"], "is not before --end"),
        (&["--start", "soon"], "RFC 3339"),
        (&["--asset", "BTCUSDT"], "write the asset alone, BTC"),
    ];
    for (arguments, told) in cases {
        let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"));
        let output = program.run(&[&["verify"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{}", said(&output));
        assert!(said(&output).contains(told), "{}", said(&output));
        assert_eq!(std::fs::read_dir(program.folder()).unwrap().count(), 0, "nothing was opened");
    }
}
