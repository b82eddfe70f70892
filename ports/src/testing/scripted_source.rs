//! An exchange that has the candles it was given.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use ohlcv_domain::{Asset, Candle, Interval, SlotRange, TimeRange, Timestamp};

use crate::{CandleSource, Clock, SourceError, SourcePage};

/// How many slots an answer holds unless it is set: as many as Binance's.
const PAGE_SLOTS_MAX: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// A [`CandleSource`] over candles that a test gives it, with a log of what it was asked and
/// failures on demand.
///
/// It knows the assets that it was ever given candles of (none are candles, too) and has whatever
/// lies in the range that is asked for, off the grid and not yet closed included. Everything can
/// be changed while others use it.
pub struct ScriptedSource {
    clock: Arc<dyn Clock>,
    script: Mutex<Script>,
}

/// What a [`ScriptedSource`] was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The exchange's time.
    ServerTime,
    /// When the asset's first candle opened.
    Listing(Asset),
    /// The candles of a range.
    Page(Asset, SlotRange),
}

type Failure = Arc<dyn Fn() -> SourceError + Send + Sync>;
type Tamper = Arc<dyn Fn(SourcePage) -> SourcePage + Send + Sync>;

struct Script {
    series: BTreeMap<Asset, BTreeMap<Interval, BTreeMap<Timestamp, Candle>>>,
    offset_millis: i64,
    page_slots_max: NonZeroU32,
    calls: Vec<Call>,
    next_calls: Option<(usize, Failure)>,
    next_pages: Option<(usize, Failure)>,
    assets: BTreeMap<Asset, Failure>,
    tamper: Option<Tamper>,
}

impl ScriptedSource {
    /// An exchange that knows no asset yet; its time is that of `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let script = Script {
            series: BTreeMap::new(),
            offset_millis: 0,
            page_slots_max: PAGE_SLOTS_MAX,
            calls: Vec::new(),
            next_calls: None,
            next_pages: None,
            assets: BTreeMap::new(),
            tamper: None,
        };
        Self { clock, script: Mutex::new(script) }
    }

    /// The same exchange with these candles as well, see [`ScriptedSource::add`].
    #[must_use]
    pub fn with_candles(self, asset: Asset, interval: Interval, candles: Vec<Candle>) -> Self {
        self.add(asset, interval, candles);
        self
    }

    /// Adds candles, in any order; one with an open time it has already replaces that one. No
    /// candles at all make the asset known.
    pub fn add(&self, asset: Asset, interval: Interval, candles: impl IntoIterator<Item = Candle>) {
        let mut script = self.script();
        let series = script.series.entry(asset).or_default().entry(interval).or_default();
        series.extend(candles.into_iter().map(|candle| (candle.open_time(), candle)));
    }

    /// Takes the candles that open in `range` away; the asset stays known.
    pub fn remove(&self, asset: Asset, interval: Interval, range: TimeRange) {
        let mut script = self.script();
        if let Some(series) = script.series.get_mut(&asset).and_then(|series| series.get_mut(&interval)) {
            series.retain(|open_time, _| !range.contains(*open_time));
        }
    }

    /// Puts the exchange's time that much ahead of the clock or, negative, behind it.
    pub fn set_offset_millis(&self, millis: i64) {
        self.script().offset_millis = millis;
    }

    /// How many slots one answer holds from now on.
    pub fn set_page_slots_max(&self, slots_max: NonZeroU32) {
        self.script().page_slots_max = slots_max;
    }

    /// What it was asked so far, failed calls included, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.script().calls.clone()
    }

    /// Forgets what it was asked.
    pub fn clear_calls(&self) {
        self.script().calls.clear();
    }

    /// Lets the next `calls` calls fail, whatever they ask.
    pub fn fail_next(&self, calls: usize, error: impl Fn() -> SourceError + Send + Sync + 'static) {
        self.script().next_calls = Some((calls, Arc::new(error)));
    }

    /// Lets the next `pages` pages fail, of any asset.
    pub fn fail_next_pages(&self, pages: usize, error: impl Fn() -> SourceError + Send + Sync + 'static) {
        self.script().next_pages = Some((pages, Arc::new(error)));
    }

    /// Lets everything about one asset fail until [`ScriptedSource::recover`].
    pub fn fail_asset(&self, asset: Asset, error: impl Fn() -> SourceError + Send + Sync + 'static) {
        self.script().assets.insert(asset, Arc::new(error));
    }

    /// Ends all failures and all tampering.
    pub fn recover(&self) {
        let mut script = self.script();
        script.next_calls = None;
        script.next_pages = None;
        script.assets.clear();
        script.tamper = None;
    }

    /// Changes every page on its way out, until [`ScriptedSource::recover`]: rows off the grid, in
    /// disorder, rejected, missing. It may use the source and its clock.
    pub fn tamper(&self, tamper: impl Fn(SourcePage) -> SourcePage + Send + Sync + 'static) {
        self.script().tamper = Some(Arc::new(tamper));
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ScriptedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScriptedSource").field("clock", &self.clock).finish_non_exhaustive()
    }
}

