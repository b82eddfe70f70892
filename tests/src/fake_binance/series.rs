//! One series as the exchange shows it now: what is visible, and which rows a request selects.

use std::time::Duration;

use ohlcv_domain::{Asset, Candle, Grid, Price, SlotRange, TimeRange, Timestamp, TradeDetails, Volume};
use ohlcv_ports::{CandleSource, SourceError};

use super::query::KlinesQuery;

/// How far ahead of now a bound may lie; later ones are moved to there.
const AHEAD_MAX: Duration = Duration::from_secs(10);
/// 2017-01-01T00:00:00Z: earlier bounds are moved to there.
const EARLIEST_MILLIS: i64 = 1_483_228_800_000;
/// A request that needs more windows than this is answered with an error, not served slowly.
const WINDOWS_MAX: usize = 10_000;
/// How many answers of the source may make up one window.
const ANSWERS_PER_WINDOW_MAX: usize = 1_000;

/// How the exchange's own data lag behind its clock.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lag {
    /// A row is missing for that long after its open, and again after its close.
    pub(crate) missing: Duration,
    /// Rows are those of that long ago: one that has just closed still shows unfinished numbers.
    pub(crate) stale: Duration,
}

/// The candles of one market and interval at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Series<'a> {
    source: &'a dyn CandleSource,
    asset: Asset,
    grid: Grid,
    listing: Timestamp,
    /// The moment whose state is shown: now, or a little earlier where data are stale.
    seen_at: Timestamp,
    missing: Duration,
    delisted: Option<Timestamp>,
    /// Grows with every request: how much more has been traded in the open candle.
    tick: u64,
}

impl<'a> Series<'a> {
    /// The series, unless the market has none yet.
    pub(crate) async fn open(
        source: &'a dyn CandleSource,
        asset: Asset,
        query: &KlinesQuery,
        (now, lag): (Timestamp, Lag),
        delisted: Option<Timestamp>,
        tick: u64,
    ) -> Result<Option<Self>, SourceError> {
        let listing = source.listing(asset, query.interval).await?;
        Ok(listing.map(|listing| Self {
            source,
            asset,
            grid: Grid::from_first(query.interval, listing),
            listing,
            seen_at: now.saturating_sub(lag.stale),
            missing: lag.missing,
            delisted,
            tick,
        }))
    }

    pub(crate) fn grid(&self) -> Grid {
        self.grid
    }

    /// The rows that a request selects, ascending: the newest ones if only `endTime` or nothing
    /// bounds it, else the oldest ones.
    pub(crate) async fn select(
        &self,
        query: &KlinesQuery,
        now: Timestamp,
    ) -> Result<Vec<Candle>, SourceError> {
        if let (Some(start), Some(end)) = (query.start_millis, query.end_millis)
            && start > end
        {
            return Ok(Vec::new());
        }
        let latest = now.saturating_add(AHEAD_MAX).millis();
        let clamped = |bound: i64| {
            Timestamp::from_millis(bound.clamp(EARLIEST_MILLIS.min(latest), latest)).unwrap_or(Timestamp::MAX)
        };
        let until = query.end_millis.map_or(Timestamp::MAX, clamped).min(self.seen_at);
        match query.start_millis.map(clamped) {
            Some(from) => self.oldest(from, until, query.limit).await,
            None => self.newest(until, query.limit).await,
        }
    }

