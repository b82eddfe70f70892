//! Both databases keep every promise of the store's contract.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod quick;

use std::sync::Arc;

use ohlcv_adapters::store::{InstallationError, SqlStore, claim_installation};
use ohlcv_domain::{Asset, Candle, Commit, Grid, Interval, SlotRange, Timestamp};
use ohlcv_ports::testing::candle_store_contract::StoreUnderTest;
use ohlcv_ports::{CandleStore, Coverage, StoreError, Take};
use ohlcv_tests::database::{Backend, TestDatabase};

async fn store(backend: Backend) -> StoreUnderTest {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    let store = Arc::new(SqlStore::new(db, ohlcv_migration::newest()));
    let shared = || Arc::<SqlStore>::clone(&store);
    StoreUnderTest { candles: shared(), coverage: shared(), history: shared(), marks: Arc::new(database) }
}

mod on_sqlite {
    use super::{Backend, StoreUnderTest};

    async fn fresh() -> StoreUnderTest {
        super::store(Backend::Sqlite).await
    }

    ohlcv_ports::candle_store_contract!(fresh);
}

ohlcv_tests::on_postgres! {
    mod on_postgres {
        use super::{Backend, StoreUnderTest};

        async fn fresh() -> StoreUnderTest {
            super::store(Backend::Postgres).await
        }

        ohlcv_ports::candle_store_contract!(fresh);
    }
}

ohlcv_tests::on_each_database!(
    processes_that_migrate_at_once_take_turns,
    a_store_without_its_schema_is_not_ready,
    a_database_stays_with_the_settings_it_was_made_with,
    the_columns_are_those_of_the_reference,
    a_candle_that_a_commit_did_not_see_stored_is_replaced,
    who_asks_where_a_series_stands_again_and_again_hears_of_every_write,
    a_write_of_a_version_that_does_not_say_what_it_changed_is_not_taken_for_the_one_before,
);

async fn processes_that_migrate_at_once_take_turns(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let mut starts = Vec::new();
    for _ in 0..4 {
        let db = database.connect().await;
        starts.push(tokio::spawn(async move { ohlcv_migration::up(&db).await }));
    }
    for start in starts {
        start.await.unwrap().unwrap();
    }
    let db = database.connect().await;
    assert_eq!(ohlcv_migration::pending(&db).await.unwrap(), Vec::<String>::new());
}

async fn a_store_without_its_schema_is_not_ready(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let empty = SqlStore::new(database.connect().await, ohlcv_migration::newest());
    assert!(empty.ready().await.is_err());

    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    assert!(empty.ready().await.is_ok());
    let later = SqlStore::new(db, "m20991231_000001_later".to_owned());
    assert!(matches!(later.ready().await, Err(StoreError::Refused { .. })));
}

async fn a_database_stays_with_the_settings_it_was_made_with(backend: Backend) {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    let claim = |interval: &str| [("CANDLE_INTERVAL", interval.to_owned())];
    claim_installation(&db, &claim("12h")).await.unwrap();
    claim_installation(&db, &claim("12h")).await.unwrap();
    let refused = claim_installation(&db, &claim("1h")).await;
    assert!(matches!(refused, Err(InstallationError::Mismatch { variable: "CANDLE_INTERVAL", .. })));
}

async fn the_columns_are_those_of_the_reference(backend: Backend) {
    if backend == Backend::Sqlite {
        // It has no such types; that nothing is REAL is what counts.
        let database = migrated(backend).await;
        let real =
            "SELECT name FROM pragma_table_info('spot_ohlcv') WHERE type LIKE '%REAL%' OR type LIKE '%NUM%'";
        assert!(database.query(real).await.is_empty());
        return;
    }
    let database = migrated(backend).await;
    assert_eq!(columns_of_candles(&database).await, COLUMNS_OF_CANDLES);
}

