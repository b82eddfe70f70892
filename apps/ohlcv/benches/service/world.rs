//! What is measured with: databases with a data set in them, the program on them, helpers.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use anyhow::Context;
use ohlcv_adapters::store::{SqlStore, connect};
use ohlcv_domain::Asset;
use ohlcv_ports::CandleStore;
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, Running};

use crate::PROGRAM;
use crate::candles;

/// The asset that is read and written.
pub(crate) const ASSET: &str = "BTC";

pub(crate) fn asset() -> anyhow::Result<Asset> {
    Ok(ASSET.parse()?)
}

pub(crate) fn name_of(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => "SQLite",
        Backend::Postgres => "PostgreSQL",
    }
}

/// A database with the schema in it and nothing else.
pub(crate) async fn empty(backend: Backend) -> anyhow::Result<(TestDatabase, SqlStore)> {
    let database = TestDatabase::new(backend).await;
    let store = open(&database).await?;
    Ok((database, store))
}

/// A store on a database, whose schema is brought up first.
pub(crate) async fn open(database: &TestDatabase) -> anyhow::Result<SqlStore> {
    let db = connect(database.url()).await?;
    ohlcv_migration::up(&db).await?;
    Ok(SqlStore::new(db, ohlcv_migration::newest()))
}

/// A database with two years of half-days of one asset, one in a hundred missing.
pub(crate) async fn half_days(backend: Backend) -> anyhow::Result<(TestDatabase, SqlStore)> {
    let (database, store) = empty(backend).await?;
    let slots = candles::half_days()?;
    store.apply(candles::commit(asset()?, slots, candles::with_holes(slots)?)?).await?;
    Ok((database, store))
}

/// The program with what it needs to know, but for the database.
pub(crate) fn program(database: &TestDatabase) -> Program {
    Program::new(PROGRAM)
        .with("DATABASE_URL", database.url())
        .with("TRACKED_ASSETS", ASSET)
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
}

/// A program that serves, and where: an address without a scheme.
pub(crate) fn serve(program: &Program) -> (Running, String) {
    let mut running = program.start(&["serve"]);
    let address = running.url().trim_start_matches("http://").to_owned();
    (running, address)
}

/// Two years, filled.
pub(crate) fn two_years_path() -> anyhow::Result<String> {
    let slots = candles::half_days()?;
    Ok(format!("/api/v1/ohlcv/{ASSET}?start={}&end={}&fill=true&limit=2000", slots.start(), slots.end()))
}

/// Seven days, fourteen rows.
pub(crate) const SEVEN_DAYS: &str = "?start=2024-10-01T00:00:00Z&end=2024-10-08T00:00:00Z";

/// This program as a process of its own; it is killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Helper {
    child: Child,
    /// The first line that it said.
    pub(crate) said: String,
}

impl Helper {
    /// Starts it, and waits for that line.
    pub(crate) fn start(arguments: &[&str]) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let mut child = Command::new(own).args(arguments).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("standard output was asked for")?;
        let mut said = String::new();
        BufReader::new(stdout).read_line(&mut said)?;
        anyhow::ensure!(!said.is_empty(), "it ended without a word: {arguments:?}");
        Ok(Self { child, said: said.trim().to_owned() })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