    /// At most `limit` candles that open in `from..=until`, beginning with the first.
    async fn oldest(
        &self,
        from: Timestamp,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<Candle>, SourceError> {
        let mut left = self.slots(from.max(self.listing), until);
        let mut rows = Vec::new();
        // A first window of exactly `limit` slots suffices unless there are holes in it.
        let mut slots = self.page_slots().min(i64::try_from(limit).unwrap_or(i64::MAX));
        for _ in 0..WINDOWS_MAX {
            if left.is_empty() || rows.len() >= limit {
                rows.truncate(limit);
                return Ok(rows);
            }
            let border = self.grid.step(left.start(), slots);
            let wanted = |candle: &Candle| from <= candle.open_time() && candle.open_time() <= until;
            rows.extend(self.visible(left.before(border)).await?.into_iter().filter(wanted));
            left = left.from(border);
            slots = self.page_slots();
        }
        Err(too_far())
    }

    /// At most `limit` candles that open up to `until`, ending with the last.
    async fn newest(&self, until: Timestamp, limit: usize) -> Result<Vec<Candle>, SourceError> {
        let mut left = self.slots(self.listing, until);
        // Windows as they were read, the latest first.
        let mut windows: Vec<Vec<Candle>> = Vec::new();
        let mut count = 0;
        let mut slots = self.page_slots().min(i64::try_from(limit).unwrap_or(i64::MAX));
        for _ in 0..WINDOWS_MAX {
            if left.is_empty() || count >= limit {
                let rows: Vec<Candle> = windows.into_iter().rev().flatten().collect();
                return Ok(rows[rows.len().saturating_sub(limit)..].to_vec());
            }
            let border = self.grid.step(left.end(), -slots);
            let mut window = self.visible(left.from(border)).await?;
            window.retain(|candle| candle.open_time() <= until);
            count += window.len();
            windows.push(window);
            left = left.before(border);
            slots = self.page_slots();
        }
        Err(too_far())
    }

    /// The slots that hold everything that opens in `from..=until`, rows off the grid included.
    fn slots(&self, from: Timestamp, until: Timestamp) -> SlotRange {
        let start = self.grid.floor(from);
        let end = self.grid.next(until).max(start);
        SlotRange::new(self.grid, start, end).expect("floor and next lie on the grid")
    }

    fn page_slots(&self) -> i64 {
        i64::from(self.source.page_slots_max().get())
    }

    /// The candles of a window as they are shown now.
    async fn visible(&self, window: SlotRange) -> Result<Vec<Candle>, SourceError> {
        let mut candles = self.read(window).await?;
        let open_slot = self.grid.floor(self.seen_at);
        if window.time().contains(open_slot) && self.delisted.is_none_or(|end| self.seen_at < end) {
            self.show_open_candle(&mut candles, open_slot).await?;
        }
        candles.retain(|candle| self.is_visible(candle.open_time(), open_slot));
        Ok(candles)
    }

    fn is_visible(&self, open_time: Timestamp, open_slot: Timestamp) -> bool {
        let since = if open_time >= open_slot { open_time } else { self.grid.next(open_time) };
        since.saturating_add(self.missing) <= self.seen_at
            && self.delisted.is_none_or(|delisted| open_time < delisted)
    }

    /// Makes the candle of the slot that is not over look unfinished: what the source has for it
    /// with half of what will be traded, or, where it has none, a flat one at the last close.
    async fn show_open_candle(
        &self,
        candles: &mut Vec<Candle>,
        open_slot: Timestamp,
    ) -> Result<(), SourceError> {
        if let Some(candle) = candles.iter_mut().rfind(|candle| candle.open_time() == open_slot) {
            *candle = unfinished(candle, self.tick);
            return Ok(());
        }
        let previous = self.grid.step(open_slot, -1);
        let last = self.read(self.slots(previous, previous)).await?.pop();
        // Right after a hole nobody knows whether trading goes on.
        if let Some(last) = last {
            candles.retain(|candle| candle.open_time() < open_slot);
            candles.push(just_opened(open_slot, last.close(), self.tick));
        }
        Ok(())
    }

    /// All candles that the source has in a window. Rows that are no candles are left out: faults
    /// make those.
    async fn read(&self, window: SlotRange) -> Result<Vec<Candle>, SourceError> {
        let mut candles = Vec::new();
        let mut left = window;
        for _ in 0..ANSWERS_PER_WINDOW_MAX {
            if left.is_empty() {
                return Ok(candles);
            }
            let page = self.source.page(self.asset, left).await?;
            let whole = TimeRange::new(left.start(), page.answered_until.min(left.end()).max(left.start()))
                .expect("the end is at least the start");
            let answered = |candle: &Candle| whole.contains(candle.open_time());
            candles.extend(page.rows.into_iter().filter_map(Result::ok).filter(answered));
            left = left.from(page.answered_until);
        }
        Err(too_far())
    }
}

fn too_far() -> SourceError {
    SourceError::Unavailable {
        reason: format!("the fake exchange reads at most {WINDOWS_MAX} windows for a request"),
        source: None,
    }
}

fn halved<const WHOLE: u32>(amount: ohlcv_domain::Decimal<WHOLE>) -> ohlcv_domain::Decimal<WHOLE> {
    ohlcv_domain::Decimal::from_units(amount.units() / 2).expect("half of what fits fits")
}

fn unfinished(candle: &Candle, tick: u64) -> Candle {
    let volume = halved(candle.volume()).units().saturating_add(u128::from(tick));
    let volume = Volume::from_units(volume).unwrap_or(Volume::MAX);
    let shown =
        Candle::new(candle.open_time(), candle.prices(), volume).expect("the prices made a candle before");
    match candle.details() {
        None => shown,
        Some(details) => shown.with_details(TradeDetails {
            quote_volume: halved(details.quote_volume),
            trades: details.trades / 2,
            taker_buy_volume: halved(details.taker_buy_volume),
            taker_buy_quote_volume: halved(details.taker_buy_quote_volume),
        }),
    }
}

fn just_opened(open_time: Timestamp, price: Price, tick: u64) -> Candle {
    let flat = Candle::flat(open_time, price);
    let volume = Volume::from_units(u128::from(tick)).expect("a count of requests fits");
    let trades = u32::try_from(tick).unwrap_or(u32::MAX);
    Candle::new(open_time, flat.prices(), volume)
        .expect("equal prices make a candle")
        .with_details(TradeDetails { trades, ..TradeDetails::default() })
}
