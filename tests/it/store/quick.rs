//! Quick questions, asked beside the pool: where series stand, and a few candles.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use ohlcv_adapters::store::{SqlStore, connect, connect_to_existing};
use ohlcv_domain::{Candle, Commit, Price, TimeRange, TradeDetails, Volume};
use ohlcv_ports::{CandleStore, Coverage, StoreError, Take};
use ohlcv_tests::database::Backend;
use sea_orm::sqlx::{self, Connection as _, SqliteConnection};

use super::{btc, flat, migrated, open, slots};

ohlcv_tests::on_each_database!(
    a_connection_over_which_a_question_failed_is_not_kept,
    a_store_that_was_asked_where_a_series_stands_closes,
    a_store_closes_while_it_is_asked_where_a_series_stands,
    a_few_candles_are_read_beside_the_pool,
    a_question_where_a_series_stands_waits_for_the_connection_that_is_lent,
    what_is_read_from_another_runtime_leaves_nothing_there,
);

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
    for number in 1..=3 {
        store.apply(candle(number)).await.unwrap();
    }
    let all = store.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap();
    let few = from_elsewhere(async move {
        store.heads(&[btc()]).await.unwrap();
        // From now on the pool gives no connection.
        db.close().await.unwrap();
        let many = store.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap_err();
        assert!(matches!(many, StoreError::Unavailable { .. }), "{many:?}");
        let newest = store.page(btc(), TimeRange::ALL, Take::Newest, 2).await.unwrap();
        let second = store.page(btc(), slots(2).time(), Take::Oldest, 100).await.unwrap();
        let few = store.page(btc(), TimeRange::ALL, Take::Oldest, 3).await.unwrap();
        assert_eq!((newest.as_slice(), second.as_slice()), (&few[1..], &few[1..2]));
        few
    })
    .await;
    assert_eq!(few, all);
}

/// With all that can be known of it, with less, and with the largest numbers.
fn candle(number: u64) -> Commit {
    let slots = slots(number);
    let largest = Candle::flat(slots.start(), Price::MAX);
    let candle = match number {
        1 => Candle::flat(slots.start(), "0.00000001".parse().unwrap()),
        2 => Candle::new(slots.start(), largest.prices(), "7.5".parse().unwrap()).unwrap(),
        _ => largest.with_details(TradeDetails {
            quote_volume: Volume::MAX,
            trades: u32::MAX,
            taker_buy_volume: Volume::ZERO,
            taker_buy_quote_volume: "0.1".parse().unwrap(),
        }),
    };
    Commit::new(btc(), slots, vec![candle], Vec::new(), slots.end()).unwrap()
}

async fn a_question_where_a_series_stands_waits_for_the_connection_that_is_lent(backend: Backend) {
    let database = migrated(backend).await;
    let db = database.connect().await;
    let store = SqlStore::new(db.clone(), ohlcv_migration::newest());
    store.apply(flat(1)).await.unwrap();
    from_elsewhere(async move {
        let names = [btc()];
        let stands = store.heads(&names).await.unwrap();
        // From now on the pool gives no connection.
        db.close().await.unwrap();
        let mut most = 0;
        for _ in 0..20 {
            let few = store.page(btc(), TimeRange::ALL, Take::Oldest, 1);
            let asked = async { tokio::join!(biased; few, store.heads(&names)) };
            let watched = async {
                loop {
                    most = most.max(store.connections().kept);
                    tokio::task::yield_now().await;
                }
            };
            tokio::select! {
                (few, heads) = asked => {
                    assert_eq!(few.unwrap(), flat(1).candles());
                    assert_eq!(heads.unwrap(), stands);
                }
                () = watched => {}
            }
        }
        assert_eq!(most, 1, "no other one was opened");
    })
    .await;
}

/// Asks from a runtime of its own, as the threads of the API do.
async fn from_elsewhere<T: Send + 'static>(asking: impl Future<Output = T> + Send + 'static) -> T {
    let asking = std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(asking)
    });
    tokio::task::spawn_blocking(|| asking.join().unwrap()).await.unwrap()
}

async fn what_is_read_from_another_runtime_leaves_nothing_there(backend: Backend) {
    let database = migrated(backend).await;
    let db = database.connect().await;
    let store = Arc::new(SqlStore::new(db.clone(), ohlcv_migration::newest()));
    store.apply(flat(1)).await.unwrap();
    // The pool has to open another connection for whoever asks.
    let resting = async {
        while store.connections().used > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), resting).await.unwrap();
    let (mut on_sqlite, mut on_postgres) = (Vec::new(), Vec::new());
    while store.connections().idle > 0 {
        match backend {
            Backend::Sqlite => on_sqlite.push(db.get_sqlite_connection_pool().acquire().await.unwrap()),
            Backend::Postgres => on_postgres.push(db.get_postgres_connection_pool().acquire().await.unwrap()),
        }
    }
    let (asking, before) = (Arc::clone(&store), store.connections().used);
    let read = from_elsewhere(async move {
        let read = asking.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap();
        let given_back = async {
            while asking.connections().idle == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), given_back).await.unwrap();
        assert_eq!(asking.connections().used, before, "another one was opened");
        read
    })
    .await;
    assert_eq!(read, flat(1).candles());
    // That runtime has ended, and with it what belonged to it.
    let again = store.page(btc(), TimeRange::ALL, Take::Oldest, 1_000).await.unwrap();
    assert_eq!(again, read);
}

#[tokio::test]
async fn on_sqlite_what_is_wrong_with_one_of_a_few_candles_is_told() {
    let database = migrated(Backend::Sqlite).await;
    let db = database.connect().await;
    let store = SqlStore::new(db.clone(), ohlcv_migration::newest());
    store.apply(flat(1)).await.unwrap();
    from_elsewhere(async move {
        store.heads(&[btc()]).await.unwrap();
        for (column, value) in [("open", "'dear'"), ("volume", "-1"), ("high", "'0.5'"), ("trades", "-1")] {
            let pool = db.get_sqlite_connection_pool();
            let before = "UPDATE spot_ohlcv SET open = '1', high = '1', volume = '1', trades = 1";
            sqlx::query(before).execute(pool).await.unwrap();
            assert_eq!(store.page(btc(), TimeRange::ALL, Take::Oldest, 1).await.unwrap().len(), 1);
            let update = format!("UPDATE spot_ohlcv SET {column} = {value}");
            sqlx::query(sqlx::AssertSqlSafe(update)).execute(pool).await.unwrap();
            let error = store.page(btc(), TimeRange::ALL, Take::Oldest, 1).await.unwrap_err();
            assert!(matches!(&error, StoreError::Corrupt { .. }), "{column}: {error:?}");
        }
    })
    .await;
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
