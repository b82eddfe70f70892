//! A deterministic market that needs no network.

mod listed;
mod price_path;
#[cfg(test)]
mod tests;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ohlcv_domain::{
    Asset, Candle, DecimalError, Grid, Interval, Ohlc, Price, SlotRange, Timestamp, TradeDetails, Volume,
};
use ohlcv_ports::{CandleSource, Clock, SourceError, SourcePage};

use listed::{LISTED, Listed};
use price_path::{PricePath, scramble};

/// How many rows one answer holds: as many as Binance's.
const PAGE_SLOTS_MAX: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

const HOUR_MILLIS: i64 = 60 * 60 * 1_000;
const DAY_MILLIS: i64 = 24 * HOUR_MILLIS;
/// Maintenance comes round twice in this time: 52 weeks, counted from 1970-01-01.
const MAINTENANCE_CYCLE_MILLIS: i64 = 364 * DAY_MILLIS;
/// The maintenance of each cycle, from and to, counted from its start: a half-day in winter, a day
/// and a half in summer (2026-02-10 12:00 to 24:00, 2026-08-11 00:00 to 2026-08-12 12:00).
const MAINTENANCE: [(i64, i64); 2] = [
    (110 * DAY_MILLIS + 12 * HOUR_MILLIS, 111 * DAY_MILLIS),
    (292 * DAY_MILLIS, 293 * DAY_MILLIS + 12 * HOUR_MILLIS),
];

/// Into how many parts a candle is cut to find its high and low.
const SAMPLES_PER_CANDLE: i64 = 12;
const UNITS_PER_ONE: u128 = 100_000_000;

/// An exchange that is made up: seven assets quoted in one currency, from their real listing days
/// to now, in every interval.
///
/// The same seed gives the same market in every process, and any candle can be computed by itself.
/// Candles obey the rules of the real ones: a candle opens where the one before closed, the open
/// one is a row whose close and volume go with the clock, and nothing lies in the future. Twice in
/// 52 weeks all trading stops for maintenance: slots that lie wholly within it have no candle, and
/// the first one after it has no trade, carrying the last price.
///
/// Opens and closes agree across intervals; highs, lows and amounts are made up for each, so a
/// candle need not be the sum of finer ones.
///
/// ```
/// # #[derive(Debug)] struct Noon;
/// # impl ohlcv_ports::Clock for Noon {
/// #     fn now(&self) -> ohlcv_domain::Timestamp { "2024-11-06T12:00:00Z".parse().unwrap() }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use ohlcv_adapters::simulated::SimulatedMarket;
/// use ohlcv_domain::{Grid, Interval, TimeRange};
/// use ohlcv_ports::CandleSource;
///
/// let market = SimulatedMarket::new(Arc::new(Noon), 1);
/// let day = TimeRange::new("2024-11-01T00:00:00Z".parse()?, "2024-11-02T00:00:00Z".parse()?)?;
/// let page = market.page("BTC".parse()?, Grid::new(Interval::H12).slots_in(day)).await?;
/// assert_eq!(page.rows.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct SimulatedMarket {
    clock: Arc<dyn Clock>,
    seed: u64,
}

impl SimulatedMarket {
    /// The market of a seed, whose time is that of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, seed: u64) -> Self {
        Self { clock, seed }
    }

    fn series(&self, asset: Asset, interval: Interval) -> Result<Series, SourceError> {
        let listed = LISTED
            .iter()
            .find(|listed| listed.name == asset.as_str())
            .ok_or_else(|| SourceError::UnknownAsset { symbol: asset.to_string() })?;
        let listed_at = Timestamp::from_millis(listed.listed_millis).map_err(impossible)?;
        let grid = Grid::from_first(interval, Grid::new(interval).floor(listed_at));
        Ok(Series {
            listed,
            listed_at,
            grid,
            path: PricePath::new(self.seed, listed),
            // Distinct from every key of the path, which counts up from its own.
            amounts: scramble(self.seed ^ scramble(listed.listed_millis.unsigned_abs() ^ u64::MAX)),
            now: self.clock.now(),
        })
    }
}

#[async_trait]
impl CandleSource for SimulatedMarket {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        Ok(self.clock.now())
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        let series = self.series(asset, interval)?;
        let first = series.grid.floor(series.listed_at);
        Ok((series.listed_at <= series.now).then_some(first))
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        let series = self.series(asset, asked.grid().interval())?;
        let rows_max = usize::try_from(PAGE_SLOTS_MAX.get()).unwrap_or(usize::MAX);
        let mut rows = Vec::new();
        for open_time in series.traded(asked).iter() {
            if series.in_maintenance(open_time) {
                continue;
            }
            if rows.len() == rows_max {
                return Ok(SourcePage { rows, answered_until: open_time });
            }
            rows.push(Ok(series.candle(open_time).map_err(impossible)?));
        }
        Ok(SourcePage { rows, answered_until: asked.end() })
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        PAGE_SLOTS_MAX
    }
}

