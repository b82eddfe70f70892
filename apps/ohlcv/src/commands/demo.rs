//! `ohlcv demo`: a service on a database that is thrown away.

use std::collections::BTreeMap;

use anyhow::Context;
use tempfile::TempDir;

use crate::wiring::Refused;

/// Makes a database in a folder of its own and names it in the flags; it is gone when the folder is
/// dropped.
pub(super) fn database(flags: &mut BTreeMap<String, String>) -> anyhow::Result<TempDir> {
    if flags.contains_key("DATABASE_URL") {
        return Err(Refused::because(
            "--database-url cannot be used with demo, which keeps nothing: leave it out".to_owned(),
        ));
    }
    let folder = tempfile::Builder::new()
        .prefix("ohlcv-demo-")
        .tempdir()
        .context("cannot make a temporary folder for the demo's database")?;
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("demo.db").display());
    flags.insert("DATABASE_URL".to_owned(), url);
    Ok(folder)
}
