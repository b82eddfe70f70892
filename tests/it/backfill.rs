//! History comes in once, whole, and every hole in it has a cause.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Cause, Interval};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::{Fault, Target};
use ohlcv_usecases::Outcome;

use crate::market::{HALF_DAY, Market, NOON, asset, at, candles, dumped};

ohlcv_tests::on_each_database!(
    everything_closed_is_stored_exactly,
    a_second_backfill_asks_for_no_candles_and_changes_no_row,
    a_later_backfill_asks_for_the_new_candles_and_the_one_before,
    the_listing_is_found_by_one_request,
    young_assets_are_served_but_not_complete,
    a_hole_of_the_exchange_is_known_and_not_asked_for_again,
    an_unknown_asset_blocks_no_other,
    an_asset_that_fails_is_reported_and_continued_later,
    a_forced_backfill_asks_for_everything_and_takes_what_changed,
    more_days_extend_the_span_backwards,
    a_bad_row_is_rejected_and_the_good_ones_around_it_are_stored,
);

async fn everything_closed_is_stored_exactly(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], NOON, 900).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("TRACKED_ASSETS", "BTC,ETH")]).await;
    let report = service.backfill().await;
    assert!(!report.has_failures(), "{report:?}");
    let closed = at("2024-11-06T12:00:00Z");
    let first = closed.saturating_sub(Duration::from_secs(730 * 86_400));
    let mut expected = Vec::new();
    for name in ["BTC", "ETH"] {
        let mut wanted = candles(asset(name), HALF_DAY, first, closed);
        wanted.pop();
        expected.extend(dumped(asset(name), &wanted));
    }
    assert_eq!(database.dump().await, expected);
    let assets = service.get("/api/v1/assets").await.json();
    for row in assets["assets"].as_array().unwrap() {
        assert_eq!(row["total_candles"], 1460);
        assert_eq!(row["backfill_completed"], true);
    }
}

async fn a_second_backfill_asks_for_no_candles_and_changes_no_row(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], NOON, 900).await;
    market.source.remove(asset("BTC"), Interval::H12, hole("2024-01-05T00:00:00Z", "2024-01-07T00:00:00Z"));
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("TRACKED_ASSETS", "BTC,ETH")]).await;
    service.backfill().await;
    let before = whole_database(&database).await;
    market.exchange.clear_requests();
    market.clock.advance(Duration::from_secs(60));
    let report = service.backfill().await;
    assert!(!report.has_failures());
    assert_eq!(market.exchange.klines_requests().len(), 0);
    assert_eq!(whole_database(&database).await, before);
}

async fn a_later_backfill_asks_for_the_new_candles_and_the_one_before(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], "2024-11-20T00:10:00Z", 40).await;
    market.clock.set(at(NOON));
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[]).await;
    service.backfill().await;
    market.clock.set(at("2024-11-08T00:10:00Z"));
    market.exchange.clear_requests();
    service.backfill().await;
    let asked = market.pages_asked();
    // The one before closed last: the exchange may have adjusted it since.
    assert_eq!(asked, [("BTCUSDT".to_owned(), at("2024-11-06T00:00:00Z"))]);
    assert_eq!(database.dump().await.last().unwrap().split(' ').nth(1), Some("1730980800000"));
}

async fn the_listing_is_found_by_one_request(backend: Backend) {
    let market = Market::new(HALF_DAY, &["SOL"], NOON, 120).await;
    let database = TestDatabase::new(backend).await;
    let service =
        market.service(&database, &[("TRACKED_ASSETS", "SOL"), ("INITIAL_BACKFILL_DAYS", "3650")]).await;
    let report = service.backfill().await;
    assert!(!report.has_failures());
    // One for the listing, one for the 241 candles since: none for the years before.
    assert_eq!(market.exchange.klines_requests().len(), 2);
    let holes = holes(&database).await;
    assert_eq!(holes.len(), 1);
    assert!(holes[0].starts_with("before_listing "), "{holes:?}");
}

async fn young_assets_are_served_but_not_complete(backend: Backend) {
    let market = Market::new(HALF_DAY, &["NEW"], NOON, 20).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("TRACKED_ASSETS", "NEW")]).await;
    let report = service.backfill().await;
    assert!(!report.has_failures());
    assert!(
        matches!(&report.assets[0].outcome, Outcome::Incomplete(reason) if reason.contains("90 are needed"))
    );
    let row = service.get("/api/v1/assets").await.json()["assets"][0].clone();
    assert_eq!(row["backfill_completed"], false);
    assert_eq!(row["total_candles"], 40);
    assert!(row["backfill_reason"].as_str().unwrap().contains("20 days"), "{row}");
    assert_eq!(service.get("/api/v1/ohlcv/NEW").await.rows().len(), 40);
}