async fn a_candle_that_a_commit_did_not_see_stored_is_replaced(backend: Backend) {
    let database = migrated(backend).await;
    let store = SqlStore::new(database.connect().await, ohlcv_migration::newest());
    let (asset, grid) = ("BTCUSDT".parse().unwrap(), Grid::new(Interval::H12));
    let start: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let asked = SlotRange::new(grid, start, grid.step(start, 2)).unwrap();
    let commit = |price: &str| {
        let candles = asked.iter().map(|open_time| Candle::flat(open_time, price.parse().unwrap())).collect();
        Commit::new(asset, asked, candles, Vec::new(), asked.end()).unwrap()
    };
    store.apply(commit("1")).await.unwrap();
    // Rows off the grid take the places of those that a commit reads before it writes.
    let off_the_grid = match backend {
        Backend::Sqlite => "timestamp + 60000",
        Backend::Postgres => "timestamp + interval '1 minute'",
    };
    database
        .execute(&format!(
            "INSERT INTO spot_ohlcv (asset, timestamp, open, high, low, close, volume)
            SELECT asset, {off_the_grid}, open, high, low, close, volume FROM spot_ohlcv"
        ))
        .await;
    store.apply(commit("2")).await.unwrap();

    let stored = store.page(asset, asked.time(), Take::Oldest, 4).await.unwrap();
    let closes: Vec<String> = stored.iter().map(|candle| candle.close().to_string()).collect();
    assert_eq!(closes, ["2.00000000", "1.00000000", "2.00000000", "1.00000000"]);
}

async fn who_asks_where_a_series_stands_again_and_again_hears_of_every_write(backend: Backend) {
    let database = migrated(backend).await;
    let [reader, writer] = [open(&database).await, open(&database).await];
    for turn in 1..=50 {
        writer.apply(flat(turn)).await.unwrap();
        let heads = reader.heads(&[btc()]).await.unwrap();
        assert_eq!(heads.iter().map(|head| head.seq).collect::<Vec<_>>(), [turn]);
        assert_eq!(heads[0].last, Some(slots(turn).start()));
        assert_eq!(heads[0].changed, Some(slots(turn).time()));
    }
}

async fn a_write_of_a_version_that_does_not_say_what_it_changed_is_not_taken_for_the_one_before(
    backend: Backend,
) {
    let database = migrated(backend).await;
    let store = open(&database).await;
    store.apply(flat(1)).await.unwrap();
    database.execute("UPDATE series SET change_seq = 2").await;
    let head = store.heads(&[btc()]).await.unwrap()[0];
    assert_eq!((head.seq, head.changed), (2, None));
    store.apply(flat(2)).await.unwrap();
    let head = store.heads(&[btc()]).await.unwrap()[0];
    assert_eq!((head.seq, head.changed), (3, Some(slots(2).time())));
}

fn btc() -> Asset {
    "BTC".parse().unwrap()
}

async fn open(database: &TestDatabase) -> SqlStore {
    SqlStore::new(database.connect().await, ohlcv_migration::newest())
}

/// One half-day, so many after the first.
fn slots(number: u64) -> SlotRange {
    let grid = Grid::new(Interval::H12);
    let first: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let start = grid.step(first, number.try_into().unwrap());
    SlotRange::new(grid, start, grid.next(start)).unwrap()
}

/// Its candle.
fn flat(number: u64) -> Commit {
    let slots = slots(number);
    let candle = Candle::flat(slots.start(), "1".parse().unwrap());
    Commit::new(btc(), slots, vec![candle], Vec::new(), slots.end()).unwrap()
}

/// What every PostgreSQL database has, however it came to be.
pub(crate) const COLUMNS_OF_CANDLES: [&str; 12] = [
    "id bigint not null",
    "asset character varying(20) not null",
    "timestamp timestamp with time zone not null",
    "open numeric(20,8) not null",
    "high numeric(20,8) not null",
    "low numeric(20,8) not null",
    "close numeric(20,8) not null",
    "volume numeric(30,8) not null",
    "quote_volume numeric(30,8)",
    "trades bigint",
    "taker_buy_volume numeric(30,8)",
    "taker_buy_quote_volume numeric(30,8)",
];

/// The columns of `spot_ohlcv` on PostgreSQL, in order.
pub(crate) async fn columns_of_candles(database: &TestDatabase) -> Vec<String> {
    let columns = "SELECT column_name || ' ' || data_type
            || COALESCE('(' || character_maximum_length || ')', '')
            || CASE data_type WHEN 'numeric' THEN '(' || numeric_precision || ',' || numeric_scale || ')' ELSE '' END
            || CASE is_nullable WHEN 'NO' THEN ' not null' ELSE '' END AS told
        FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = 'spot_ohlcv' ORDER BY ordinal_position";
    database.query(columns).await.iter().map(|row| row.try_get("", "told").unwrap()).collect()
}

async fn migrated(backend: Backend) -> TestDatabase {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    db.close().await.unwrap();
    database
}