/// One asset's candles of one interval, as they are at one moment.
struct Series {
    listed: &'static Listed,
    listed_at: Timestamp,
    grid: Grid,
    path: PricePath,
    amounts: u64,
    now: Timestamp,
}

impl Series {
    /// The slots of what was asked in which there may be candles: from the listing up to now.
    fn traded(&self, asked: SlotRange) -> SlotRange {
        let first = self.grid.floor(self.listed_at);
        let until = if self.listed_at <= self.now { self.grid.next(self.now) } else { first };
        self.grid.slots_in(asked.time()).from(first).before(until)
    }

    /// Whether a slot lies wholly within maintenance.
    fn in_maintenance(&self, open_time: Timestamp) -> bool {
        maintenance_at(open_time).is_some_and(|(_, end)| self.grid.next(open_time).millis() <= end)
    }

    /// The last price before maintenance, in the slot right after slots that it took.
    fn carried_price(&self, open_time: Timestamp) -> Option<u128> {
        let before = open_time.saturating_sub(Duration::from_millis(1));
        let (start, end) = maintenance_at(before)?;
        let right_after = end == open_time.millis() && self.in_maintenance(self.grid.floor(before));
        right_after.then(|| self.path.units_at(start))
    }

    fn candle(&self, open_time: Timestamp) -> Result<Candle, Impossible> {
        if let Some(units) = self.carried_price(open_time) {
            return Ok(Candle::flat(open_time, Price::from_units(units)?));
        }
        let start = open_time.max(self.listed_at).millis();
        let slot_end = self.grid.next(open_time).millis();
        let end = slot_end.min(self.now.millis()).max(start);
        let (open, close) = (self.path.units_at(start), self.path.units_at(end));
        let (mut low, mut high) = (open.min(close), open.max(close));
        // Samples lie at fixed times, so that those of the open candle stay when it goes on.
        for sample in 1..SAMPLES_PER_CANDLE {
            let at = start + (slot_end - start) * sample / SAMPLES_PER_CANDLE;
            if at < end {
                let price = self.path.units_at(at);
                (low, high) = (low.min(price), high.max(price));
            }
        }
        let prices = Ohlc {
            open: Price::from_units(open)?,
            high: Price::from_units(high)?,
            low: Price::from_units(low)?,
            close: Price::from_units(close)?,
        };
        let luck = scramble(self.amounts ^ scramble(open_time.millis().unsigned_abs()));
        let volume = self.listed.volume_units(end - start, luck);
        let price = (open + close + low + high) / 4;
        let details = self.listed.details(volume, price, luck)?;
        let candle = Candle::new(open_time, prices, Volume::from_units(volume)?)?;
        Ok(candle.with_details(details))
    }
}

impl Listed {
    /// What is traded in that many milliseconds, in 10⁻⁸ of the asset: between half and one and a
    /// half times the usual, whole lots.
    fn volume_units(&self, millis: i64, luck: u64) -> u128 {
        let usual = self.daily_volume * UNITS_PER_ONE * u128::from(millis.unsigned_abs());
        let percent = 50 + u128::from(luck % 101);
        self.whole_lots(usual * percent / 100 / u128::from(DAY_MILLIS.unsigned_abs()))
    }

    fn whole_lots(&self, units: u128) -> u128 {
        units - units % self.lot_units
    }

    fn details(&self, volume: u128, price: u128, luck: u64) -> Result<TradeDetails, Impossible> {
        let quote = |volume: u128| Volume::from_units(volume * price / UNITS_PER_ONE);
        let buyers = self.whole_lots(volume * (45 + u128::from(luck >> 32) % 11) / 100);
        let usual_trade = (self.trade_value * UNITS_PER_ONE * UNITS_PER_ONE / price).max(1);
        let trades = if volume == 0 { 0 } else { volume / usual_trade + 1 };
        Ok(TradeDetails {
            quote_volume: quote(volume)?,
            trades: u32::try_from(trades).unwrap_or(u32::MAX),
            taker_buy_volume: Volume::from_units(buyers)?,
            taker_buy_quote_volume: quote(buyers)?,
        })
    }
}

/// The maintenance that an instant falls into, from and to, in milliseconds since 1970.
fn maintenance_at(at: Timestamp) -> Option<(i64, i64)> {
    let into_cycle = at.millis().rem_euclid(MAINTENANCE_CYCLE_MILLIS);
    let cycle = at.millis() - into_cycle;
    let (start, end) = MAINTENANCE.into_iter().find(|(start, end)| (*start..*end).contains(&into_cycle))?;
    Some((cycle + start, cycle + end))
}

/// Numbers that make no candle: held off by the bounds of the table of assets.
#[derive(Debug, thiserror::Error)]
enum Impossible {
    #[error(transparent)]
    Number(#[from] DecimalError),
    #[error(transparent)]
    Candle(#[from] ohlcv_domain::CandleError),
}

fn impossible(error: impl std::error::Error + Send + Sync + 'static) -> SourceError {
    SourceError::Unavailable {
        reason: format!("the simulated market made something impossible: {error}"),
        source: Some(Box::new(error)),
    }
}