#[async_trait]
impl CandleSource for ScriptedSource {
    async fn server_time(&self) -> Result<Timestamp, SourceError> {
        let mut script = self.script();
        script.admit(Call::ServerTime)?;
        let millis = self.clock.now().millis().saturating_add(script.offset_millis);
        let bounded = millis.clamp(Timestamp::MIN.millis(), Timestamp::MAX.millis());
        Ok(Timestamp::from_millis(bounded).unwrap_or(Timestamp::MAX))
    }

    async fn listing(&self, asset: Asset, interval: Interval) -> Result<Option<Timestamp>, SourceError> {
        let mut script = self.script();
        script.admit(Call::Listing(asset))?;
        let first = script.series_of(asset)?.get(&interval).and_then(BTreeMap::first_key_value);
        Ok(first.map(|(open_time, _)| *open_time))
    }

    async fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        let (page, tamper) = {
            let mut script = self.script();
            script.admit(Call::Page(asset, asked))?;
            (script.page(asset, asked)?, script.tamper.clone())
        };
        Ok(match tamper {
            Some(tamper) => tamper(page),
            None => page,
        })
    }

    fn page_slots_max(&self) -> NonZeroU32 {
        self.script().page_slots_max
    }
}

impl Script {
    /// Notes a call and fails it if that was ordered.
    fn admit(&mut self, call: Call) -> Result<(), SourceError> {
        self.calls.push(call);
        take_failure(&mut self.next_calls)?;
        let asset = match call {
            Call::ServerTime => return Ok(()),
            Call::Listing(asset) => asset,
            Call::Page(asset, _) => {
                take_failure(&mut self.next_pages)?;
                asset
            }
        };
        self.assets.get(&asset).map_or(Ok(()), |failure| Err(failure()))
    }

    fn series_of(
        &self,
        asset: Asset,
    ) -> Result<&BTreeMap<Interval, BTreeMap<Timestamp, Candle>>, SourceError> {
        self.series.get(&asset).ok_or_else(|| SourceError::UnknownAsset { symbol: asset.to_string() })
    }

    fn page(&self, asset: Asset, asked: SlotRange) -> Result<SourcePage, SourceError> {
        let whole = SourcePage { rows: Vec::new(), answered_until: asked.end() };
        let Some(series) = self.series_of(asset)?.get(&asked.grid().interval()) else { return Ok(whole) };
        let rows_max = usize::try_from(self.page_slots_max.get()).unwrap_or(usize::MAX);
        let mut candles = series.range(asked.start()..asked.end());
        let rows = candles.by_ref().take(rows_max).map(|(_, candle)| Ok(*candle)).collect();
        // The first candle that did not fit is where the answer stops being whole.
        let answered_until = candles.next().map_or(asked.end(), |(open_time, _)| *open_time);
        Ok(SourcePage { rows, answered_until })
    }
}

