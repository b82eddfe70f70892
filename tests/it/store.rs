//! Both databases keep every promise of the store's contract.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use ohlcv_adapters::store::{InstallationError, SqlStore, claim_installation, connect, connect_to_existing};
use ohlcv_domain::{Asset, Candle, Commit, Grid, Interval, SlotRange, TimeRange, Timestamp};
use ohlcv_ports::testing::candle_store_contract::StoreUnderTest;
use ohlcv_ports::{CandleStore, Coverage, StoreError, Take};
use ohlcv_tests::database::{Backend, TestDatabase};
use sea_orm::sqlx::{self, Connection as _, SqliteConnection};

async fn store(backend: Backend) -> StoreUnderTest {
    let database = TestDatabase::new(backend).await;
    let db = database.connect().await;
    ohlcv_migration::up(&db).await.unwrap();
    let store = Arc::new(SqlStore::new(db, ohlcv_migration::newest()));
    // Opens what a few candles are read over; the others are read over the pool.
    store.heads(&[btc()]).await.unwrap();
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
    a_connection_over_which_a_question_failed_is_not_kept,
    a_store_that_was_asked_where_a_series_stands_closes,
    a_store_closes_while_it_is_asked_where_a_series_stands,
    a_few_candles_are_read_beside_the_pool,
    what_is_read_from_another_runtime_leaves_nothing_there,
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

async fn a_connection_over_which_a_question_failed_is_not_kept(backend: Backend) {
    let database = migrated(backend).await;
    let store = open(&database).await;
    store.apply(flat(1)).await.unwrap();
    let before = store.heads(&[btc()]).await.unwrap();
    database.execute("ALTER TABLE series RENAME TO away").await;
    store.heads(&[btc()]).await.unwrap_err();
    assert_eq!(store.connections().kept, 0);
    database.execute("ALTER TABLE away RENAME TO series").await;
    assert_eq!(store.heads(&[btc()]).await.unwrap(), before);
}

async fn a_store_that_was_asked_where_a_series_stands_closes(backend: Backend) {
    let database = migrated(backend).await;
    let store = open(&database).await;
    store.heads(&[btc()]).await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), store.close()).await.unwrap();
    assert!(matches!(store.heads(&[btc()]).await, Err(StoreError::Unavailable { .. })));
}

async fn a_store_closes_while_it_is_asked_where_a_series_stands(backend: Backend) {
    let database = migrated(backend).await;
    let store = Arc::new(open(&database).await);
    let asking = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            loop {
                match store.heads(&[btc()]).await {
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) => return error,
                }
            }
        }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    tokio::time::timeout(Duration::from_secs(5), store.close()).await.unwrap();
    let end = tokio::time::timeout(Duration::from_secs(5), asking).await.unwrap().unwrap();
    assert!(matches!(end, StoreError::Unavailable { .. }), "{end:?}");
}

async fn a_few_candles_are_read_beside_the_pool(backend: Backend) {
    let database = migrated(backend).await;
    let db = database.connect().await;
    let store = SqlStore::new(db.clone(), ohlcv_migration::newest());
    store.apply(flat(1)).await.unwrap();
    store.apply(flat(2)).await.unwrap();
    store.heads(&[btc()]).await.unwrap();
    // From now on the pool gives no connection.
    db.close().await.unwrap();
    for (take, number) in [(Take::Oldest, 1), (Take::Newest, 2)] {
        let few = store.page(btc(), TimeRange::ALL, take, 1).await.unwrap();
        assert_eq!(few, flat(number).candles());
    }
    assert_eq!(store.page(btc(), slots(2).time(), Take::Oldest, 100).await.unwrap(), flat(2).candles());
    let many = store.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap_err();
    assert!(matches!(many, StoreError::Unavailable { .. }), "{many:?}");
}

async fn what_is_read_from_another_runtime_leaves_nothing_there(backend: Backend) {
    let database = migrated(backend).await;
    let db = database.connect().await;
    let store = Arc::new(SqlStore::new(db.clone(), ohlcv_migration::newest()));
    store.apply(flat(1)).await.unwrap();
    // The pool has to open another connection.
    let (mut on_sqlite, mut on_postgres) = (None, None);
    match backend {
        Backend::Sqlite => on_sqlite = Some(db.get_sqlite_connection_pool().acquire().await.unwrap()),
        Backend::Postgres => on_postgres = Some(db.get_postgres_connection_pool().acquire().await.unwrap()),
    }
    let asking = Arc::clone(&store);
    let elsewhere = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let read = asking.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap();
            let given_back = async {
                while asking.connections().idle == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(Duration::from_secs(5), given_back).await.unwrap();
            read
        })
    });
    let read = tokio::task::spawn_blocking(|| elsewhere.join().unwrap()).await.unwrap();
    assert_eq!(read, flat(1).candles());
    // That runtime has ended, and with it what belonged to it.
    let again = store.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap();
    assert_eq!(again, read);
    drop((on_sqlite.take(), on_postgres.take()));
}