async fn a_hole_of_the_exchange_is_known_and_not_asked_for_again(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 800).await;
    market.source.remove(asset("BTC"), Interval::H12, hole("2024-01-05T00:00:00Z", "2024-01-07T00:00:00Z"));
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[]).await;
    service.backfill().await;
    assert_eq!(holes(&database).await, ["source_empty 1704412800000 1704585600000"]);
    market.exchange.clear_requests();
    for _ in 0..10 {
        market.clock.advance(Duration::from_secs(60));
        assert!(!service.catch_up().await.has_failures());
    }
    assert_eq!(market.exchange.klines_requests().len(), 0);
    // Exchanges do repair their history: when its time has come it is asked for, and heals.
    let healed = candles(asset("BTC"), HALF_DAY, at("2024-01-05T00:00:00Z"), at("2024-01-06T12:00:00Z"));
    market.source.add(asset("BTC"), Interval::H12, healed);
    market.clock.advance(Duration::from_secs(3_600));
    service.catch_up().await;
    assert_eq!(market.exchange.klines_requests().len(), 1);
    assert_eq!(holes(&database).await, Vec::<String>::new());
}

async fn an_unknown_asset_blocks_no_other(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], NOON, 100).await;
    let database = TestDatabase::new(backend).await;
    let service = market
        .service(&database, &[("TRACKED_ASSETS", "BTC,NOPE,ETH"), ("INITIAL_BACKFILL_DAYS", "95")])
        .await;
    let report = service.backfill().await;
    assert!(
        matches!(&report.assets[1].outcome, Outcome::Failed(error) if error.to_string().contains("NOPEUSDT"))
    );
    assert!(matches!(report.assets[2].outcome, Outcome::Done));
    let assets = service.get("/api/v1/assets").await.json()["assets"].clone();
    assert_eq!(assets[0]["total_candles"], 190);
    assert!(assets[1]["backfill_reason"].as_str().unwrap().contains("NOPEUSDT"), "{assets}");
    assert_eq!(assets[2]["total_candles"], 190);
}

async fn an_asset_that_fails_is_reported_and_continued_later(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC", "ETH"], NOON, 1_500).await;
    let database = TestDatabase::new(backend).await;
    // One request after the other, so that it is always the same page that fails.
    let given = [
        ("TRACKED_ASSETS", "BTC,ETH"),
        ("INITIAL_BACKFILL_DAYS", "1400"),
        ("BINANCE_MAX_CONCURRENT_REQUESTS", "1"),
    ];
    let service = market.service(&database, &given).await;
    // The listing and the first page of ETH are answered, the second page is refused.
    let eth = Target::Symbol("ETHUSDT".to_owned());
    market.exchange.inject_on(eth.clone(), as_it_is(), 2);
    let refused =
        Fault::Json { status: 400, code: -1130, message: "Data sent for parameter 'x' is not valid." };
    market.exchange.inject_on(eth, refused, 1);
    let report = service.backfill().await;
    assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
    assert!(matches!(report.assets[1].outcome, Outcome::Failed(_)), "{report:?}");
    let told = holes(&database).await;
    assert!(told.iter().any(|hole| hole.starts_with("failed ")), "{told:?}");
    let asked_before = market.pages_asked();
    market.exchange.clear_requests();
    assert!(!service.backfill().await.has_failures());
    assert_eq!(holes(&database).await, Vec::<String>::new());
    let again: Vec<_> = market.pages_asked().into_iter().filter(|page| asked_before.contains(page)).collect();
    assert_eq!(again.len(), 1, "only what failed is asked for twice: {again:?}");
}

async fn a_forced_backfill_asks_for_everything_and_takes_what_changed(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 800).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[]).await;
    service.backfill().await;
    let revised = at("2023-05-05T12:00:00Z");
    market.exchange.revise("BTCUSDT", revised, "123.5".parse().unwrap());
    assert_eq!(service.backfill().await.assets[0].gains.pages, 0);
    let report = service.backfill_by_force().await;
    let stored = report.assets[0].gains.stored;
    assert_eq!((stored.new, stored.changed, stored.unchanged), (0, 1, 1459));
    let row = service.get("/api/v1/ohlcv/BTC?start=2023-05-05T12:00:00Z&limit=1").await.rows()[0].clone();
    assert_eq!(row["volume"], "123.50000000");
}

