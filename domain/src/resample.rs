//! Candles of a coarser interval out of those of a finer one.

use std::iter::FusedIterator;

use crate::forward_fill;
use crate::{
    Candle, Grid, Interval, Ohlc, Price, Row, SlotRange, TimeRange, Timestamp, TradeDetails, Volume,
};

/// Two grids, of which the finer one divides the coarser: every slot of the coarser, *derived* one is
/// a whole number of slots of the finer one, the *base*.
///
/// Both are UTC: weeks open on Monday, months are calendar months. Derived three-day candles open where
/// BTCUSDT's do, whatever the asset (see [`Grid::new`]).
///
/// ```
/// use ohlcv_domain::{Interval, Resampling, TimeRange};
///
/// let days = Resampling::new(Interval::H1, Interval::D1)?;
/// assert_eq!(days.slots_per_candle(), 24);
///
/// // An hour that changed changes the day it lies in.
/// let hour = TimeRange::new("2024-11-01T07:00:00Z".parse()?, "2024-11-01T08:00:00Z".parse()?)?;
/// assert_eq!(days.touched_by(hour).start().to_string(), "2024-11-01T00:00:00Z");
/// assert_eq!(days.touched_by(hour).len(), 1);
///
/// let error = Resampling::new(Interval::H8, Interval::H12).unwrap_err();
/// assert_eq!(error.to_string(), "8h candles do not make 12h candles: they make 8h 1d 3d 1w 1M");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Resampling {
    base: Grid,
    derived: Grid,
}

/// An interval whose candles are no whole number of the base's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{base} candles do not make {wanted} candles: they make {}", names(*base))]
pub struct IndivisibleError {
    /// The interval of the candles that there are.
    pub base: Interval,
    /// The interval that was wanted.
    pub wanted: Interval,
}

fn names(base: Interval) -> String {
    base.multiples().map(Interval::as_str).collect::<Vec<_>>().join(" ")
}

/// Amounts or trades of one derived candle that sum up to more than a candle can hold: more than
/// [`Volume::MAX`], or than `u32::MAX` trades. Nothing wraps and nothing is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amounts of the {interval} candle of {open_time} sum up to more than a candle can hold")]
pub struct SumError {
    /// How long the derived candle lasts.
    pub interval: Interval,
    /// When it opens.
    pub open_time: Timestamp,
}

impl Resampling {
    /// Candles of `derived` out of candles of `base`. The two may be the same.
    ///
    /// # Errors
    /// [`IndivisibleError`] unless `base` [divides](Interval::divides) `derived`.
    pub fn new(base: Interval, derived: Interval) -> Result<Self, IndivisibleError> {
        if !base.divides(derived) {
            return Err(IndivisibleError { base, wanted: derived });
        }
        Ok(Self { base: Grid::new(base), derived: Grid::new(derived) })
    }

    /// Where the candles open that there are.
    #[must_use]
    pub const fn base(self) -> Grid {
        self.base
    }

    /// Where the derived candles open.
    #[must_use]
    pub const fn grid(self) -> Grid {
        self.derived
    }

    /// How many base slots a derived slot has at most: 44,640 minutes for a month. At least 1.
    #[must_use]
    pub fn slots_per_candle(self) -> u64 {
        self.base.interval().slots_lasting(self.derived.interval().longest()).max(1)
    }

    /// The derived slots that have a part in a range of time: whose candles may be others once the base
    /// candles of the range are.
    #[must_use]
    pub fn touched_by(self, range: TimeRange) -> SlotRange {
        if range.is_empty() {
            let start = self.derived.ceil(range.start());
            return SlotRange::between(self.derived, start, start);
        }
        SlotRange::between(self.derived, self.derived.floor(range.start()), self.derived.ceil(range.end()))
    }

