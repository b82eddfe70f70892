//! Forward-fill: a row for every slot, carrying the last close over gaps.

use std::iter::{Fuse, FusedIterator};

use crate::interval::Step;
use crate::{Candle, Price, SlotRange, Timestamp};

/// A candle as a reader sees it: real, or carried forward over a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The candle; where `filled`, flat at the last real close with no volume.
    pub candle: Candle,
    /// Whether the exchange has no such candle and this one was made for the reader.
    pub filled: bool,
    /// Of a row of a derived interval, whether every finer candle of it is stored: see
    /// [`DerivedCandle::complete`](crate::DerivedCandle::complete). None where nothing is derived.
    pub complete: Option<bool>,
}

impl Row {
    /// The row of a candle as the exchange sent it.
    #[must_use]
    pub const fn stored(candle: Candle) -> Self {
        Self { candle, filled: false, complete: None }
    }
}

/// One row for every slot of `slots`: the candle where there is one, else a flat one at the last
/// real close, marked as filled.
///
/// `candles` must ascend; those outside the range or off the grid are passed over. `carried` is
/// the last real close before the range. Slots before the first known close yield nothing: a fill
/// invents no price. Lazy: one step per slot, no memory.
///
/// ```
/// use ohlcv_domain::{forward_fill, Candle, Grid, Interval, SlotRange, Timestamp};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let slots = SlotRange::new(Grid::new(Interval::D1), day(0), day(4))?;
/// let candle = Candle::flat(day(1), "42".parse()?);
///
/// let rows: Vec<_> = forward_fill(slots, None, [candle]).collect();
/// assert_eq!(rows.len(), 3); // nothing is known of day 0
/// assert!(!rows[0].filled && rows[1].filled && rows[2].filled);
/// assert_eq!(rows[2].candle.close(), "42".parse()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn forward_fill<I>(slots: SlotRange, carried: Option<Price>, candles: I) -> ForwardFill<I::IntoIter>
where
    I: IntoIterator<Item = Candle>,
{
    ForwardFill {
        cursor: slots.start(),
        step: slots.grid().interval().step(),
        slots,
        carried,
        ahead: None,
        candles: candles.into_iter().fuse(),
    }
}

/// The iterator behind [`forward_fill`].
#[derive(Clone, Debug)]
pub struct ForwardFill<I: Iterator<Item = Candle>> {
    slots: SlotRange,
    // The grid's, looked up once.
    step: Step,
    cursor: Timestamp,
    carried: Option<Price>,
    // A candle that was read while its slot was still to come. Most never pass through here: candles
    // are large, and the one that is wanted next usually comes next.
    ahead: Option<Candle>,
    candles: Fuse<I>,
}

impl<I: Iterator<Item = Candle>> ForwardFill<I> {
    /// The row of a candle that is the one of the slot at the cursor, which moves on.
    fn real(&mut self, candle: Candle) -> Row {
        self.carried = Some(candle.close());
        self.cursor = self.slots.grid().after(self.step, self.cursor);
        Row::stored(candle)
    }
}

impl<I: Iterator<Item = Candle>> Iterator for ForwardFill<I> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        while self.cursor < self.slots.end() {
            let open_time = self.cursor;
            if let Some(candle) = self.ahead {
                if candle.open_time() <= open_time {
                    self.ahead = None;
                    if candle.open_time() == open_time {
                        return Some(self.real(candle));
                    }
                    continue;
                }
            } else if let Some(candle) = self.candles.next() {
                if candle.open_time() == open_time {
                    return Some(self.real(candle));
                }
                if candle.open_time() > open_time {
                    self.ahead = Some(candle);
                }
                continue;
            }
            self.cursor = self.slots.grid().after(self.step, open_time);
            if let Some(close) = self.carried {
                let candle = Candle::flat(open_time, close);
                return Some(Row { candle, filled: true, complete: None });
            }
        }
        None
    }

    /// Exact as soon as a close is known.
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.slots.from(self.cursor).len()).unwrap_or(usize::MAX);
        (if self.carried.is_some() { left } else { 0 }, Some(left))
    }
}

impl<I: Iterator<Item = Candle>> FusedIterator for ForwardFill<I> {}
