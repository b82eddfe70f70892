//! Marks on candles that came from elsewhere; moves those in of the service that this one re-creates.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared(UNVERIFIED).await?;
        if db.get_database_backend() != DbBackend::Postgres {
            return Ok(());
        }
        if exists(db, "reference_backfill_state").await? {
            all(db, BACKFILL_STATE).await?;
        }
        if exists(db, "reference_spot_ohlcv").await? {
            move_candles(db).await?;
        }
        Ok(())
    }
}

// Times are milliseconds since 1970, ranges half-open.
const UNVERIFIED: &str = "CREATE TABLE unverified (
    asset VARCHAR(20) NOT NULL,
    start_ms BIGINT NOT NULL,
    end_ms BIGINT NOT NULL,
    PRIMARY KEY (asset, start_ms)
)";

/// What was complete there is not so here: it counted open candles.
const BACKFILL_STATE: &[&str] = &[
    "INSERT INTO backfill_state (asset, completed, last_fetched_timestamp, updated_at)
    SELECT asset, FALSE, last_fetched_timestamp, NOW() FROM reference_backfill_state",
    "DROP TABLE reference_backfill_state",
];

/// Which rows are possible candles of 12 hours: those that this program can read back and has a place
/// for. The exchange had none before 2017. `NaN` is greater than any number, so one comparison finds it.
const POSSIBLE: &str = "asset COLLATE \"C\" ~ '^[A-Z0-9]+$'
    AND timestamp >= TIMESTAMPTZ '2017-01-01T00:00:00Z' AND timestamp <= NOW()
    AND date_trunc('hour', timestamp AT TIME ZONE 'UTC') = timestamp AT TIME ZONE 'UTC'
    AND EXTRACT(HOUR FROM timestamp AT TIME ZONE 'UTC') IN (0, 12)
    AND 0 <= low AND low <= LEAST(open, close) AND GREATEST(open, close) <= high AND high < 'NaN'
    AND 0 <= volume AND volume < 'NaN'";

/// What follows from the rows, once they are here.
const KNOWN: &[&str] = &[
    // Rows keep their numbers; new ones go on behind them.
    "SELECT setval(pg_get_serial_sequence('spot_ohlcv', 'id'), GREATEST(MAX(id), 1))
    FROM spot_ohlcv HAVING COUNT(*) > 0",
    "INSERT INTO series
        (asset, span_start_ms, span_end_ms, answered_until_ms, first_ms, last_ms, candles, change_seq, backfill_reason)
    SELECT asset, MIN(ms), MAX(ms) + 43200000, MAX(ms) + 43200000, MIN(ms), MAX(ms), COUNT(*), 1,
        'its candles moved in from another service and are still to be verified'
    FROM (SELECT asset, CAST(EXTRACT(EPOCH FROM timestamp) * 1000 AS BIGINT) AS ms FROM spot_ohlcv) AS moved
    GROUP BY asset",
    "INSERT INTO hole (asset, start_ms, end_ms, cause, detail, since_ms, asked)
    SELECT asset, start_ms, ms, 'pending', '', CAST(EXTRACT(EPOCH FROM NOW()) * 1000 AS BIGINT), 0
    FROM (
        SELECT asset, ms, LAG(ms) OVER (PARTITION BY asset ORDER BY ms) + 43200000 AS start_ms
        FROM (SELECT asset, CAST(EXTRACT(EPOCH FROM timestamp) * 1000 AS BIGINT) AS ms FROM spot_ohlcv) AS moved
    ) AS neighbours
    WHERE start_ms < ms",
    "INSERT INTO change_log (asset, seq, start_ms, end_ms, at_ms)
    SELECT asset, 1, span_start_ms, span_end_ms, CAST(EXTRACT(EPOCH FROM NOW()) * 1000 AS BIGINT) FROM series",
    "INSERT INTO unverified (asset, start_ms, end_ms) SELECT asset, span_start_ms, span_end_ms FROM series",
    "INSERT INTO backfill_state (asset, completed, last_fetched_timestamp, updated_at)
    SELECT asset, FALSE, to_timestamp(last_ms / 1000), NOW() FROM series
    ON CONFLICT (asset) DO NOTHING",
    // That service knew no other interval and no other quote asset.
    "INSERT INTO setting (name, value)
    SELECT name, value FROM (VALUES ('CANDLE_INTERVAL', '12h'), ('QUOTE_ASSET', 'USDT')) AS bound (name, value)
    WHERE EXISTS (SELECT 1 FROM series)",
];

/// Builds the statements by which whoever could use the former table can use the new one.
const GRANTS: &str =
    "SELECT format('GRANT %s ON spot_ohlcv TO %s', privilege_type,
        CASE grantee WHEN 'PUBLIC' THEN 'PUBLIC' ELSE quote_ident(grantee) END) AS told
    FROM information_schema.table_privileges
    WHERE table_schema = current_schema() AND table_name = 'reference_spot_ohlcv' AND grantee <> current_user";

async fn move_candles(db: &impl ConnectionTrait) -> Result<(), DbErr> {
    // A candle that is still open is none yet; that service stored what it was shown of it.
    let insert = format!(
        "INSERT INTO spot_ohlcv (id, asset, timestamp, open, high, low, close, volume)
        SELECT id, asset, timestamp, open, high, low, close, volume FROM reference_spot_ohlcv
        WHERE {POSSIBLE} AND timestamp + interval '12 hours' <= NOW()"
    );
    let moved = db.execute_unprepared(&insert).await?.rows_affected();
    let taken = db.execute_unprepared(&format!("DELETE FROM reference_spot_ohlcv WHERE {POSSIBLE}")).await?;
    let open = taken.rows_affected() - moved;
    all(db, KNOWN).await?;
    for grant in texts(db, GRANTS).await? {
        db.execute_unprepared(&grant).await?;
    }
    tracing::info!(
        "moved {moved} candles in; the next backfill asks for all of them again. {open} that are still open \
         were left out"
    );
    let left = texts(db, "SELECT CAST(COUNT(*) AS TEXT) AS told FROM reference_spot_ohlcv").await?.concat();
    if left == "0" {
        return all(db, &["DROP TABLE reference_spot_ohlcv"]).await;
    }
    tracing::warn!(
        "{left} former rows of spot_ohlcv are no possible candles of 12h: they are left in the table \
         reference_spot_ohlcv; drop it when you have looked at them"
    );
    all(db, &["COMMENT ON TABLE reference_spot_ohlcv IS 'rows that are no possible candles of 12h'"]).await
}

async fn exists(db: &impl ConnectionTrait, table: &str) -> Result<bool, DbErr> {
    let found = format!(
        "SELECT CAST(table_name AS TEXT) AS told FROM information_schema.tables
        WHERE table_schema = current_schema() AND table_name = '{table}'"
    );
    Ok(!texts(db, &found).await?.is_empty())
}

async fn all(db: &impl ConnectionTrait, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        db.execute_unprepared(statement).await?;
    }
    Ok(())
}

/// The column `told` of every row.
async fn texts(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| row.try_get("", "told")).collect()
}
