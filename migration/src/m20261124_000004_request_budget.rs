//! The request budget of each exchange, and until when it must not be asked.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let create = "CREATE TABLE request_budget (
            exchange VARCHAR(300) PRIMARY KEY,
            reserved_until_ms BIGINT NOT NULL,
            banned_until_ms BIGINT NOT NULL,
            reason TEXT NOT NULL
        )";
        manager.get_connection().execute_unprepared(create).await?;
        Ok(())
    }
}