    /// The derived slots of a series whose first candle opened at `first`, and which is settled up to
    /// `until`, exclusive: from the slot of the first candle to the last one that has ended by `until`.
    ///
    /// Give for `until` what the source has answered about, not what time it is: then a derived candle
    /// appears once, when nothing of its own period is outstanding any more, and from then on changes
    /// with its base candles alone.
    ///
    /// ```
    /// use ohlcv_domain::{Interval, Resampling};
    ///
    /// let days = Resampling::new(Interval::H12, Interval::D1)?;
    /// let closed = days.closed("2024-11-01T12:00:00Z".parse()?, "2024-11-03T12:00:00Z".parse()?);
    /// assert_eq!((closed.start().to_string(), closed.len()), ("2024-11-01T00:00:00Z".to_owned(), 2));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn closed(self, first: Timestamp, until: Timestamp) -> SlotRange {
        SlotRange::between(self.derived, self.derived.floor(first), self.derived.floor(until))
    }
}

/// A candle that was made of finer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DerivedCandle {
    /// The candle.
    pub candle: Candle,
    /// Whether a base candle is there for each base slot of it that is not before the listing. What a
    /// derived candle says that is not complete is right about the base candles that there are.
    pub complete: bool,
}

/// A derived candle for each derived slot that has a base candle.
///
/// The volume, and the rest of the kline if all base candles have it, are sums. Open, high and low are
/// those of the first, of the highest and of the lowest candle, [flat](Candle::is_flat) ones left out,
/// as in the exchange's own candles; close is that of the last one, flat or not. Where there are flat
/// ones alone the result is flat at the last one's price. Should a flat last candle stand at a price
/// beyond the others', high or low is that price, for no candle closes outside of its range.
///
/// `candles` must come slot by slot, ascending or descending, each open time once; those off the base
/// grid are passed over. The first and the last derived slot are made of what comes: give all of their
/// candles. `listing` is when the asset's first candle on the exchange opened; without it every base slot
/// counts for [`DerivedCandle::complete`]. Lazy: one step per candle, no memory.
///
/// # Errors
/// The iterator ends with [`SumError`] at the first derived candle whose amounts do not fit.
///
/// ```
/// use ohlcv_domain::{resample, Candle, Interval, Ohlc, Resampling};
///
/// // BTCUSDT on 24 March 2023: trading stopped, and the candle of 12:00 is flat.
/// let hour = |open_time: &str, [open, high, low, close, volume]: [&str; 5]| -> Result<Candle, Box<dyn std::error::Error>> {
///     let prices = Ohlc { open: open.parse()?, high: high.parse()?, low: low.parse()?, close: close.parse()? };
///     Ok(Candle::new(open_time.parse()?, prices, volume.parse()?)?)
/// };
/// let hours = [
///     hour("2023-03-24T12:00:00Z", ["28080.00", "28080.00", "28080.00", "28080.00", "0"])?,
///     hour("2023-03-24T14:00:00Z", ["28079.99", "28243.74", "27912.31", "28018.44", "8123.5"])?,
/// ];
/// let half_days = resample(Resampling::new(Interval::H1, Interval::H12)?, None, &hours);
/// let half_days = half_days.collect::<Result<Vec<_>, _>>()?;
/// assert_eq!(half_days.len(), 1);
/// assert_eq!(half_days[0].candle.open_time().to_string(), "2023-03-24T12:00:00Z");
/// assert_eq!(half_days[0].candle.open(), "28079.99".parse()?); // not the flat candle's
/// assert!(!half_days[0].complete); // ten hours are missing
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn resample<'a, I>(
    resampling: Resampling,
    listing: Option<Timestamp>,
    candles: I,
) -> Resample<I::IntoIter>
where
    I: IntoIterator<Item = &'a Candle>,
{
    Resample { resampler: Resampler::new(resampling, listing), candles: Some(candles.into_iter()) }
}

/// The iterator behind [`resample`].
#[derive(Clone, Debug)]
pub struct Resample<I> {
    resampler: Resampler,
    // None once it has ended.
    candles: Option<I>,
}

