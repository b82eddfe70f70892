//! A page of rows as slices of chunks.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use ohlcv_domain::{Head, Timestamp};

use super::Kept;

/// A page, ready to be sent.
#[derive(Debug, Default)]
pub(crate) struct PreparedPage {
    /// The rows in JSON, ascending, each with a comma behind it.
    pub(crate) rows: Vec<Bytes>,
    /// How many rows there are.
    pub(crate) count: usize,
    /// A number that tells the contents of the rows.
    pub(crate) digest: u64,
    /// Where the next page begins, if there is one.
    pub(crate) next: Option<Timestamp>,
    /// Where the page before ends, if there is one.
    pub(crate) prev: Option<Timestamp>,
    /// Where the series stands: the page is the same as long as this is.
    pub(crate) head: Option<Head>,
}

/// Rows of one chunk.
pub(super) struct Pick {
    pub(super) kept: Arc<Kept>,
    pub(super) rows: Range<usize>,
}

/// Rows of several chunks, ascending.
#[derive(Default)]
pub(super) struct Picks {
    picks: VecDeque<Pick>,
    len: usize,
}

impl Picks {
    pub(super) fn push_back(&mut self, pick: Pick) {
        self.len += pick.rows.len();
        self.picks.push_back(pick);
    }

    pub(super) fn push_front(&mut self, pick: Pick) {
        self.len += pick.rows.len();
        self.picks.push_front(pick);
    }

    /// How many rows there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn first_open_time(&self) -> Option<Timestamp> {
        let first = self.picks.iter().find(|pick| !pick.rows.is_empty())?;
        first.kept.chunk.open_time(first.rows.start)
    }

    pub(super) fn page(&self, next: Option<Timestamp>, prev: Option<Timestamp>) -> PreparedPage {
        let picks = || self.picks.iter().filter(|pick| !pick.rows.is_empty());
        let rows = picks().map(|Pick { kept, rows }| kept.chunk.slice(rows)).collect();
        let digests = picks().flat_map(|Pick { kept, rows }| kept.chunk.digests(rows));
        PreparedPage { rows, count: self.len, digest: digests.fold(0, folded), next, prev, head: None }
    }
}

/// One more number folded in, so that their order matters. The constant is the golden ratio's.
pub(crate) fn folded(so_far: u64, digest: u64) -> u64 {
    (so_far.rotate_left(5) ^ digest).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A number that tells a value.
pub(crate) fn hash(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}
