//! The schema and its history. Frozen: a migration that shipped is never edited or renamed, and it
//! knows no entity, so what it does stays what it did.

use sea_orm_migration::Migration;
use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::{
    DatabaseConnection, DbBackend, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

mod m20261121_000001_reference_service;
mod m20261122_000001_candles_and_coverage;
mod m20261122_000002_leases;
mod m20261124_000003_unverified;
mod m20261124_000004_request_budget;
mod m20261124_000005_jobs;
mod m20261124_000008_history;
mod m20261129_000009_job_changes;
mod m20261129_000010_last_change;

#[derive(Debug)]
struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261121_000001_reference_service::Migration),
            Box::new(m20261122_000001_candles_and_coverage::Migration),
            Box::new(m20261122_000002_leases::Migration),
            Box::new(m20261124_000003_unverified::Migration),
            Box::new(m20261124_000004_request_budget::Migration),
            Box::new(m20261124_000005_jobs::Migration),
            Box::new(m20261124_000008_history::Migration),
            Box::new(m20261129_000009_job_changes::Migration),
            Box::new(m20261129_000010_last_change::Migration),
        ]
    }
}

/// The name of the newest migration: a database that has it is current.
#[must_use]
pub fn newest() -> String {
    all().pop().unwrap_or_default()
}

/// Any number will do, as long as every version of this program takes the same.
const ADVISORY_LOCK: i64 = 0x006f_686c_6376;

/// Applies what is pending, all of it or nothing. Processes that start together take turns.
///
/// # Errors
/// [`DbErr`] if the database cannot be reached or refuses.
pub async fn up(db: &DatabaseConnection) -> Result<(), DbErr> {
    let options = TransactionOptions {
        sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
        ..TransactionOptions::default()
    };
    let transaction = db.begin_with_options(options).await?;
    if db.get_database_backend() == DbBackend::Postgres {
        let lock = format!("SELECT pg_advisory_xact_lock({ADVISORY_LOCK})");
        transaction.execute_unprepared(&lock).await?;
    }
    Migrator::up(&transaction, None).await?;
    transaction.commit().await
}

/// The names of the migrations that are still to be applied, oldest first. Changes nothing.
///
/// # Errors
/// [`DbErr`] if the database cannot be reached or refuses.
pub async fn pending(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    Ok(names(&Migrator::get_pending_migrations_read_only(db).await?))
}

/// The names of the migrations that were applied, oldest first. Changes nothing.
///
/// # Errors
/// [`DbErr`] if the database cannot be reached or refuses.
pub async fn applied(db: &DatabaseConnection) -> Result<Vec<String>, DbErr> {
    Ok(names(&Migrator::get_applied_migrations_read_only(db).await?))
}

/// The names of all migrations, oldest first.
#[must_use]
pub fn all() -> Vec<String> {
    names(&Migrator::get_migration_files())
}

fn names(migrations: &[Migration]) -> Vec<String> {
    migrations.iter().map(|migration| migration.name().to_owned()).collect()
}
