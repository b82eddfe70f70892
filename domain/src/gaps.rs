//! Gap search: which slots have no candle.

use std::iter::FusedIterator;

use crate::{SlotRange, Timestamp};

/// The runs of slots in `slots` at which none of `open_times` lies, ascending and maximal.
///
/// Takes open times, not candles, so it works on an index alone. They must ascend; repeats and
/// times outside the range or off the grid fill nothing and do no harm. Lazy: costs one step per
/// open time and no memory.
///
/// ```
/// use ohlcv_domain::{gaps, Grid, Interval, SlotRange, Timestamp};
///
/// let day = |day: i64| Timestamp::from_millis(day * 86_400_000).unwrap();
/// let slots = SlotRange::new(Grid::new(Interval::D1), day(0), day(10))?;
/// let missing: Vec<_> = gaps(slots, [day(0), day(1), day(5)]).map(|gap| (gap.start(), gap.end())).collect();
/// assert_eq!(missing, [(day(2), day(5)), (day(6), day(10))]);
/// # Ok::<(), ohlcv_domain::RangeError>(())
/// ```
pub fn gaps<I>(slots: SlotRange, open_times: I) -> Gaps<I::IntoIter>
where
    I: IntoIterator<Item = Timestamp>,
{
    Gaps { cursor: slots.start(), slots, open_times: open_times.into_iter() }
}

/// The iterator behind [`gaps`].
#[derive(Clone, Debug)]
pub struct Gaps<I> {
    slots: SlotRange,
    // Everything before it is known to be either filled or reported.
    cursor: Timestamp,
    open_times: I,
}

impl<I: Iterator<Item = Timestamp>> Iterator for Gaps<I> {
    type Item = SlotRange;

    fn next(&mut self) -> Option<SlotRange> {
        let grid = self.slots.grid();
        while self.cursor < self.slots.end() {
            let Some(open_time) = self.open_times.next() else {
                let gap = self.slots.from(self.cursor);
                self.cursor = self.slots.end();
                return Some(gap);
            };
            if open_time == self.cursor {
                self.cursor = grid.next(self.cursor);
            } else if open_time > self.cursor && grid.contains(open_time) {
                let gap = self.slots.from(self.cursor).before(open_time);
                self.cursor = grid.next(open_time);
                return Some(gap);
            }
        }
        None
    }
}

impl<I: Iterator<Item = Timestamp>> FusedIterator for Gaps<I> {}
