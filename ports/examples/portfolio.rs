//! A small program written against the ports, and its tests with mocked ones: what is a portfolio worth?
//!
//! To run it: `cargo run -p ohlcv-ports --example portfolio`. Mocks are for "was asked exactly this";
//! where behaviour matters, take the fakes of feature `testing`, as `main` does.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, BigDecimal, Candle, Commit, Grid, Interval, TimeRange, Volume};
use ohlcv_ports::testing::{MemoryStore, PausedClock};
use ohlcv_ports::{CandleStore, Clock, StoreError, Take};

/// Values holdings at the last stored closes, exactly.
struct Valuer {
    store: Arc<dyn CandleStore>,
    clock: Arc<dyn Clock>,
    grid: Grid,
}

/// What holdings are worth, and how old the oldest price behind that is.
#[derive(Debug, PartialEq)]
struct Valuation {
    worth: BigDecimal,
    oldest: Duration,
}

#[derive(Debug, thiserror::Error)]
enum ValuationError {
    #[error("there is no price of {0}: fetch it first")]
    NoPrice(Asset),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Valuer {
    async fn value(&self, holdings: &[(Asset, Volume)]) -> Result<Valuation, ValuationError> {
        let mut all = Valuation { worth: BigDecimal::from(0), oldest: Duration::ZERO };
        for (asset, amount) in holdings {
            let newest = self.store.page(*asset, TimeRange::ALL, Take::Newest, 1).await?;
            let candle = newest.first().ok_or(ValuationError::NoPrice(*asset))?;
            all.worth += amount.to_big_decimal() * candle.close().to_big_decimal();
            let closed = self.grid.next(candle.open_time());
            all.oldest = all.oldest.max(self.clock.now().since(closed));
        }
        Ok(all)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (btc, grid) = ("BTC".parse()?, Grid::new(Interval::H12));
    let day = TimeRange::new("2024-11-01T00:00:00Z".parse()?, "2024-11-02T00:00:00Z".parse()?)?;
    let slots = grid.slots_in(day);
    let price = "69500.12".parse()?;
    let candles = slots.iter().map(|open_time| Candle::flat(open_time, price)).collect();

    let clock: Arc<dyn Clock> = Arc::new(PausedClock::new("2024-11-02T01:30:00Z".parse()?));
    let store = Arc::new(MemoryStore::new());
    store.apply(Commit::new(btc, slots, candles, Vec::new(), clock.now())?).await?;
    let Valuation { worth, oldest } = Valuer { store, clock, grid }.value(&[(btc, "0.5".parse()?)]).await?;
    println!("worth {worth} at prices that are up to {oldest:?} old");
    Ok(())
}

#[cfg(test)]
mod tests {
    use ohlcv_domain::Timestamp;
    use ohlcv_ports::{MockCandleStore, MockClock};

    use super::*;

    fn holdings() -> [(Asset, Volume); 2] {
        [("BTC", "0.00000001"), ("ETH", "32")]
            .map(|(asset, amount)| (asset.parse().unwrap(), amount.parse().unwrap()))
    }

    fn valuer(store: MockCandleStore) -> Valuer {
        let mut clock = MockClock::new();
        let now: Timestamp = "2024-11-02T01:30:00Z".parse().unwrap();
        clock.expect_now().return_const(now);
        Valuer { store: Arc::new(store), clock: Arc::new(clock), grid: Grid::new(Interval::H12) }
    }

    fn candle(open_time: &str, price: &str) -> Candle {
        Candle::flat(open_time.parse().unwrap(), price.parse().unwrap())
    }

    #[tokio::test]
    async fn each_asset_is_asked_for_its_newest_candle_and_nothing_is_rounded() {
        let mut store = MockCandleStore::new();
        for ((asset, _), (open_time, close)) in holdings()
            .into_iter()
            .zip([("2024-11-01T12:00:00Z", "69500.12345678"), ("2024-11-01T00:00:00Z", "2500")])
        {
            store
                .expect_page()
                .withf(move |asked, range, take, limit| {
                    (*asked, *range, *take, *limit) == (asset, TimeRange::ALL, Take::Newest, 1)
                })
                .once()
                .returning(move |_, _, _, _| Ok(vec![candle(open_time, close)]));
        }
        let Valuation { worth, oldest } = valuer(store).value(&holdings()).await.unwrap();
        let exact: BigDecimal = "80000.0006950012345678".parse().unwrap();
        assert_eq!(worth, exact);
        assert_eq!(oldest, Duration::from_secs(13 * 60 * 60 + 30 * 60), "that of ETH, which closed at noon");
    }

    #[tokio::test]
    async fn an_asset_without_a_price_is_named_and_not_taken_for_nothing() {
        let mut store = MockCandleStore::new();
        store.expect_page().once().returning(|_, _, _, _| Ok(Vec::new()));
        let error = valuer(store).value(&holdings()).await.unwrap_err();
        assert_eq!(error.to_string(), "there is no price of BTC: fetch it first");
    }

    #[tokio::test]
    async fn a_store_that_fails_is_asked_once_and_reported() {
        let mut store = MockCandleStore::new();
        store.expect_page().once().returning(|_, _, _, _| {
            Err(StoreError::Unavailable { reason: "no connection".to_owned(), source: None })
        });
        let error = valuer(store).value(&holdings()).await.unwrap_err();
        assert!(matches!(error, ValuationError::Store(StoreError::Unavailable { .. })), "{error}");
    }
}