async fn more_days_extend_the_span_backwards(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 800).await;
    let database = TestDatabase::new(backend).await;
    let short = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "100")]).await;
    short.backfill().await;
    market.exchange.clear_requests();
    let long = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "200")]).await;
    long.backfill().await;
    assert_eq!(market.pages_asked(), [("BTCUSDT".to_owned(), at("2024-04-20T12:00:00Z"))]);
    assert_eq!(database.dump().await.len(), 400);
}

async fn a_bad_row_is_rejected_and_the_good_ones_around_it_are_stored(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 100).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    let tamper = |rows: &mut Vec<serde_json::Value>| {
        rows[10][5] = "1e5".into();
        rows[11][3] = "999999.0".into();
        rows[12][1] = "-1.0".into();
        rows[13][4] = "1000000000000.00000000".into();
        rows[14][2] = "1.000000001".into();
        rows[15] = "not a row".into();
        rows[16][0] = (rows[16][0].as_i64().unwrap() + 789).into();
        rows.swap(20, 21);
    };
    market.exchange.inject(as_it_is(), 1);
    market.exchange.inject(Fault::EditRows(Arc::new(tamper)), 1);
    let report = service.backfill().await;
    assert!(matches!(report.assets[0].outcome, Outcome::Done), "{report:?}");
    assert_eq!(database.dump().await.len(), 190 - 8);
    assert_eq!(report.assets[0].gains.rejected, 8);
    let details: Vec<String> = rejections(&database).await;
    let rules: Vec<&str> = details.iter().map(|detail| detail.split(':').next().unwrap()).collect();
    let expected = [
        "malformed",
        "low_not_lowest",
        "negative",
        "too_large",
        "too_many_places",
        "malformed",
        "off_grid",
        "out_of_order",
    ];
    assert_eq!(rules, expected);
    assert!(details[3].contains("1000000000000.00000000"), "the evidence is the row: {}", details[3]);
    assert!(holes(&database).await.iter().all(|hole| hole.starts_with(Cause::Rejected.as_str())));
}

fn hole(start: &str, end: &str) -> ohlcv_domain::TimeRange {
    ohlcv_domain::TimeRange::new(at(start), at(end)).unwrap()
}

/// Every hole as `cause start end`.
pub(crate) async fn holes(database: &TestDatabase) -> Vec<String> {
    let told = "SELECT cause || ' ' || CAST(start_ms AS TEXT) || ' ' || CAST(end_ms AS TEXT) AS told
        FROM hole ORDER BY asset, start_ms";
    database.query(told).await.iter().map(|row| row.try_get("", "told").unwrap()).collect()
}

async fn rejections(database: &TestDatabase) -> Vec<String> {
    let told = "SELECT detail FROM hole WHERE cause = 'rejected' ORDER BY start_ms";
    database.query(told).await.iter().map(|row| row.try_get("", "detail").unwrap()).collect()
}

/// Every row of every table that the program writes, except for the rows of candles.
pub(crate) async fn whole_database(database: &TestDatabase) -> Vec<String> {
    let mut rows = database.dump().await;
    for (table, columns) in [
        (
            "series",
            "asset span_start_ms span_end_ms answered_until_ms listing_ms first_ms last_ms candles change_seq backfill_reason",
        ),
        ("hole", "asset start_ms end_ms cause detail since_ms asked last_asked_ms"),
        ("change_log", "asset seq start_ms end_ms at_ms"),
        ("backfill_state", "asset completed last_fetched_timestamp updated_at"),
    ] {
        let columns = columns.split(' ').map(|column| format!("COALESCE(CAST({column} AS TEXT), '-')"));
        let line = columns.collect::<Vec<_>>().join(" || ' ' || ");
        let lines = database.query(&format!("SELECT {line} AS line FROM {table} ORDER BY 1")).await;
        rows.extend(lines.iter().map(|row| row.try_get::<String>("", "line").unwrap()));
    }
    rows
}

/// The right answer: what lets a fault wait for a later request.
fn as_it_is() -> Fault {
    Fault::EditRows(Arc::new(|_| {}))
}
