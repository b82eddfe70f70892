//! What a stored candle takes on disk, and what is kept beside it.

use ohlcv_tests::database::{Backend, TestDatabase};

use crate::table::Table;
use crate::world;

/// Of every table but the candles' own: ledger, change log, arrivals, summaries.
const POSTGRES: &str =
    "SELECT CAST(SUM(pg_relation_size(c.oid)) FILTER (WHERE relname = 'spot_ohlcv') AS BIGINT) AS rows,
        CAST(SUM(pg_indexes_size(c.oid)) FILTER (WHERE relname = 'spot_ohlcv') AS BIGINT) AS indexes,
        CAST(SUM(pg_total_relation_size(c.oid)) FILTER (WHERE relname <> 'spot_ohlcv') AS BIGINT) AS others
    FROM pg_class AS c WHERE relnamespace = CAST(current_schema() AS regnamespace) AND relkind = 'r'";
const SQLITE: &str = "SELECT CAST(SUM(pgsize) FILTER (WHERE name = 'spot_ohlcv') AS BIGINT) AS rows,
        CAST(SUM(pgsize) FILTER (WHERE name = 'idx_asset_timestamp') AS BIGINT) AS indexes,
        CAST(SUM(pgsize) FILTER (WHERE name NOT IN ('spot_ohlcv', 'idx_asset_timestamp')) AS BIGINT) AS others
    FROM dbstat";

pub(crate) async fn measure(
    database: &TestDatabase,
    backend: Backend,
    rows: u64,
    table: &mut Table,
) -> anyhow::Result<()> {
    let statement = match backend {
        Backend::Postgres => POSTGRES,
        Backend::Sqlite => SQLITE,
    };
    let answer = database.query(statement).await;
    let Some(answer) = answer.first() else { anyhow::bail!("the database does not tell its size") };
    let mut bytes = [0_i64; 3];
    for (at, name) in ["rows", "indexes", "others"].into_iter().enumerate() {
        bytes[at] = answer.try_get("", name)?;
    }
    let each = |bytes: i64| bytes as f64 / rows as f64;
    table.row(
        format!("{}, bytes of a row on disk with its indexes, {rows} rows", world::name_of(backend)),
        format!("{:.0}", each(bytes[0] + bytes[1])),
        "",
        format!(
            "table {:.0}, indexes {:.0}; all other tables {} KiB in whole",
            each(bytes[0]),
            each(bytes[1]),
            bytes[2] / 1_024
        ),
    );
    Ok(())
}
