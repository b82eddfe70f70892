//! A database of an earlier version is brought up with everything in it.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use ohlcv_tests::database::{Backend, TestDatabase};

use crate::market::{HALF_DAY, Market, NOON};

/// What the first version had applied.
const FIRST: [&str; 2] = ["m20261122_000001_candles_and_coverage", "m20261122_000002_leases"];
/// The tables that it made.
const FIRST_TABLES: [&str; 8] =
    ["spot_ohlcv", "backfill_state", "series", "hole", "change_log", "setting", "lease", "seaql_migrations"];

ohlcv_tests::on_each_database!(
    a_database_of_the_first_version_is_brought_up_with_all_its_candles,
    a_newer_migration_list_names_what_is_pending_on_a_database_of_the_first_version,
);

/// The columns that later versions have added to them.
const LATER_COLUMNS: [&str; 3] = ["changed_seq", "changed_start_ms", "changed_end_ms"];

/// A database as the first version left it: later ones have only added to what it made.
async fn of_the_first_version(backend: Backend, market: &Market) -> TestDatabase {
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    service.backfill().await;
    let tables = match backend {
        Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table'",
        Backend::Postgres => {
            "SELECT CAST(table_name AS TEXT) AS name FROM information_schema.tables
            WHERE table_schema = current_schema()"
        }
    };
    let tables = database.query(tables).await;
    let tables = tables.iter().map(|row| row.try_get::<String>("", "name").unwrap());
    for later in tables.filter(|table| !FIRST_TABLES.contains(&table.as_str())) {
        database.execute(&format!("DROP TABLE {later}")).await;
    }
    for later in LATER_COLUMNS {
        database.execute(&format!("ALTER TABLE series DROP COLUMN {later}")).await;
    }
    let names = FIRST.map(|name| format!("'{name}'")).join(", ");
    database.execute(&format!("DELETE FROM seaql_migrations WHERE version NOT IN ({names})")).await;
    database
}

async fn a_database_of_the_first_version_is_brought_up_with_all_its_candles(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = of_the_first_version(backend, &market).await;
    let before = database.dump().await;
    assert_eq!(before.len(), 190);
    market.exchange.clear_requests();

    let service = market.service(&database, &[("INITIAL_BACKFILL_DAYS", "95")]).await;
    assert!(!service.backfill().await.has_failures());
    assert_eq!(database.dump().await, before);
    assert_eq!(market.exchange.klines_requests().len(), 0, "its candles were verified when they came");
    let row = service.get("/api/v1/assets").await.json()["assets"][0].clone();
    assert_eq!((&row["total_candles"], &row["backfill_completed"]), (&190.into(), &true.into()));
}

async fn a_newer_migration_list_names_what_is_pending_on_a_database_of_the_first_version(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 200).await;
    let database = of_the_first_version(backend, &market).await;
    let db = database.connect().await;
    let pending = ohlcv_migration::pending(&db).await.unwrap();
    let expected: Vec<String> =
        ohlcv_migration::all().into_iter().filter(|name| !FIRST.contains(&name.as_str())).collect();
    assert_eq!(pending, expected);
    ohlcv_migration::up(&db).await.unwrap();
    assert_eq!(ohlcv_migration::pending(&db).await.unwrap(), Vec::<String>::new());
    let mut applied = ohlcv_migration::applied(&db).await.unwrap();
    applied.sort();
    let mut all = ohlcv_migration::all();
    all.sort();
    assert_eq!(applied, all);
}
