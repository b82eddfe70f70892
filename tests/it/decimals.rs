//! Numbers arrive at the reader as the exchange sent them, to the digit.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::fake_binance::Fault;
use serde_json::{Value, json};

use crate::market::{HALF_DAY, Market, NOON};

ohlcv_tests::on_each_database!(
    the_extremes_survive_the_database_and_the_api,
    numbers_that_do_not_fit_are_rejected_by_name_and_never_rounded,
);

const DAYS: [(&str, &str); 1] = [("INITIAL_BACKFILL_DAYS", "95")];

async fn backfilled_with(
    backend: Backend,
    edit: impl Fn(&mut Vec<Value>) + Send + Sync + 'static,
) -> (TestDatabase, Vec<Value>) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &DAYS).await;
    market.exchange.inject(Fault::EditRows(Arc::new(|_| {})), 1);
    market.exchange.inject(Fault::EditRows(Arc::new(edit)), 1);
    service.backfill().await;
    let rows = service.get("/api/v1/ohlcv/BTC?start=2024-08-01T00:00:00Z&fields=all").await.rows();
    (database, rows)
}

async fn the_extremes_survive_the_database_and_the_api(backend: Backend) {
    let (smallest, largest) = ("0.00000001", "999999999999.99999999");
    let volume = "1234567890123456789012.12345678";
    let (_database, rows) = backfilled_with(backend, move |rows| {
        for at in [1, 2, 3, 4] {
            rows[0][at] = smallest.into();
            rows[1][at] = largest.into();
        }
        for at in [5, 7, 9, 10] {
            rows[0][at] = volume.into();
            rows[1][at] = smallest.into();
        }
        rows[0][8] = json!(4_294_967_295_u32);
        rows[1][8] = json!(0);
    })
    .await;
    for (row, price, amount) in [(&rows[0], smallest, volume), (&rows[1], largest, smallest)] {
        for name in ["open", "high", "low", "close"] {
            assert_eq!(row[name], price, "{name}");
        }
        for name in ["volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume"] {
            assert_eq!(row[name], amount, "{name}");
        }
    }
    assert_eq!(rows[0]["trades"], 4_294_967_295_u32);
    assert_eq!(rows.len(), 190);
}

async fn numbers_that_do_not_fit_are_rejected_by_name_and_never_rounded(backend: Backend) {
    let (database, rows) = backfilled_with(backend, |rows| {
        rows[0][2] = "1000000000000.00000000".into();
        rows[1][5] = "12345678901234567890123.00000000".into();
        rows[2][1] = "1.000000001".into();
        rows[3][7] = "-0.00000001".into();
        rows[4][4] = "NaN".into();
        rows[5][8] = json!(4_294_967_296_u64);
    })
    .await;
    assert_eq!(rows.len(), 190 - 6);
    let rules = database.query("SELECT detail FROM hole WHERE cause = 'rejected' ORDER BY start_ms").await;
    let rules: Vec<String> = rules
        .iter()
        .map(|row| row.try_get::<String>("", "detail").unwrap().split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(rules, ["too_large", "too_large", "too_many_places", "negative", "malformed", "too_large"]);
}
