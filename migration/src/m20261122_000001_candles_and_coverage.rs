//! Candles, the ledger of holes, a summary per series, the change log, the settings of the installation.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = match manager.get_database_backend() {
            DbBackend::Postgres => POSTGRES,
            DbBackend::Sqlite => SQLITE,
            other => return Err(DbErr::Migration(format!("{other:?} is not supported"))),
        };
        for statement in statements.iter().chain(BOTH) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

const POSTGRES: &[&str] = &[
    "CREATE TABLE spot_ohlcv (
        id BIGSERIAL PRIMARY KEY,
        asset VARCHAR(20) NOT NULL,
        timestamp TIMESTAMPTZ NOT NULL,
        open NUMERIC(20, 8) NOT NULL,
        high NUMERIC(20, 8) NOT NULL,
        low NUMERIC(20, 8) NOT NULL,
        close NUMERIC(20, 8) NOT NULL,
        volume NUMERIC(30, 8) NOT NULL,
        quote_volume NUMERIC(30, 8),
        trades BIGINT,
        taker_buy_volume NUMERIC(30, 8),
        taker_buy_quote_volume NUMERIC(30, 8)
    )",
    "CREATE TABLE backfill_state (
        asset VARCHAR(20) PRIMARY KEY,
        completed BOOLEAN DEFAULT FALSE,
        last_fetched_timestamp TIMESTAMPTZ,
        updated_at TIMESTAMPTZ DEFAULT NOW()
    )",
];

// Decimals are exact text with eight places, times are milliseconds since 1970: SQLite has
// neither type, and its REAL would lose digits.
const SQLITE: &[&str] = &[
    "CREATE TABLE spot_ohlcv (
        id INTEGER PRIMARY KEY,
        asset TEXT NOT NULL,
        timestamp INTEGER NOT NULL,
        open TEXT NOT NULL,
        high TEXT NOT NULL,
        low TEXT NOT NULL,
        close TEXT NOT NULL,
        volume TEXT NOT NULL,
        quote_volume TEXT,
        trades INTEGER,
        taker_buy_volume TEXT,
        taker_buy_quote_volume TEXT
    )",
    "CREATE TABLE backfill_state (
        asset TEXT PRIMARY KEY,
        completed BOOLEAN DEFAULT FALSE,
        last_fetched_timestamp INTEGER,
        updated_at INTEGER
    )",
];

// Times are milliseconds since 1970, ranges half-open.
const BOTH: &[&str] = &[
    // One index serves the constraint and the order; two would only cost writes and disk.
    "CREATE UNIQUE INDEX idx_asset_timestamp ON spot_ohlcv (asset, timestamp DESC)",
    "CREATE TABLE series (
        asset VARCHAR(20) PRIMARY KEY,
        span_start_ms BIGINT,
        span_end_ms BIGINT,
        answered_until_ms BIGINT,
        listing_ms BIGINT,
        first_ms BIGINT,
        last_ms BIGINT,
        candles BIGINT NOT NULL,
        change_seq BIGINT NOT NULL,
        backfill_reason TEXT NOT NULL
    )",
    "CREATE TABLE hole (
        asset VARCHAR(20) NOT NULL,
        start_ms BIGINT NOT NULL,
        end_ms BIGINT NOT NULL,
        cause VARCHAR(20) NOT NULL,
        detail TEXT NOT NULL,
        since_ms BIGINT NOT NULL,
        asked BIGINT NOT NULL,
        last_asked_ms BIGINT,
        PRIMARY KEY (asset, start_ms)
    )",
    "CREATE TABLE change_log (
        asset VARCHAR(20) NOT NULL,
        seq BIGINT NOT NULL,
        start_ms BIGINT NOT NULL,
        end_ms BIGINT NOT NULL,
        at_ms BIGINT NOT NULL,
        PRIMARY KEY (asset, seq)
    )",
    "CREATE TABLE setting (
        name VARCHAR(40) PRIMARY KEY,
        value TEXT NOT NULL
    )",
];