impl<'a, I: Iterator<Item = &'a Candle>> Iterator for Resample<I> {
    type Item = Result<DerivedCandle, SumError>;

    fn next(&mut self) -> Option<Self::Item> {
        for candle in self.candles.as_mut()? {
            match self.resampler.push(candle) {
                Ok(None) => {}
                Ok(Some(made)) => return Some(Ok(made)),
                Err(error) => {
                    self.candles = None;
                    return Some(Err(error));
                }
            }
        }
        self.candles = None;
        self.resampler.finish().map(Ok)
    }
}

impl<'a, I: Iterator<Item = &'a Candle>> FusedIterator for Resample<I> {}

/// [`resample`] for candles that come piece by piece: holds no more than one derived candle.
///
/// ```
/// use ohlcv_domain::{Candle, Interval, Resampler, Resampling, Timestamp};
///
/// let mut minutes = Resampler::new(Resampling::new(Interval::S1, Interval::M1)?, None);
/// let mut made = 0;
/// for second in 0..150 {
///     let candle = Candle::flat(Timestamp::from_millis(second * 1_000)?, "42".parse()?);
///     made += usize::from(minutes.push(&candle)?.is_some());
/// }
/// assert_eq!(made, 2);
/// assert!(minutes.finish().is_some_and(|last| !last.complete)); // of thirty seconds
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resampler {
    resampling: Resampling,
    listing: Option<Timestamp>,
    slot: Option<Slot>,
}

/// What is known of a derived slot. The order of the candles in it does not matter.
#[derive(Clone, Copy, Debug)]
struct Slot {
    time: TimeRange,
    // Its base slots from there on are expected, and those that came are counted.
    expected_from: Timestamp,
    stored: u64,
    last: (Timestamp, Price),
    traded: Option<Traded>,
    volume: Volume,
    details: Option<TradeDetails>,
}

/// The prices of the candles that are not flat.
#[derive(Clone, Copy, Debug)]
struct Traded {
    first: (Timestamp, Price),
    high: Price,
    low: Price,
}

impl Resampler {
    /// Without any candle yet; `listing` as for [`resample`].
    #[must_use]
    pub const fn new(resampling: Resampling, listing: Option<Timestamp>) -> Self {
        Self { resampling, listing, slot: None }
    }

    /// Takes one more base candle. If it is the first of a slot, the derived candle of the slot before it
    /// (when descending, after it) is made and returned. One off the base grid is passed over.
    ///
    /// # Errors
    /// [`SumError`] if the amounts of its slot do not fit; then it has no part in them.
    pub fn push(&mut self, candle: &Candle) -> Result<Option<DerivedCandle>, SumError> {
        let open_time = candle.open_time();
        if !self.resampling.base.contains(open_time) {
            return Ok(None);
        }
        match &mut self.slot {
            Some(slot) if slot.time.contains(open_time) => {
                let interval = self.resampling.derived.interval();
                *slot = slot.with(candle).ok_or(SumError { interval, open_time: slot.time.start() })?;
                Ok(None)
            }
            _ => {
                let made = self.finish();
                let start = self.resampling.derived.floor(open_time);
                let time = TimeRange::between(start, self.resampling.derived.next(start));
                self.slot = Some(Slot::of(time, self.listing, candle));
                Ok(made)
            }
        }
    }

    /// The derived candle of the slot of the last candle. Whatever comes next begins anew.
    pub fn finish(&mut self) -> Option<DerivedCandle> {
        self.slot.take().map(|slot| slot.made(self.resampling.base))
    }
}

impl Slot {
    fn of(time: TimeRange, listing: Option<Timestamp>, candle: &Candle) -> Self {
        let open_time = candle.open_time();
        let expected_from = listing.map_or(time.start(), |listing| listing.max(time.start()));
        Self {
            time,
            expected_from,
            stored: u64::from(open_time >= expected_from),
            last: (open_time, candle.close()),
            traded: Traded::of(candle),
            volume: candle.volume(),
            details: candle.details(),
        }
    }

