//! Paging: a long run of slots in requests of bounded size.

use std::iter::FusedIterator;
use std::num::NonZeroU32;

use crate::SlotRange;

/// `slots` cut into consecutive ranges of at most `slots_max` slots, ascending.
///
/// ```
/// use std::num::NonZeroU32;
/// use ohlcv_domain::{pages, Grid, Interval, SlotRange, Timestamp};
///
/// let year = SlotRange::new(Grid::new(Interval::D1), "2024-01-01T00:00:00Z".parse()?, "2025-01-01T00:00:00Z".parse()?)?;
/// let lengths: Vec<_> = pages(year, NonZeroU32::new(100).unwrap()).map(|page| page.len()).collect();
/// assert_eq!(lengths, [100, 100, 100, 66]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn pages(slots: SlotRange, slots_max: NonZeroU32) -> Pages {
    Pages { left: slots, slots_max }
}

/// The iterator behind [`pages`].
#[derive(Clone, Debug)]
pub struct Pages {
    left: SlotRange,
    slots_max: NonZeroU32,
}

impl Iterator for Pages {
    type Item = SlotRange;

    fn next(&mut self) -> Option<SlotRange> {
        if self.left.is_empty() {
            return None;
        }
        let slots_max = i64::from(self.slots_max.get());
        let end = self.left.grid().step_within(self.left.start(), slots_max, self.left.end());
        let page = self.left.before(end);
        self.left = self.left.from(end);
        Some(page)
    }
}

impl FusedIterator for Pages {}