#[tokio::test]
async fn on_sqlite_what_is_wrong_with_one_of_a_few_candles_is_told() {
    let database = migrated(Backend::Sqlite).await;
    let db = database.connect().await;
    let store = SqlStore::new(db.clone(), ohlcv_migration::newest());
    store.apply(flat(1)).await.unwrap();
    store.heads(&[btc()]).await.unwrap();
    for (column, value) in [("open", "'dear'"), ("volume", "-1"), ("high", "'0.5'")] {
        let pool = db.get_sqlite_connection_pool();
        let before = "UPDATE spot_ohlcv SET open = '1', high = '1', volume = '1'";
        sqlx::query(before).execute(pool).await.unwrap();
        assert_eq!(store.page(btc(), TimeRange::ALL, Take::Oldest, 1).await.unwrap().len(), 1);
        let update = format!("UPDATE spot_ohlcv SET {column} = {value}");
        sqlx::query(sqlx::AssertSqlSafe(update)).execute(pool).await.unwrap();
        let error = store.page(btc(), TimeRange::ALL, Take::Oldest, 1).await.unwrap_err();
        assert!(matches!(&error, StoreError::Corrupt { .. }), "{column}: {error:?}");
    }
}

#[tokio::test]
async fn on_sqlite_where_a_series_stands_is_told_without_waiting_for_another_thread() {
    let database = migrated(Backend::Sqlite).await;
    is_told_at_once(&open(&database).await).await;
}

async fn is_told_at_once(store: &SqlStore) {
    // This one opens the file.
    assert_eq!(store.heads(&[btc()]).await.unwrap(), []);
    for number in 1..=3 {
        store.apply(flat(number)).await.unwrap();
        let heads = store.heads(&[btc()]).now_or_never();
        assert_eq!(heads.unwrap().unwrap()[0].seq, number, "and as true as the last commit");
    }
}

#[tokio::test]
async fn on_sqlite_where_a_series_stands_is_told_when_the_file_is_free_again() {
    let database = migrated(Backend::Sqlite).await;
    // Without a write-ahead log whoever writes keeps the others out.
    let mut alone = SqliteConnection::connect(database.url()).await.unwrap();
    sqlx::query("PRAGMA journal_mode = DELETE").execute(&mut alone).await.unwrap();
    alone.close().await.unwrap();
    let store = SqlStore::new(connect_to_existing(database.url()).await.unwrap(), ohlcv_migration::newest());
    store.apply(flat(1)).await.unwrap();
    // Opens the file.
    store.heads(&[btc()]).await.unwrap();
    assert!(store.heads(&[btc()]).now_or_never().is_some());
    let other = connect_to_existing(database.url()).await.unwrap();
    let mut writer = other.get_sqlite_connection_pool().acquire().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut *writer).await.unwrap();
    sqlx::query("UPDATE series SET change_seq = 7").execute(&mut *writer).await.unwrap();
    let asked = Instant::now();
    assert!(store.heads(&[btc()]).now_or_never().is_none());
    assert!(asked.elapsed() < Duration::from_secs(1), "the thread waited by itself");
    let writing = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        sqlx::query("COMMIT").execute(&mut *writer).await.unwrap();
    };
    let asking = async { store.heads(&[btc()]).await.unwrap() };
    let (heads, ()) = tokio::join!(asking, writing);
    assert_eq!(heads[0].seq, 7);
    let heads = store.heads(&[btc()]).now_or_never();
    assert_eq!(heads.unwrap().unwrap()[0].seq, 7);
}

#[tokio::test]
async fn on_sqlite_a_file_opened_in_an_unusual_way_is_asked_over_the_pool() {
    let database = migrated(Backend::Sqlite).await;
    let store = open(&database).await;
    store.apply(flat(1)).await.unwrap();
    let heads = store.heads(&[btc()]).await.unwrap();
    store.close().await;
    let url = database.url().replace("mode=rwc", "mode=ro&immutable=true");
    let store = SqlStore::new(connect_to_existing(&url).await.unwrap(), ohlcv_migration::newest());
    assert_eq!(store.heads(&[btc()]).await.unwrap(), heads);
    assert_eq!(store.connections().kept, 0, "no reader of its own was opened");
}

#[tokio::test]
async fn on_sqlite_the_write_ahead_log_is_merged_after_where_a_series_stands_was_asked() {
    let folder = tempfile::tempdir().unwrap();
    let [file, log] = ["own.db", "own.db-wal"].map(|name| folder.path().join(name));
    let db = connect(&format!("sqlite://{}?mode=rwc", file.display())).await.unwrap();
    ohlcv_migration::up(&db).await.unwrap();
    let store = SqlStore::new(db.clone(), ohlcv_migration::newest());
    store.apply(flat(1)).await.unwrap();
    store.heads(&[btc()]).await.unwrap();
    assert!(log.exists());
    // As when the pool has closed all that nobody used.
    db.close().await.unwrap();
    assert!(log.exists(), "the question has a connection of its own");
    store.close().await;
    assert!(!log.exists());
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
