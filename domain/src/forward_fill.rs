//! Forward-fill: a row for every slot, carrying the last close over gaps.

use std::iter::{FusedIterator, Peekable};

use crate::{Candle, Price, SlotRange, Timestamp};

/// A candle as a reader sees it: real, or carried forward over a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The candle; where `filled`, flat at the last real close with no volume.
    pub candle: Candle,
    /// Whether the exchange has no such candle and this one was made for the reader.
    pub filled: bool,
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
    ForwardFill { slots, cursor: slots.start(), carried, candles: candles.into_iter().peekable() }
}

/// The iterator behind [`forward_fill`].
#[derive(Clone, Debug)]
pub struct ForwardFill<I: Iterator<Item = Candle>> {
    slots: SlotRange,
    cursor: Timestamp,
    carried: Option<Price>,
    candles: Peekable<I>,
}

impl<I: Iterator<Item = Candle>> Iterator for ForwardFill<I> {
    type Item = Row;

    fn next(&mut self) -> Option<Row> {
        while self.cursor < self.slots.end() {
            let open_time = self.cursor;
            while self.candles.next_if(|candle| candle.open_time() < open_time).is_some() {}
            self.cursor = self.slots.grid().next(open_time);
            if let Some(candle) = self.candles.next_if(|candle| candle.open_time() == open_time) {
                self.carried = Some(candle.close());
                return Some(Row { candle, filled: false });
            }
            if let Some(close) = self.carried {
                return Some(Row { candle: Candle::flat(open_time, close), filled: true });
            }
        }
        None
    }
}

impl<I: Iterator<Item = Candle>> FusedIterator for ForwardFill<I> {}
