//! `ohlcv migrate`: brings the schema up, or says how it stands.

use anyhow::Context;
use ohlcv_adapters::store::connect;

use super::End;
use crate::cli::MigrateAction;
use crate::settings::Settings;

pub(super) async fn execute(settings: &Settings, action: MigrateAction) -> anyhow::Result<End> {
    let db = connect(settings.database_url.expose())
        .await
        .with_context(|| format!("cannot open the database DATABASE_URL={}", settings.database_url))?;
    let pending = ohlcv_migration::pending(&db).await.context("cannot read the schema's version")?;
    if pending.is_empty() {
        println!("the schema is current: {}", ohlcv_migration::newest());
        return Ok(End::Done);
    }
    match action {
        MigrateAction::Status => println!("pending: {}", pending.join(", ")),
        MigrateAction::Up => {
            ohlcv_migration::up(&db).await.context("cannot bring the schema up")?;
            println!("applied: {}", pending.join(", "));
        }
    }
    Ok(End::Done)
}
