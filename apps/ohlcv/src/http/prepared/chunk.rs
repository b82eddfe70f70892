//! Rows of a stretch of a series in JSON, with an index by open time.

use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use bytes::Bytes;
use ohlcv_domain::{Row, TimeRange, Timestamp};
use ohlcv_usecases::FilledRows;

use super::super::candle_bytes::{push_row, row_bytes};

/// How much room a chunk may have that it does not need.
const SPARE_BYTES_MAX: usize = 4 * 1024;

/// A row's place in the chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    open_time: Timestamp,
    // Where it ends, behind its comma; it begins where the one before ends.
    end: usize,
    filled: bool,
    digest: u64,
}

/// Rows in JSON, each with a comma behind it, and an index.
#[derive(Debug)]
pub(super) struct Chunk {
    bounds: TimeRange,
    // Where the close comes from that its first rows carry.
    carried_from: Option<Timestamp>,
    bytes: Bytes,
    // The memory that holds them.
    room: usize,
    places: Vec<Place>,
}

impl Chunk {
    /// The rows of `bounds`.
    pub(super) fn of(bounds: TimeRange, read: &FilledRows, all_fields: bool) -> Self {
        let mut building = Building::with_room(read.rows.len(), read.rows.len() * row_bytes(all_fields));
        building.write(&read.rows, all_fields);
        building.finish(bounds, read.carried_from)
    }

    /// This one with the rows of `stale` replaced by those that were read, cut to other bounds.
    pub(super) fn mended(
        &self,
        bounds: TimeRange,
        stale: TimeRange,
        read: &FilledRows,
        all_fields: bool,
    ) -> Self {
        let before = self.between(bounds.start(), stale.start());
        let behind = self.between(stale.end(), bounds.end());
        let rows = before.len() + read.rows.len() + behind.len();
        let kept = self.slice(&before).len() + self.slice(&behind).len();
        let mut building = Building::with_room(rows, kept + read.rows.len() * row_bytes(all_fields));
        building.copy(self, before);
        building.write(&read.rows, all_fields);
        building.copy(self, behind);
        let carried_from =
            if stale.start() <= bounds.start() { read.carried_from } else { self.carried_from };
        building.finish(bounds, carried_from)
    }

    /// What of `bounds` has to be read anew after changes: all that they touch, and behind it what
    /// carries a close from there; and what the chunk does not hold yet.
    pub(super) fn stale(&self, bounds: TimeRange, changed: &[TimeRange]) -> TimeRange {
        let (mut start, mut end) = (bounds.end(), bounds.start());
        let mut widen = |from: Timestamp, to: Timestamp| {
            start = start.min(from.max(bounds.start()));
            end = end.max(to.min(bounds.end()));
        };
        changed.iter().for_each(|changed| widen(changed.start(), changed.end()));
        if bounds.start() < self.bounds.start() {
            widen(bounds.start(), self.bounds.start());
        }
        if bounds.end() > self.bounds.end() {
            widen(self.bounds.end(), bounds.end());
        }
        if start >= end && self.carried_from.is_none() {
            return TimeRange::new(bounds.end(), bounds.end()).unwrap_or(bounds);
        }
        let behind = self.places.partition_point(|place| place.open_time < end);
        let carrying = self.places[behind..].iter().take_while(|place| place.filled).count();
        let end = match self.places.get(behind + carrying) {
            Some(real) if carrying > 0 => real.open_time.min(bounds.end()),
            None if carrying > 0 => bounds.end(),
            _ => end,
        };
        TimeRange::new(start.min(end), end).unwrap_or(bounds)
    }

    /// The part of the series that it holds.
    pub(super) const fn bounds(&self) -> TimeRange {
        self.bounds
    }

    /// The part of the series that says what its rows are.
    pub(super) fn depends_on(&self) -> TimeRange {
        let from = self.carried_from.unwrap_or(self.bounds.start());
        TimeRange::new(from, self.bounds.end()).unwrap_or(self.bounds)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The memory that it takes, in bytes.
    pub(super) fn weight(&self) -> u64 {
        let places = self.places.capacity() * size_of::<Place>();
        (self.room + places + size_of::<Self>()) as u64
    }

    /// The rows that open in a range, by their numbers.
    pub(super) fn rows_in(&self, range: TimeRange) -> Range<usize> {
        self.between(range.start(), range.end())
    }

    pub(super) fn open_time(&self, row: usize) -> Option<Timestamp> {
        self.places.get(row).map(|place| place.open_time)
    }

    /// The bytes of some rows, each with a comma behind it.
    pub(super) fn slice(&self, rows: &Range<usize>) -> Bytes {
        self.bytes.slice(self.begin(rows.start)..self.begin(rows.end))
    }

    /// Numbers that tell the contents of rows.
    pub(super) fn digests(&self, rows: &Range<usize>) -> impl Iterator<Item = u64> {
        self.places[rows.clone()].iter().map(|place| place.digest)
    }

    fn between(&self, start: Timestamp, end: Timestamp) -> Range<usize> {
        let first = self.places.partition_point(|place| place.open_time < start);
        let behind = self.places.partition_point(|place| place.open_time < end);
        first..behind.max(first)
    }

    fn begin(&self, row: usize) -> usize {
        row.checked_sub(1).and_then(|before| self.places.get(before)).map_or(0, |before| before.end)
    }
}

/// A chunk in the making.
struct Building {
    json: String,
    places: Vec<Place>,
}

impl Building {
    fn with_room(rows: usize, bytes: usize) -> Self {
        Self { json: String::with_capacity(bytes), places: Vec::with_capacity(rows) }
    }

    fn write(&mut self, rows: &[Row], all_fields: bool) {
        for row in rows {
            let start = self.json.len();
            push_row(&mut self.json, row, all_fields);
            self.json.push(',');
            let mut digest = DefaultHasher::new();
            digest.write(&self.json.as_bytes()[start..]);
            let (open_time, filled) = (row.candle.open_time(), row.filled);
            self.places.push(Place { open_time, end: self.json.len(), filled, digest: digest.finish() });
        }
    }

    fn copy(&mut self, chunk: &Chunk, rows: Range<usize>) {
        let begin = chunk.begin(rows.start);
        let moved = self.json.len();
        let bytes = &chunk.bytes[begin..chunk.begin(rows.end)];
        // Holds: it was written as a string, and rows end where characters do.
        self.json.push_str(std::str::from_utf8(bytes).unwrap_or_default());
        let places =
            chunk.places[rows].iter().map(|place| Place { end: place.end - begin + moved, ..*place });
        self.places.extend(places);
    }

    fn finish(mut self, bounds: TimeRange, carried_from: Option<Timestamp>) -> Chunk {
        // To give a little back would copy all of it once more.
        if self.json.capacity() - self.json.len() > SPARE_BYTES_MAX {
            self.json.shrink_to_fit();
        }
        let room = self.json.capacity();
        Chunk { bounds, carried_from, bytes: self.json.into(), room, places: self.places }
    }
}
