//! What series held earlier: when candles arrived, and those that were replaced.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let revision = match manager.get_database_backend() {
            DbBackend::Postgres => POSTGRES_REVISION,
            _ => SQLITE_REVISION,
        };
        for statement in [revision].iter().chain(BOTH) {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

// The columns of a candle are those of spot_ohlcv, type for type.
const POSTGRES_REVISION: &str = "CREATE TABLE revision (
    asset VARCHAR(20) NOT NULL,
    number BIGINT NOT NULL,
    timestamp TIMESTAMPTZ NOT NULL,
    open NUMERIC(20, 8) NOT NULL,
    high NUMERIC(20, 8) NOT NULL,
    low NUMERIC(20, 8) NOT NULL,
    close NUMERIC(20, 8) NOT NULL,
    volume NUMERIC(30, 8) NOT NULL,
    quote_volume NUMERIC(30, 8),
    trades BIGINT,
    taker_buy_volume NUMERIC(30, 8),
    taker_buy_quote_volume NUMERIC(30, 8),
    since_ms BIGINT,
    until_ms BIGINT NOT NULL,
    job_id VARCHAR(36),
    PRIMARY KEY (asset, number)
)";

const SQLITE_REVISION: &str = "CREATE TABLE revision (
    asset TEXT NOT NULL,
    number INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    open TEXT NOT NULL,
    high TEXT NOT NULL,
    low TEXT NOT NULL,
    close TEXT NOT NULL,
    volume TEXT NOT NULL,
    quote_volume TEXT,
    trades INTEGER,
    taker_buy_volume TEXT,
    taker_buy_quote_volume TEXT,
    since_ms INTEGER,
    until_ms INTEGER NOT NULL,
    job_id TEXT,
    PRIMARY KEY (asset, number)
)";

const BOTH: &[&str] = &[
    "CREATE INDEX idx_revision_timestamp ON revision (asset, timestamp)",
    // Disjoint runs of slots: a slot arrives once.
    "CREATE TABLE arrival (
        asset VARCHAR(20) NOT NULL,
        start_ms BIGINT NOT NULL,
        end_ms BIGINT NOT NULL,
        at_ms BIGINT NOT NULL,
        PRIMARY KEY (asset, start_ms)
    )",
];
