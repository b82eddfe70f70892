//! A small program written against the ports, and its tests with mocked ones.
//!
//! The program answers one question: how stale is what is stored of an asset? To run it:
//! `cargo run -p ohlcv-ports --example mocked_ports`. Mocks are for "was asked exactly this"; where
//! behaviour matters, take the fakes of feature `testing`, as `main` does.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Commit, Grid, Interval, TimeRange};
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, StoreError, Take};

/// How long ago the newest stored candle ended; none if nothing is stored.
async fn staleness(
    store: &dyn CandleStore,
    clock: &dyn Clock,
    asset: Asset,
    grid: Grid,
) -> Result<Option<Duration>, StoreError> {
    let newest = store.page(asset, TimeRange::ALL, Take::Newest, 1).await?;
    Ok(newest.first().map(|candle| clock.now().since(grid.next(candle.open_time()))))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (btc, grid) = ("BTC".parse()?, Grid::new(Interval::H12));
    let day = TimeRange::new("2024-11-01T00:00:00Z".parse()?, "2024-11-02T00:00:00Z".parse()?)?;
    let slots = grid.slots_in(day);
    let price = "69500.12".parse()?;
    let candles = slots.iter().map(|open_time| Candle::flat(open_time, price)).collect();

    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new("2024-11-02T01:30:00Z".parse()?));
    let store = MemoryStore::new();
    store.apply(Commit::new(btc, slots, candles, Vec::new(), clock.now())?).await?;
    println!("{btc} is stale by {:?}", staleness(&store, &*clock, btc, grid).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use ohlcv_ports::{MockCandleStore, MockClock};

    use super::*;

    #[tokio::test]
    async fn only_the_newest_candle_is_asked_for() {
        let btc: Asset = "BTC".parse().unwrap();
        let mut store = MockCandleStore::new();
        store
            .expect_page()
            .withf(move |asset, range, take, limit| {
                (*asset, *range, *take, *limit) == (btc, TimeRange::ALL, Take::Newest, 1)
            })
            .once()
            .returning(|_, _, _, _| {
                Ok(vec![Candle::flat("2024-11-01T12:00:00Z".parse().unwrap(), "1".parse().unwrap())])
            });
        let mut clock = MockClock::new();
        clock.expect_now().return_const("2024-11-02T01:30:00Z".parse::<ohlcv_domain::Timestamp>().unwrap());

        let stale = staleness(&store, &clock, btc, Grid::new(Interval::H12)).await.unwrap();
        assert_eq!(stale, Some(Duration::from_secs(90 * 60)));
    }

    #[tokio::test]
    async fn a_store_that_fails_is_reported() {
        let mut store = MockCandleStore::new();
        store.expect_page().returning(|_, _, _, _| {
            Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None })
        });
        let clock = MockClock::new(); // is not asked at all
        let stale = staleness(&store, &clock, "BTC".parse().unwrap(), Grid::new(Interval::H12)).await;
        assert!(matches!(stale, Err(StoreError::Unavailable { .. })));
    }
}
