//! A source of your own, held to the contract of all sources: candles out of a table of text.
//!
//! To run it: `cargo run -p ohlcv-ports --example own_source`. The contract is one line at the end;
//! `cargo test -p ohlcv-ports --example own_source` runs its cases.

use std::error::Error;
use std::num::NonZeroU32;
use std::sync::Arc;

use async_trait::async_trait;
use ohlcv_domain::{Asset, Candle, Interval, Ohlc, SlotRange, Timestamp};
use ohlcv_ports::testing::PausedClock;
use ohlcv_ports::{CandleSource, Clock, SourceError, SourcePage};

/// How many slots one answer is about at most.
const PAGE_SLOTS_MAX: NonZeroU32 = NonZeroU32::new(500).unwrap();

/// The candles of one asset and interval, in memory, ascending.
#[derive(Debug)]
struct Table {
    asset: Asset,
    interval: Interval,
    candles: Vec<Candle>,
    clock: Arc<dyn Clock>,
}

impl Table {
    fn known(&self, asset: Asset) -> Result<(), SourceError> {
        if asset == self.asset {
            Ok(())
        } else {
            Err(SourceError::UnknownAsset { symbol: asset.to_string() })
        }
    }
}

#[async_trait]
impl CandleSource for Table {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        Ok(self.clock.now())
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        self.known(asset)?;
        let first = self.candles.first().filter(|_| interval == self.interval);
        Ok(first.map(Candle::open_time))
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        self.known(asset)?;
        if asked.grid().interval() != self.interval {
            let reason = format!("this table has {} candles alone", self.interval);
            return Err(SourceError::Refused { reason });
        }
        // Of more than one answer holds, the oldest part is answered.
        let answered = self.page_within(asked);
        let wanted = self.candles.iter().filter(|candle| answered.time().contains(candle.open_time()));
        Ok(SourcePage { rows: wanted.copied().map(Ok).collect(), answered_until: answered.end() })
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        PAGE_SLOTS_MAX
    }
}

/// A line is an open time, four prices and a volume.
fn read(line: &str) -> Result<Candle, Box<dyn Error>> {
    let fields: Vec<&str> = line.split(' ').collect();
    let [time, open, high, low, close, volume] = fields[..] else { return Err(line.into()) };
    let prices = Ohlc { open: open.parse()?, high: high.parse()?, low: low.parse()?, close: close.parse()? };
    Ok(Candle::new(time.parse()?, prices, volume.parse()?)?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let text = "2024-11-01T00:00:00Z 69500.12 69812.00 69480.00 69777.01 812.34567";
    let candles = text.lines().map(read).collect::<Result<Vec<_>, _>>()?;
    let clock = Arc::new(PausedClock::new("2024-11-01T13:00:00Z".parse()?));
    let table = Table { asset: "BTC".parse()?, interval: Interval::H12, candles, clock };
    println!("the first candle opened at {:?}", table.listing(table.asset, table.interval).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use ohlcv_domain::Grid;
    use ohlcv_ports::testing::candle_source_contract::SourceFixture;

    use super::*;

    /// Three answers' worth of minutes, one missing in each hundred, the last one open.
    async fn table() -> (SourceFixture, impl Sized) {
        let (asset, interval) = ("BTC".parse().unwrap(), Interval::M1);
        let (grid, first) = (Grid::new(interval), "2024-11-01T00:00:00Z".parse().unwrap());
        let opened = |n: i64| grid.step(first, n);
        let with_candle = (0..1_200).filter(|n| n % 100 != 50);
        let line = |n: i64| format!("{} 10.5 12 10 11.{n:04} 3.00000001", opened(n));
        let candles: Vec<Candle> = with_candle.map(|n| read(&line(n)).unwrap()).collect();
        let now = opened(1_199).saturating_add(interval.longest() / 2);
        let clock = Arc::new(PausedClock::new(now));
        let source = Arc::new(Table { asset, interval, candles: candles.clone(), clock });
        let unknown = "NOPE".parse().unwrap();
        (SourceFixture { source, now, asset, unknown, interval, candles }, ())
    }

    ohlcv_ports::candle_source_contract!(table);
}
