//! Every hole of a range, read a bounded number at a time.

use ohlcv_domain::{Asset, Cause, Hole, TimeRange};
use ohlcv_ports::{Coverage, HoleQuery, StoreError};

/// How many holes are read at a time; few in tests, which have to cross it.
const HOLES_PER_READ: u64 = if cfg!(test) { 3 } else { 500 };

/// Every hole of an asset that overlaps `range`, ascending; those of one cause alone if one is given.
pub(crate) async fn holes_in(
    coverage: &dyn Coverage,
    asset: Asset,
    range: TimeRange,
    cause: Option<Cause>,
) -> Result<Vec<Hole>, StoreError> {
    let mut holes: Vec<Hole> = Vec::new();
    let mut left = Some(range);
    // Ends: every read but the last moves the start of what is left behind another hole.
    while let Some(range) = left {
        let read =
            coverage.holes(asset, HoleQuery { cause, ..HoleQuery::oldest(range, HOLES_PER_READ) }).await?;
        let more = read.len() as u64 == HOLES_PER_READ;
        let read_until = read.last().map(|hole| hole.range.end());
        holes.extend(read);
        left = read_until.filter(|_| more).and_then(|from| TimeRange::new(from, range.end()).ok());
    }
    Ok(holes)
}
