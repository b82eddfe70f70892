//! A fresh database for every test: a SQLite file, or a schema on a PostgreSQL server.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use ohlcv_adapters::store::connect;
use ohlcv_domain::{Asset, TimeRange};
use ohlcv_ports::testing::candle_store_contract::MarkUnverified;
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement};
use tempfile::TempDir;

use crate::postgres;

/// The two databases that the program runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backend {
    /// A file with a write-ahead log, as in production.
    Sqlite,
    /// The server that `TEST_DATABASE_URL` names, or one that the tests start for themselves.
    Postgres,
}

/// A database that nobody else uses. A SQLite file is gone when this is dropped; a schema stays
/// until its throw-away server goes.
#[derive(Debug)]
pub struct TestDatabase {
    url: String,
    _folder: Option<TempDir>,
}

static SCHEMAS: AtomicU32 = AtomicU32::new(0);

impl TestDatabase {
    /// An empty database.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => {
                let folder = tempfile::tempdir().expect("a temporary folder");
                let url = format!("sqlite://{}?mode=rwc", folder.path().join("test.db").display());
                Self { url, _folder: Some(folder) }
            }
            Backend::Postgres => {
                let server = postgres::server_url().await;
                // Unique among processes that share a server, and among the tests of this one.
                let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
                let schema = format!("test_{}_{number}", std::process::id());
                let db = connect(&server).await.expect("the test server answers");
                db.execute_unprepared(&format!("CREATE SCHEMA {schema}"))
                    .await
                    .expect("a schema can be made");
                db.close().await.expect("the connection closes");
                let separator = if server.contains('?') { '&' } else { '?' };
                Self { url: format!("{server}{separator}options[search_path]={schema}"), _folder: None }
            }
        }
    }

    /// What `DATABASE_URL` has to be to use it.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Reaches the server under another address from now on, through a wire that can be cut, say.
    pub fn reach_through(&mut self, address: &str, other: &str) {
        self.url = self.url.replace(address, other);
    }

    /// A connection pool of the test's own, beside the program's.
    pub async fn connect(&self) -> DatabaseConnection {
        connect(&self.url).await.expect("the test database answers")
    }

    /// Runs a statement behind the program's back; returns how many rows it touched.
    pub async fn execute(&self, sql: &str) -> u64 {
        let db = self.connect().await;
        let done = db.execute_unprepared(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        db.close().await.expect("the connection closes");
        done.rows_affected()
    }

    /// The rows of a query.
    pub async fn query(&self, sql: &str) -> Vec<QueryResult> {
        let db = self.connect().await;
        let statement = Statement::from_string(db.get_database_backend(), sql);
        let rows = db.query_all_raw(statement).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        db.close().await.expect("the connection closes");
        rows
    }

    /// Every stored candle as one line of text each, ordered: what two databases can be compared by.
    pub async fn dump(&self) -> Vec<String> {
        let db = self.connect().await;
        let millis = match db.get_database_backend() {
            DbBackend::Postgres => "CAST(EXTRACT(EPOCH FROM timestamp) * 1000 AS BIGINT)",
            _ => "timestamp",
        };
        let numbers =
            ["open", "high", "low", "close", "volume"].map(|column| format!("CAST({column} AS TEXT)"));
        let line =
            format!("asset || ' ' || CAST({millis} AS TEXT) || ' ' || {}", numbers.join(" || ' ' || "));
        let rows =
            self.query(&format!("SELECT {line} AS line FROM spot_ohlcv ORDER BY asset, timestamp")).await;
        rows.iter().map(|row| row.try_get("", "line").expect("a line of text")).collect()
    }
}

#[async_trait]
impl MarkUnverified for TestDatabase {
    async fn mark_unverified(&self, asset: Asset, range: TimeRange) {
        let (start, end) = (range.start().millis(), range.end().millis());
        self.execute(&format!("INSERT INTO unverified VALUES ('{asset}', {start}, {end})")).await;
    }
}