    /// The same with one more candle; none if the amounts do not fit.
    fn with(mut self, candle: &Candle) -> Option<Self> {
        let open_time = candle.open_time();
        self.volume = self.volume.checked_add(candle.volume())?;
        self.details = match (self.details, candle.details()) {
            (Some(so_far), Some(more)) => Some(sum(so_far, more)?),
            _ => None,
        };
        self.stored += u64::from(open_time >= self.expected_from);
        if open_time > self.last.0 {
            self.last = (open_time, candle.close());
        }
        self.traded = match (self.traded, Traded::of(candle)) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        Some(self)
    }

    fn made(self, base: Grid) -> DerivedCandle {
        let (_, close) = self.last;
        let prices = match self.traded {
            Some(Traded { first: (_, open), high, low }) => {
                Ohlc { open, high: high.max(close), low: low.min(close), close }
            }
            None => Ohlc { open: close, high: close, low: close, close },
        };
        let expected = base.count(base.ceil(self.expected_from.min(self.time.end())), self.time.end());
        let candle = Candle::in_order(self.time.start(), prices, self.volume, self.details);
        DerivedCandle { candle, complete: self.stored >= expected }
    }
}

impl Traded {
    fn of(candle: &Candle) -> Option<Self> {
        let Ohlc { open, high, low, .. } = candle.prices();
        (!candle.is_flat()).then_some(Self { first: (candle.open_time(), open), high, low })
    }

    fn and(self, other: Self) -> Self {
        let first = if other.first.0 < self.first.0 { other.first } else { self.first };
        Self { first, high: self.high.max(other.high), low: self.low.min(other.low) }
    }
}

fn sum(one: TradeDetails, other: TradeDetails) -> Option<TradeDetails> {
    Some(TradeDetails {
        quote_volume: one.quote_volume.checked_add(other.quote_volume)?,
        trades: one.trades.checked_add(other.trades)?,
        taker_buy_volume: one.taker_buy_volume.checked_add(other.taker_buy_volume)?,
        taker_buy_quote_volume: one.taker_buy_quote_volume.checked_add(other.taker_buy_quote_volume)?,
    })
}

impl From<DerivedCandle> for Row {
    fn from(DerivedCandle { candle, complete }: DerivedCandle) -> Self {
        Self { complete: Some(complete), ..Self::stored(candle) }
    }
}

/// [`forward_fill`] over derived candles: first derived, then filled. A row that is filled has no base
/// candle at all, so it is not complete.
///
/// ```
/// use ohlcv_domain::{fill_derived, Candle, DerivedCandle, Grid, Interval, SlotRange, Timestamp};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let derived = DerivedCandle { candle: Candle::flat(day(0), "42".parse()?), complete: true };
/// let days = SlotRange::new(Grid::new(Interval::D1), day(0), day(2))?;
/// let rows: Vec<_> = fill_derived(days, None, &[derived]).collect();
/// assert_eq!(rows.iter().map(|row| (row.filled, row.complete)).collect::<Vec<_>>(), [
///     (false, Some(true)),
///     (true, Some(false)),
/// ]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn fill_derived(
    slots: SlotRange,
    carried: Option<Price>,
    derived: &[DerivedCandle],
) -> impl Iterator<Item = Row> {
    let grid = slots.grid();
    let used = move |at: Timestamp| slots.time().contains(at) && grid.contains(at);
    let mut complete =
        derived.iter().filter(move |made| used(made.candle.open_time())).map(|made| made.complete);
    forward_fill(slots, carried, derived.iter().map(|made| made.candle))
        .map(move |row| Row { complete: Some(!row.filled && complete.next().unwrap_or(false)), ..row })
}
