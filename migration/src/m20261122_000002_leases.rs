//! Leases: who works on what.

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // The row stays when a lease ends: its token must not start anew.
        let create = "CREATE TABLE lease (
            name VARCHAR(60) PRIMARY KEY,
            holder VARCHAR(80) NOT NULL,
            token BIGINT NOT NULL,
            expires_ms BIGINT NOT NULL
        )";
        manager.get_connection().execute_unprepared(create).await?;
        Ok(())
    }
}
