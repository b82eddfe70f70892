//! What a database takes up: connections of this process, bytes on disk.

use ohlcv_ports::StoreError;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr, Statement};

use super::values::Dialect;
use super::{STATEMENT_TIME_MAX, SqlStore, within};

/// The open connections of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolConnections {
    /// Those that nobody uses.
    pub idle: u32,
    /// Those in use.
    pub used: u32,
    /// Those kept beside the pool for quick questions, such as the one that every reader asks.
    pub kept: u32,
}

impl SqlStore {
    /// How many connections are open now. Asks nobody.
    #[must_use]
    pub fn connections(&self) -> PoolConnections {
        let (open, idle) = match Dialect::of(&self.db) {
            Dialect::Sqlite => {
                let pool = self.db.get_sqlite_connection_pool();
                (pool.size(), pool.num_idle())
            }
            Dialect::Postgres => {
                let pool = self.db.get_postgres_connection_pool();
                (pool.size(), pool.num_idle())
            }
        };
        // The two are read one after the other, so they may not fit together.
        let idle = u32::try_from(idle).unwrap_or(u32::MAX).min(open);
        let kept = u32::try_from(self.quick.open()).unwrap_or(u32::MAX);
        PoolConnections { idle, used: open - idle, kept }
    }

    /// The size of the whole database in bytes, indexes included; without SQLite's write-ahead log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn size_bytes(&self) -> Result<u64, StoreError> {
        within(STATEMENT_TIME_MAX, size_bytes(&self.db)).await
    }
}

async fn size_bytes(db: &DatabaseConnection) -> Result<u64, DbErr> {
    let sql = match Dialect::of(db) {
        Dialect::Sqlite => {
            "SELECT page_count * page_size AS bytes FROM pragma_page_count(), pragma_page_size()"
        }
        Dialect::Postgres => "SELECT pg_database_size(current_database()) AS bytes",
    };
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let row = db.query_one_raw(statement).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("the size of the database".to_owned()))?;
    let bytes: i64 = row.try_get("", "bytes")?;
    Ok(bytes.unsigned_abs())
}
