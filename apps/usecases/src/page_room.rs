//! How many slots of pages a process keeps in memory, on their way or until they are stored.

use std::sync::Arc;

use ohlcv_domain::SlotRange;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many slots, some 180 bytes each: of one asset in files of a month of minutes one that is being
/// stored, one that is there and one on its way.
const SLOTS_MAX: u32 = 150_000;
/// A page counts for so many at least: a request takes memory, too.
const PAGE_SLOTS_MIN: u32 = 250;
/// The page that an asset goes on with waits for no room if it is no larger than that.
const SMALL_PAGE_SLOTS_MAX: u64 = 1_000;

/// The room for pages, of all who have a clone of it.
#[derive(Clone, Debug)]
pub struct PageRoom(Arc<Semaphore>);

/// What a page takes of the room, for as long as this lives.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    _permit: Option<OwnedSemaphorePermit>,
}

impl Default for PageRoom {
    /// An empty one.
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(slots_max())))
    }
}

impl PageRoom {
    /// Room for a page that may as well be asked for later, if there is any.
    pub(crate) fn spare(&self, page: SlotRange) -> Option<Taken> {
        let permit = Arc::clone(&self.0).try_acquire_many_owned(weight(page)).ok()?;
        Some(Taken { _permit: Some(permit) })
    }

    /// Room for the page that an asset goes on with. Only a large one waits for it: it has it when
    /// others have stored theirs, who never wait for room while they hold some.
    pub(crate) async fn needed(&self, page: SlotRange) -> Taken {
        match self.spare(page) {
            Some(taken) => taken,
            None if page.len() <= SMALL_PAGE_SLOTS_MAX => Taken::default(),
            // Never closed, so there always is a permit in the end.
            None => Taken { _permit: Arc::clone(&self.0).acquire_many_owned(weight(page)).await.ok() },
        }
    }
}

fn slots_max() -> usize {
    // Holds: a constant far below the bounds of both types.
    usize::try_from(SLOTS_MAX).unwrap_or(Semaphore::MAX_PERMITS)
}

/// A page that is larger than all the room takes it all.
fn weight(page: SlotRange) -> u32 {
    u32::try_from(page.len()).unwrap_or(SLOTS_MAX).clamp(PAGE_SLOTS_MIN, SLOTS_MAX)
}

#[cfg(test)]
mod tests {
    use ohlcv_domain::{Grid, Interval, Timestamp};

    use super::*;

    fn minutes(count: i64) -> SlotRange {
        let grid = Grid::new(Interval::M1);
        SlotRange::new(grid, Timestamp::EPOCH, grid.step(Timestamp::EPOCH, count)).unwrap()
    }

    #[test]
    fn there_is_room_for_so_many_slots_and_for_a_bounded_number_of_requests() {
        for (slots, pages) in [(44_640, 3), (1_000, 150), (1, 600), (1_000_000, 1)] {
            let room = PageRoom::default();
            let taken: Vec<Taken> = (0..1_000).map_while(|_| room.spare(minutes(slots))).collect();
            assert_eq!(taken.len(), pages, "pages of {slots}");
            drop(taken);
            assert!(room.spare(minutes(i64::from(SLOTS_MAX))).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_a_large_page_waits_for_room() {
        let room = PageRoom::default();
        let all = room.spare(minutes(1_000_000)).unwrap();
        assert!(room.needed(minutes(1_000)).await._permit.is_none());
        let large = room.needed(minutes(1_001));
        tokio::pin!(large);
        let waited = tokio::time::timeout(std::time::Duration::from_secs(60), &mut large).await;
        assert!(waited.is_err());
        drop(all);
        assert!(large.await._permit.is_some());
    }
}
