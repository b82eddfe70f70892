//! Rows on their way from who reads them, one at a time.

use std::collections::VecDeque;

use ohlcv_domain::Asset;
use tokio::sync::mpsc;

use super::{OfferedRow, OfferedRows, Place};

/// Hands out rows in the order in which they came.
pub(super) struct Queue {
    incoming: mpsc::Receiver<OfferedRows>,
    rows: VecDeque<OfferedRow>,
    expected: u64,
}

/// What is known of the row that comes next.
pub(super) struct Next {
    pub(super) place: Place,
    pub(super) asset: Option<Asset>,
}

impl Queue {
    pub(super) fn of(incoming: mpsc::Receiver<OfferedRows>) -> Self {
        Self { incoming, rows: VecDeque::new(), expected: 0 }
    }

    /// How many rows there are in all, as far as is known.
    pub(super) const fn expected(&self) -> u64 {
        self.expected
    }

    /// The row that comes next, which stays; none behind the last one.
    pub(super) async fn next(&mut self) -> Option<Next> {
        // Ends with the rows: who reads closes the channel.
        while self.rows.is_empty() {
            let OfferedRows { rows, expected } = self.incoming.recv().await?;
            self.rows = rows.into();
            self.expected = expected;
        }
        let OfferedRow { place, asset, .. } = self.rows.front()?;
        Some(Next { place: *place, asset: *asset })
    }

    /// Takes the row that comes next.
    pub(super) fn take(&mut self) -> Option<OfferedRow> {
        self.rows.pop_front()
    }

    /// Takes the next row if it is of this asset and of this file.
    pub(super) async fn next_of(&mut self, asset: Asset, file: usize) -> Option<OfferedRow> {
        let next = self.next().await?;
        (next.asset == Some(asset) && next.place.file == file).then(|| self.take()).flatten()
    }
}
