//! Gap search: which slots have no candle.

use std::iter::FusedIterator;

use crate::interval::Step;
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
    Gaps {
        cursor: slots.start(),
        step: slots.grid().interval().step(),
        slots,
        open_times: open_times.into_iter(),
    }
}

/// The iterator behind [`gaps`].
#[derive(Clone, Debug)]
pub struct Gaps<I> {
    slots: SlotRange,
    // The grid's, looked up once: most open times are one step after the one before.
    step: Step,
    // Everything before it is known to be either filled or reported.
    cursor: Timestamp,
    open_times: I,
}

impl<I: Iterator<Item = Timestamp>> Iterator for Gaps<I> {
    type Item = SlotRange;

    fn next(&mut self) -> Option<SlotRange> {
        let Self { slots, step, .. } = *self;
        let mut cursor = self.cursor;
        while cursor < slots.end() {
            let Some(open_time) = self.open_times.next() else {
                self.cursor = slots.end();
                return Some(slots.from(cursor));
            };
            if open_time == cursor {
                cursor = slots.grid().after(step, cursor);
            } else if open_time > cursor && slots.grid().contains(open_time) {
                self.cursor = slots.grid().after(step, open_time);
                return Some(slots.from(cursor).before(open_time));
            }
        }
        self.cursor = cursor;
        None
    }
}

impl<I: Iterator<Item = Timestamp>> FusedIterator for Gaps<I> {}
