//! Answers read with polars, pyarrow and pandas, to the digit.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::path::Path;

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::python::run_python;

use crate::many_candles::with_candles;
use crate::market::{HALF_DAY, Market, NOON};

ohlcv_tests::on_each_database!(python_reads_every_format_to_the_digit);

/// More than one answer in JSON can have.
const CANDLES: u64 = 25_000;

async fn python_reads_every_format_to_the_digit(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(backend).await;
    let service = with_candles(&market, &database, backend, CANDLES).await;
    let volume = "1234567890123456789012.12345678";
    let [smallest, largest, volume] =
        ["0.00000001", "999999999999.99999999", volume].map(|number| match backend {
            Backend::Sqlite => format!("'{number}'"),
            Backend::Postgres => number.to_owned(),
        });
    let changed = database
        .execute(&format!(
            "UPDATE spot_ohlcv SET open = {smallest}, high = {largest}, low = {smallest}, close = {largest},
                volume = {volume}, quote_volume = {volume}, trades = 4294967295, taker_buy_volume = {volume},
                taker_buy_quote_volume = {volume}
            WHERE timestamp = (SELECT MIN(timestamp) FROM spot_ohlcv)"
        ))
        .await;
    assert_eq!(changed, 1);
    // Three candles of another asset.
    let columns = "timestamp, open, high, low, close, volume";
    let copied = format!(
        "INSERT INTO spot_ohlcv (asset, {columns})
        SELECT 'ETH', {columns} FROM spot_ohlcv ORDER BY timestamp DESC LIMIT 3"
    );
    assert_eq!(database.execute(&copied).await, 3);
    let columns = "span_start_ms, span_end_ms, answered_until_ms, listing_ms, first_ms, last_ms";
    let copied = format!(
        "INSERT INTO series (asset, {columns}, candles, change_seq, backfill_reason)
        SELECT 'ETH', {columns}, 3, 0, '' FROM series WHERE asset = 'BTC'"
    );
    assert_eq!(database.execute(&copied).await, 1);
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let (url, candles) = (service.url().to_owned(), CANDLES.to_string());
    let read = tokio::task::spawn_blocking(move || {
        run_python("frames.py", &[&url, readme.to_str().unwrap(), &candles])
    });
    assert_eq!(read.await.unwrap().trim(), format!("{CANDLES} candles read"));
}
