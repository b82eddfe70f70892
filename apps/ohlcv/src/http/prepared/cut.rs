//! Where a series is cut into chunks.

use ohlcv_domain::{Interval, Resampling, TimeRange, Timestamp};

/// The slots that a chunk covers at most: a page of two years of half-days lies in two or three. Few in
/// tests, which have to cross them.
const CHUNK_SLOTS: u64 = if cfg!(test) { 8 } else { 1_024 };
/// The memory that a full chunk takes, roughly.
pub(crate) const CHUNK_BYTES_TYPICAL: u64 = 180 * CHUNK_SLOTS;
/// How many chunks one question to the store covers at most.
const CHUNKS_PER_LOAD_MAX: u64 = if cfg!(test) { 3 } else { 10 };
/// How many rows it brings at most: as many as those chunks hold, and what lies off the grid.
pub(super) const ROWS_PER_LOAD_MAX: u64 = 2 * CHUNKS_PER_LOAD_MAX * CHUNK_SLOTS;
/// How many stored slots a chunk of derived ones is made of at most, a single derived slot's apart: who
/// asks for one row waits for a whole chunk the first time. A month and a half of minutes.
const CHUNK_BASE_SLOTS_MAX: u64 = if cfg!(test) { 40 } else { 65_536 };

/// How a series is cut into chunks of the same length. It need not be that of whole slots: a chunk holds
/// the rows that open in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cut {
    slots: u64,
    millis_each: i64,
    chunks_per_load: u64,
}

impl Cut {
    /// Of stored candles.
    pub(super) fn stored(interval: Interval) -> Self {
        Self::into(interval, CHUNK_SLOTS, CHUNKS_PER_LOAD_MAX)
    }

    /// Of derived ones: by what they are made of.
    pub(super) fn derived(resampling: Resampling) -> Self {
        let base_slots = resampling.slots_per_candle();
        let slots = (CHUNK_BASE_SLOTS_MAX / base_slots).clamp(1, CHUNK_SLOTS);
        let chunks = (CHUNK_BASE_SLOTS_MAX / (slots * base_slots)).clamp(1, CHUNKS_PER_LOAD_MAX);
        Self::into(resampling.grid().interval(), slots, chunks)
    }

    fn into(interval: Interval, slots: u64, chunks_per_load: u64) -> Self {
        let millis = interval.longest().as_millis() * u128::from(slots);
        Self { slots, millis_each: i64::try_from(millis).unwrap_or(i64::MAX), chunks_per_load }
    }

    /// The number of the chunk that an instant falls into.
    pub(super) const fn number_of(self, at: Timestamp) -> i64 {
        at.millis().div_euclid(self.millis_each)
    }

    /// The number of the last chunk that begins before an instant.
    pub(super) const fn number_before(self, end: Timestamp) -> i64 {
        (end.millis() - 1).div_euclid(self.millis_each)
    }

    /// The time that a chunk covers.
    pub(super) fn time_of(self, number: i64) -> TimeRange {
        let at = |number: i64| {
            let millis = number.saturating_mul(self.millis_each);
            let millis = millis.clamp(Timestamp::MIN.millis(), Timestamp::MAX.millis());
            Timestamp::from_millis(millis).unwrap_or(Timestamp::MAX)
        };
        TimeRange::new(at(number), at(number.saturating_add(1))).unwrap_or(TimeRange::ALL)
    }

    /// How many slots a range touches, roughly: slots of a month are counted as long ones.
    pub(super) fn slots_in(self, range: TimeRange) -> u64 {
        let each = self.millis_each.unsigned_abs() / self.slots;
        let millis = range.end().millis().saturating_sub(range.start().millis()).unsigned_abs();
        millis.div_ceil(each)
    }

    /// How many chunks so many rows fill, if there is one in every slot.
    pub(super) fn chunks_with(self, rows: usize) -> i64 {
        i64::try_from(rows as u64 / self.slots).unwrap_or(i64::MAX)
    }

    /// How many chunks are read at once at most.
    pub(super) fn chunks_per_load(self) -> i64 {
        i64::try_from(self.chunks_per_load).unwrap_or(1)
    }
}
