//! Writes of two years of one-minute candles against the database's own bulk writes of the same rows.

use std::time::{Duration, Instant};

use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::Applied;
use ohlcv_ports::CandleStore;
use ohlcv_tests::database::{Backend, TestDatabase};

use crate::options::Options;
use crate::table::{Table, median, ratio, seconds, times};
use crate::{candles, disk, raw_writes, world};

pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let (mut raw, mut fresh, mut again) = (Vec::new(), Vec::new(), Vec::new());
    let (mut rows, mut rewritten) = (0, 0);
    for round in 0..options.rounds {
        let (database, store) = world::empty(backend).await?;
        let (took, applied) = write(&store, options.days).await?;
        rows = applied.new;
        fresh.push(took);
        let before = written_again(&database, backend, store).await?;
        let store = world::open(&database).await?;
        let (took, applied) = write(&store, options.days).await?;
        anyhow::ensure!((applied.new, applied.changed) == (0, 0), "nothing was new: {applied:?}");
        again.push(took);
        rewritten = written_again(&database, backend, store).await?.saturating_sub(before);
        if round == 0 {
            disk::measure(&database, backend, rows, table).await?;
        }
        drop(database);
        let (database, store) = world::empty(backend).await?;
        store.close().await;
        raw.push(raw_writes::write(&database, backend, options.days).await?);
    }
    let name = world::name_of(backend);
    let (way, wanted) = match backend {
        Backend::Postgres => ("COPY", "≥ 0.6"),
        Backend::Sqlite => ("prepared inserts of 100 rows", ""),
    };
    let [raw, fresh, again] = [raw, fresh, again].map(|took| seconds(&took));
    let told = |took: &[f64]| {
        let seconds = median(took.to_vec());
        format!("{seconds:.1} s, {:.0} rows/s", rows as f64 / seconds)
    };
    table.row(
        format!("{name}, {rows} fresh rows: speed against {way}"),
        times(ratio(&raw, &fresh)),
        wanted,
        format!("{} against {}", told(&fresh), told(&raw)),
    );
    table.row(
        format!("{name}, the same rows again: speed against fresh ones"),
        times(ratio(&fresh, &again)),
        "≥ 1",
        format!("{}; {rewritten} rows written again", told(&again)),
    );
    Ok(())
}

/// Writes them in commits of a month.
pub(crate) async fn write(store: &SqlStore, days: i64) -> anyhow::Result<(Duration, Applied)> {
    let mut took = Duration::ZERO;
    let mut all = Applied::default();
    for month in candles::months(days)? {
        let commit = candles::commit(world::asset()?, month, candles::all(month)?)?;
        let started = Instant::now();
        let applied = store.apply(commit).await?;
        took += started.elapsed();
        all.new += applied.new;
        all.changed += applied.changed;
        all.unchanged += applied.unchanged;
    }
    Ok((took, all))
}

/// How many rows have been updated, deleted or are dead so far, as the database counts; closes the
/// store, for its connections tell at their end.
async fn written_again(database: &TestDatabase, backend: Backend, store: SqlStore) -> anyhow::Result<i64> {
    store.close().await;
    if backend == Backend::Sqlite {
        return Ok(0);
    }
    // The counters of a connection that ended are there a moment later.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let counted = database
        .query(
            "SELECT n_dead_tup + n_tup_upd + n_tup_del AS n FROM pg_stat_user_tables
            WHERE schemaname = current_schema() AND relname = 'spot_ohlcv'",
        )
        .await;
    Ok(counted.first().map_or(Ok(0), |row| row.try_get("", "n"))?)
}
