//! The data set: the same candles in every run, one in a hundred missing where holes are wanted.

use std::num::NonZeroU32;

use async_trait::async_trait;
use ohlcv_adapters::SystemClock;
use ohlcv_domain::{
    Asset, Candle, Cause, Commit, Finding, Grid, Interval, Ohlc, Price, SlotRange, TimeRange, Timestamp,
    TradeDetails, Volume, gaps,
};
use ohlcv_ports::{CandleSource, Clock, SourceError, SourcePage};

/// Where the series of half-days begins: 2022-11-08.
const HALF_DAYS_FROM_MILLIS: i64 = 1_667_865_600_000;
/// Where the series of minutes begins: 2024-01-01.
const MINUTES_FROM_MILLIS: i64 = 1_704_067_200_000;
pub(crate) const DAY_MILLIS: i64 = 86_400_000;
/// Two years.
pub(crate) const HALF_DAYS: i64 = 1_460;
/// Slots of a commit of one-minute candles: a month.
pub(crate) const MONTH_MINUTES: i64 = 30 * 1_440;
const EMPTY_PER_THOUSAND: u64 = 10;
/// How many rows one answer of Binance holds.
const PAGE_ROWS_MAX: NonZeroU32 = NonZeroU32::MIN.saturating_add(999);
/// About when writes of the benchmark say they were made: 2026-01-01.
const OBSERVED_MILLIS: i64 = 1_767_225_600_000;

/// Numbers that look random and are the same in every run.
pub(crate) fn scrambled(seed: u64) -> u64 {
    let mut bits = seed.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits ^ (bits >> 31)
}

/// A candle with all that the exchange tells of one, different in each slot. Another `turn` is
/// another candle.
pub(crate) fn candle(open_time: Timestamp, turn: u64) -> anyhow::Result<Candle> {
    let luck = scrambled(open_time.millis().unsigned_abs());
    let level = 6_800_000_000_000 + luck % 90_000_000_000;
    // Whole cents, as the exchange quotes them.
    let price = |offset: u64| Price::from_units(u128::from((level / 1_000_000 + offset) * 1_000_000));
    let amount = |units: u64| Volume::from_units(u128::from(units));
    let volume = 100_000 + luck % 3_000_000_000 + turn;
    let prices = Ohlc { open: price(100)?, high: price(4_000)?, low: price(0)?, close: price(200)? };
    Ok(Candle::new(open_time, prices, amount(volume)?)?.with_details(TradeDetails {
        quote_volume: amount(volume / 1_000 * 68_000_123)?,
        trades: u32::try_from(luck % 9_000)?,
        taker_buy_volume: amount(volume / 2)?,
        taker_buy_quote_volume: amount(volume / 2_000 * 68_000_123)?,
    }))
}

pub(crate) fn slots(interval: Interval, from_millis: i64, count: i64) -> anyhow::Result<SlotRange> {
    let grid = Grid::new(interval);
    let from = Timestamp::from_millis(from_millis)?;
    Ok(SlotRange::new(grid, from, grid.step(from, count))?)
}

/// Two years of half-days.
pub(crate) fn half_days() -> anyhow::Result<SlotRange> {
    slots(Interval::H12, HALF_DAYS_FROM_MILLIS, HALF_DAYS)
}

/// So many days of minutes, cut into months.
pub(crate) fn months(days: i64) -> anyhow::Result<Vec<SlotRange>> {
    let minutes = days * 1_440;
    let from = |month: i64| MINUTES_FROM_MILLIS + month * MONTH_MINUTES * 60_000;
    let month = |month| slots(Interval::M1, from(month), MONTH_MINUTES.min(minutes - month * MONTH_MINUTES));
    (0..(minutes + MONTH_MINUTES - 1) / MONTH_MINUTES).map(month).collect()
}

/// All candles of a run of slots.
pub(crate) fn all(slots: SlotRange) -> anyhow::Result<Vec<Candle>> {
    slots.iter().map(|open_time| candle(open_time, 0)).collect()
}

/// The candles of a run of slots that has holes.
pub(crate) fn with_holes(slots: SlotRange) -> anyhow::Result<Vec<Candle>> {
    let is_kept =
        |open_time: &Timestamp| scrambled(!open_time.millis().unsigned_abs()) % 1_000 >= EMPTY_PER_THOUSAND;
    slots.iter().filter(is_kept).map(|open_time| candle(open_time, 0)).collect()
}

/// What writes them.
pub(crate) fn commit(asset: Asset, slots: SlotRange, candles: Vec<Candle>) -> anyhow::Result<Commit> {
    let missing = gaps(slots, candles.iter().map(Candle::open_time)).map(SlotRange::time);
    let empty = |range: TimeRange| Finding { range, cause: Cause::SourceEmpty, detail: String::new() };
    let findings = missing.map(empty).collect();
    let observed_at = Timestamp::from_millis(OBSERVED_MILLIS)?;
    Ok(Commit::new(asset, slots, candles, findings, observed_at)?.with_listing(slots.start()))
}

/// An exchange whose candles cost next to nothing: every asset has all of them since `listed`.
#[derive(Debug)]
pub(crate) struct Plenty {
    pub(crate) listed: Timestamp,
}

#[async_trait]
impl CandleSource for Plenty {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        Ok(SystemClock.now())
    }

    async fn listing(&self, _asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        Ok(Some(Grid::new(interval).floor(self.listed)))
    }

    async fn page(&self, _asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        let rows_max = i64::from(PAGE_ROWS_MAX.get());
        let asked = asked.before(asked.grid().step(asked.start(), rows_max));
        let rows = asked.iter().map(|open_time| candle(open_time, 0).map(Ok)).collect::<Result<_, _>>();
        let impossible =
            |error: anyhow::Error| SourceError::Unavailable { reason: error.to_string(), source: None };
        Ok(SourcePage { rows: rows.map_err(impossible)?, answered_until: asked.end() })
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        PAGE_ROWS_MAX
    }
}
