//! What is written into a database once and guarded from then on.

use ohlcv_ports::StoreError;
use sea_orm::sea_query::{Expr, ExprTrait, OnConflict, Query};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbErr};

use super::error::store_error;

/// Why this program may not use a database.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// The database was made with another value of a setting that cannot change.
    #[error(
        "{variable} is {wanted}, but this database holds candles of {variable}={stored}: \
         set it back to {stored}, or name another database"
    )]
    Mismatch {
        /// The setting.
        variable: &'static str,
        /// What it was when the database was made.
        stored: String,
        /// What it is now.
        wanted: String,
    },
    /// The database did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes settings that a database is bound to at its first use, and refuses other values later.
///
/// # Errors
/// [`InstallationError::Mismatch`] for the first setting that differs from what is stored.
pub async fn claim_installation(
    db: &DatabaseConnection,
    settings: &[(&'static str, String)],
) -> Result<(), InstallationError> {
    for (variable, wanted) in settings {
        let stored = claim(db, variable, wanted).await.map_err(store_error)?;
        if stored != *wanted {
            return Err(InstallationError::Mismatch { variable, stored, wanted: wanted.clone() });
        }
    }
    Ok(())
}

/// Refuses settings of other values than a database is bound to, and writes nothing.
///
/// # Errors
/// As [`claim_installation`].
pub async fn check_installation(
    db: &DatabaseConnection,
    settings: &[(&'static str, String)],
) -> Result<(), InstallationError> {
    for (variable, wanted) in settings {
        let stored = read(db, variable).await.map_err(store_error)?;
        if let Some(stored) = stored.filter(|stored| stored != wanted) {
            return Err(InstallationError::Mismatch { variable, stored, wanted: wanted.clone() });
        }
    }
    Ok(())
}

/// The stored value of a setting, which is `wanted` if there was none.
async fn claim(db: &DatabaseConnection, name: &str, wanted: &str) -> Result<String, DbErr> {
    if let Some(stored) = read(db, name).await? {
        // Most starts end here, also where this program may only read.
        return Ok(stored);
    }
    let mut insert = Query::insert();
    insert
        .into_table("setting")
        .columns(["name", "value"])
        .values([Expr::val(name), Expr::val(wanted)])
        .map_err(|error| DbErr::Custom(error.to_string()))?
        .on_conflict(OnConflict::column("name").do_nothing().to_owned());
    db.execute(&insert).await?;
    let stored = read(db, name).await?;
    stored.ok_or_else(|| DbErr::RecordNotFound(format!("setting {name}, written a moment ago")))
}

async fn read(db: &DatabaseConnection, name: &str) -> Result<Option<String>, DbErr> {
    let mut select = Query::select();
    select.column("value").from("setting").and_where(Expr::col("name").eq(name));
    db.query_one(&select).await?.map(|row| row.try_get("", "value")).transpose()
}

/// Fails unless the migration `schema` was applied.
pub(super) async fn require_schema(db: &DatabaseConnection, schema: &str) -> Result<(), DbErr> {
    let mut select = Query::select();
    select.column("version").from("seaql_migrations").and_where(Expr::col("version").eq(schema));
    match db.query_one(&select).await? {
        Some(_) => Ok(()),
        None => Err(DbErr::Migration(format!("the schema is older than {schema}: run `ohlcv migrate`"))),
    }
}
