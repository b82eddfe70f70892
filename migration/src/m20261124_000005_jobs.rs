//! Jobs: fetching that somebody asked for, and how far it is.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for statement in STATEMENTS {
            manager.get_connection().execute_unprepared(statement).await?;
        }
        Ok(())
    }
}

// Times are milliseconds since 1970. Who works on a job stands in `lease`, as for other work.
const STATEMENTS: &[&str] = &[
    "CREATE TABLE job (
        id VARCHAR(36) PRIMARY KEY,
        kind VARCHAR(20) NOT NULL,
        start_ms BIGINT,
        end_ms BIGINT,
        days BIGINT,
        forced BOOLEAN NOT NULL,
        state VARCHAR(20) NOT NULL,
        urgency BIGINT NOT NULL,
        attempts BIGINT NOT NULL,
        not_before_ms BIGINT NOT NULL,
        cancel_wished BOOLEAN NOT NULL,
        idempotency_key VARCHAR(255) UNIQUE,
        created_ms BIGINT NOT NULL,
        started_ms BIGINT,
        finished_ms BIGINT
    )",
    // A worker looks for the next job in it, a reader for the newest ones in the other.
    "CREATE INDEX idx_job_state ON job (state, urgency, created_ms)",
    "CREATE INDEX idx_job_created ON job (created_ms)",
    "CREATE TABLE job_asset (
        job_id VARCHAR(36) NOT NULL,
        asset VARCHAR(20) NOT NULL,
        position BIGINT NOT NULL,
        state VARCHAR(20) NOT NULL,
        done BIGINT NOT NULL,
        expected BIGINT NOT NULL,
        error TEXT,
        PRIMARY KEY (job_id, asset)
    )",
];
