//! `ohlcv migrate`: brings the schema up, or says how it stands.

use anyhow::Context;
use ohlcv_adapters::store::connect;

use super::{End, say};
use crate::cli::MigrateAction;
use crate::lifecycle::Lifecycle;
use crate::settings::{DatabaseUrl, Settings};
use crate::wiring::not_opened;

pub(super) async fn execute(
    settings: &Settings,
    action: MigrateAction,
    lifecycle: &Lifecycle,
) -> anyhow::Result<End> {
    let url = &settings.database_url;
    let done = match action {
        MigrateAction::Up => lifecycle.one_shot(up(url)).await,
        MigrateAction::Status => lifecycle.one_shot(status(url)).await,
    };
    match done {
        Ok(told) => say(&told?).map(|()| End::Done).map_err(Into::into),
        Err(signal) => Ok(End::Interrupted(signal)),
    }
}

async fn up(url: &DatabaseUrl) -> anyhow::Result<String> {
    let db = connect(url.expose()).await.map_err(|error| not_opened(url, error))?;
    let done = async {
        let pending = ohlcv_migration::pending(&db).await.context(UNREADABLE)?;
        ohlcv_migration::up(&db).await.context("cannot check the schema and bring it up")?;
        Ok(match pending.as_slice() {
            [] => format!("the schema is current: {}", ohlcv_migration::newest()),
            applied => format!("applied: {}", applied.join(", ")),
        })
    };
    let told = done.await;
    db.close().await?;
    told
}

/// Changes nothing: a SQLite file that is not there is not made.
async fn status(url: &DatabaseUrl) -> anyhow::Result<String> {
    if url.missing_file().is_some() {
        return Ok(lists(&[], &ohlcv_migration::all()));
    }
    let db = connect(&url.without_making_a_file()).await.map_err(|error| not_opened(url, error))?;
    let read = async {
        let applied = ohlcv_migration::applied(&db).await.context(UNREADABLE)?;
        let pending = ohlcv_migration::pending(&db).await.context(UNREADABLE)?;
        Ok(lists(&applied, &pending))
    };
    let told = read.await;
    db.close().await?;
    told
}

const UNREADABLE: &str = "cannot read the schema's version";

fn lists(applied: &[String], pending: &[String]) -> String {
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    format!("applied: {}\npending: {}", list(applied), list(pending))
}
