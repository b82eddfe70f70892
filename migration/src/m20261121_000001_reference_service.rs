//! Makes room where the service that this one re-creates keeps its tables.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend, QueryResult, Statement};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Renames the tables of that service, which only ever used PostgreSQL, so that ours can be made.
    /// A later migration moves their rows over. A database that has ours already has nothing to do.
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if db.get_database_backend() != DbBackend::Postgres || !rows(db, OURS).await?.is_empty() {
            return Ok(());
        }
        for (table, columns) in TABLES {
            make_room(db, table, columns).await?;
        }
        Ok(())
    }
}

/// Finds our first schema.
const OURS: &str =
    "SELECT version AS told FROM seaql_migrations WHERE version = 'm20261122_000001_candles_and_coverage'";

/// The tables of that service and their columns, sorted.
const TABLES: [(&str, &str); 2] = [
    ("spot_ohlcv", "asset, close, high, id, low, open, timestamp, volume"),
    ("backfill_state", "asset, completed, last_fetched_timestamp, updated_at"),
];

async fn make_room(db: &impl ConnectionTrait, table: &str, columns: &str) -> Result<(), DbErr> {
    let found = rows(
        db,
        &format!(
            "SELECT CAST(column_name AS TEXT) AS told FROM information_schema.columns
            WHERE table_schema = current_schema() AND table_name = '{table}'
            ORDER BY CAST(column_name AS TEXT) COLLATE \"C\""
        ),
    )
    .await?
    .join(", ");
    if found.is_empty() {
        return Ok(());
    }
    if found != columns {
        return Err(DbErr::Migration(format!(
            "there is a table {table} that this program did not make, with the columns {found}; it can move \
             in only if they are {columns}: rename the table, or name another database"
        )));
    }
    let views = rows(
        db,
        &format!(
            "SELECT DISTINCT CAST(reader.oid::regclass AS TEXT) AS told FROM pg_depend
            JOIN pg_rewrite ON pg_rewrite.oid = pg_depend.objid
            JOIN pg_class AS reader ON reader.oid = pg_rewrite.ev_class
            WHERE pg_depend.classid = 'pg_rewrite'::regclass
            AND pg_depend.refobjid = '{table}'::regclass AND reader.oid <> pg_depend.refobjid
            ORDER BY 1"
        ),
    )
    .await?
    .join(", ");
    if !views.is_empty() {
        return Err(DbErr::Migration(format!(
            "the table {table} cannot move in while views read it: drop {views}, and make them again afterwards"
        )));
    }
    // Names of indexes and sequences are taken even if their table has another name.
    let renamings = format!(
        "SELECT format('ALTER INDEX %I RENAME TO %I', indexname, 'reference_' || indexname) AS told
        FROM pg_indexes WHERE schemaname = current_schema() AND tablename = '{table}'
        UNION ALL
        SELECT format('ALTER SEQUENCE %I RENAME TO %I', sequence.relname, 'reference_' || sequence.relname)
        FROM pg_depend JOIN pg_class AS sequence ON sequence.oid = pg_depend.objid AND sequence.relkind = 'S'
        WHERE pg_depend.refobjid = '{table}'::regclass AND pg_depend.classid = 'pg_class'::regclass
        UNION ALL
        SELECT 'ALTER TABLE {table} RENAME TO reference_{table}'"
    );
    for renaming in rows(db, &renamings).await? {
        db.execute_unprepared(&renaming).await?;
    }
    Ok(())
}

/// The column `told` of every row.
async fn rows(db: &impl ConnectionTrait, sql: &str) -> Result<Vec<String>, DbErr> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row: &QueryResult| row.try_get("", "told")).collect()
}
