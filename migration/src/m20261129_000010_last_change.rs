//! A series tells what its last change touched, so that whoever asks where it stands reads one row.

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

// They tell of the change that `changed_seq` names: a version that does not know them moves `change_seq`
// alone. Where nothing is told the log is asked.
const STATEMENTS: &[&str] = &[
    "ALTER TABLE series ADD COLUMN changed_seq BIGINT",
    "ALTER TABLE series ADD COLUMN changed_start_ms BIGINT",
    "ALTER TABLE series ADD COLUMN changed_end_ms BIGINT",
];
