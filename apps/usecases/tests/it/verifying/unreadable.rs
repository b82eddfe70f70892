//! A row that is no candle at all spoils the look at no other.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{Applied, Asset, Breaks, Candle, Change, Commit, TimeRange, Timestamp};
use ohlcv_ports::testing::MemoryStore;
use ohlcv_ports::{CandleStore, StoreError, Take};
use ohlcv_usecases::{FaultKind, Outcome};

use super::{counts, verify_through};
use crate::world::{World, at, btc, candle, half_days, other_candle};

/// A store in which some rows are no candles: a read of any of them fails as a whole, as in a
/// database.
#[derive(Debug)]
struct Spoilt {
    inner: Arc<MemoryStore>,
    rows: BTreeSet<Timestamp>,
}

impl Spoilt {
    fn check(&self, range: TimeRange) -> Result<(), StoreError> {
        match self.rows.range(range.start()..range.end()).next() {
            Some(row) => Err(StoreError::Corrupt { reason: format!("row of {row}: low above high") }),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl CandleStore for Spoilt {
    async fn apply(&self, commit: Commit) -> Result<Applied, StoreError> {
        if let (Some(first), Some(last)) = (commit.candles().first(), commit.candles().last()) {
            let read = TimeRange::new(first.open_time(), last.open_time()).unwrap();
            self.check(read)?;
        }
        self.inner.apply(commit).await
    }

    async fn page(
        &self,
        asset: Asset,
        range: TimeRange,
        take: Take,
        limit: u64,
    ) -> Result<Vec<Candle>, StoreError> {
        self.check(range)?;
        self.inner.page(asset, range, take, limit).await
    }

    async fn breaks(&self, asset: Asset, range: TimeRange, longest: Duration) -> Result<Breaks, StoreError> {
        self.inner.breaks(asset, range, longest).await
    }

    async fn changes(&self, asset: Asset, seq: u64, limit: u64) -> Result<Vec<Change>, StoreError> {
        self.inner.changes(asset, seq, limit).await
    }

    async fn ready(&self) -> Result<(), StoreError> {
        self.inner.ready().await
    }
}

async fn spoilt(world: &World, rows: &[&str]) -> Arc<dyn CandleStore> {
    world.backfill(300).await;
    let rows: BTreeSet<Timestamp> = rows.iter().map(|row| at(row)).collect();
    Arc::new(Spoilt { inner: Arc::clone(&world.store), rows })
}

#[tokio::test(start_paused = true)]
async fn each_of_them_is_found_alone_and_the_others_are_compared() {
    let world = World::of_btc();
    let rows = ["2024-03-01", "2024-03-01T12:00", "2024-11-06"];
    let store = spoilt(&world, &rows).await;
    world.store.put_row(btc(), other_candle(at("2024-03-02")));
    let found = verify_through(&world, store, false).await;
    assert!(matches!(found.outcome, Outcome::Done), "{found:?}");
    assert_eq!(counts(&found), [(FaultKind::Differs, 1), (FaultKind::Impossible, 3)]);
    let told = found.faults.kept().iter().filter(|fault| fault.kind == FaultKind::Impossible);
    let told: Vec<_> = told.map(|fault| (fault.range.start(), fault.detail.clone())).collect();
    let expected = rows.map(|row| (at(row), format!("row of {}: low above high", at(row))));
    assert_eq!(told, expected);
    assert_eq!(found.digests.iter().map(|month| month.candles).sum::<u64>(), 600 - 3);
}

#[tokio::test(start_paused = true)]
async fn a_repair_mends_what_lies_around_them() {
    let world = World::of_btc();
    let store = spoilt(&world, &["2024-03-01"]).await;
    for open_time in ["2024-02-28", "2024-03-02"] {
        world.store.put_row(btc(), other_candle(at(open_time)));
    }
    let found = verify_through(&world, store, true).await;
    assert_eq!(counts(&found), [(FaultKind::Differs, 2), (FaultKind::Impossible, 1)]);
    assert_eq!(found.faults.total().mended, 2);
    let mended = half_days("2024-02-28", "2024-02-28T12:00").iter().map(candle).collect::<Vec<_>>();
    assert!(world.rows("BTC").await.contains(&mended[0]));
}
