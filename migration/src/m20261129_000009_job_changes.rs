//! Changes of jobs are numbered, so that who follows them knows what is new.

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

// Jobs that have not changed since have no number: they are told to nobody as news.
const STATEMENTS: &[&str] = &[
    "ALTER TABLE job ADD COLUMN change_seq BIGINT NOT NULL DEFAULT 0",
    "CREATE INDEX idx_job_change ON job (change_seq)",
];