fn take_failure(ordered: &mut Option<(usize, Failure)>) -> Result<(), SourceError> {
    match ordered {
        Some((left, failure)) if *left > 0 => {
            *left -= 1;
            Err(failure())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ohlcv_domain::Grid;

    use super::*;
    use crate::testing::PausedClock;

    const ORIGIN: &str = "2024-01-01T00:00:00Z";

    fn btc() -> Asset {
        "BTC".parse().unwrap()
    }

    fn slots(count: i64) -> SlotRange {
        let grid = Grid::new(Interval::H12);
        let start: Timestamp = ORIGIN.parse().unwrap();
        SlotRange::new(grid, start, grid.step(start, count)).unwrap()
    }

    fn source(count: i64) -> ScriptedSource {
        let clock = Arc::new(PausedClock::new(ORIGIN.parse().unwrap()));
        let candles = slots(count).iter().map(|open_time| Candle::flat(open_time, "1".parse().unwrap()));
        ScriptedSource::new(clock).with_candles(btc(), Interval::H12, candles.collect())
    }

    fn blocked() -> SourceError {
        SourceError::Blocked { reason: "test".to_owned() }
    }

    #[tokio::test(start_paused = true)]
    async fn ordered_failures_hit_what_they_were_ordered_for_and_are_logged() {
        let source = source(3);
        source.fail_next_pages(1, blocked);
        assert!(source.server_time().await.is_ok());
        assert!(matches!(source.page(btc(), slots(3)).await, Err(SourceError::Blocked { .. })));
        assert_eq!(source.page(btc(), slots(3)).await.unwrap().rows.len(), 3);
        source.fail_next(2, blocked);
        assert!(source.server_time().await.is_err());
        assert!(source.listing(btc(), Interval::H12).await.is_err());
        source.fail_asset(btc(), blocked);
        assert!(source.server_time().await.is_ok());
        assert!(source.listing(btc(), Interval::H12).await.is_err());
        source.recover();
        assert!(source.listing(btc(), Interval::H12).await.is_ok());
        let asked = [
            Call::ServerTime,
            Call::Page(btc(), slots(3)),
            Call::Page(btc(), slots(3)),
            Call::ServerTime,
            Call::Listing(btc()),
            Call::ServerTime,
            Call::Listing(btc()),
            Call::Listing(btc()),
        ];
        assert_eq!(source.calls(), asked);
        source.clear_calls();
        assert_eq!(source.calls(), []);
    }

    #[tokio::test(start_paused = true)]
    async fn candles_come_and_go_while_the_source_is_used() {
        let source = source(3);
        let second = slots(3).from(slots(1).end()).before(slots(2).end());
        source.remove(btc(), Interval::H12, second.time());
        assert_eq!(source.page(btc(), slots(3)).await.unwrap().rows.len(), 2);
        let back = Candle::flat(second.start(), "7".parse().unwrap());
        source.add(btc(), Interval::H12, [back]);
        assert_eq!(source.page(btc(), second).await.unwrap().rows, [Ok(back)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_exchange_time_can_differ_from_the_clock_either_way() {
        let source = source(0);
        let origin: Timestamp = ORIGIN.parse().unwrap();
        source.set_offset_millis(-600_000);
        assert_eq!(source.server_time().await.unwrap(), origin.saturating_sub(Duration::from_secs(600)));
        source.set_offset_millis(600_000);
        assert_eq!(source.server_time().await.unwrap(), origin.saturating_add(Duration::from_secs(600)));
    }

    #[tokio::test(start_paused = true)]
    async fn pages_can_be_tampered_with() {
        let source = source(3);
        source.tamper(|mut page| {
            page.rows.reverse();
            page
        });
        let page = source.page(btc(), slots(3)).await.unwrap();
        assert_eq!(page.rows[0].as_ref().unwrap().open_time(), slots(2).end());
    }

    #[tokio::test(start_paused = true)]
    async fn a_page_of_a_long_series_costs_what_it_holds() {
        let source = source(100_000);
        let tail = slots(100_000).from(slots(99_990).end());
        for _ in 0..1_000 {
            assert_eq!(source.page(btc(), tail).await.unwrap().rows.len(), 10);
        }
    }
}
