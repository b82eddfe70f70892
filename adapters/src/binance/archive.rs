//! Bulk archives: files of many candles, which an exchange publishes beside its API.
//!
//! The raw client: where a file lies, its download, its rows. Whether they are to be believed is
//! [`BulkSource`](super::BulkSource)'s to decide.

mod contents;
mod download;
mod file;
mod refusal;
mod rest;
mod rows;

use std::sync::Arc;
use std::time::Duration;

use ohlcv_domain::{Asset, SlotRange};
use ohlcv_ports::Clock;
use tokio::sync::Semaphore;

use super::client::parse_base_url;
use super::error::BinanceConfigError;
pub(crate) use contents::{Contents, Sum};
use download::Download;
pub(crate) use file::{ArchiveFile, Part};
pub(crate) use refusal::Refusal;
use rest::Rest;
pub use rows::archive_row;

/// What bounds the reading of archives; the defaults are for production.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArchiveLimits {
    /// Time for a connection, TLS included. 5 s: a host that takes longer is away.
    pub connect_timeout: Duration,
    /// Time for a file and its checksum, repetitions included. 30 s: the API has given the same by then.
    pub file_time_max: Duration,
    /// Attempts after the first one, of each of the two. 1.
    pub retries_max: u32,
    /// The wait before another attempt. 500 ms.
    pub retry_delay: Duration,
    /// After so many failures in a row the archive is left alone. 3.
    pub failures_in_a_row_max: u32,
    /// For how long it is left alone. 5 min.
    pub rest_after_failures: Duration,
    /// Files that are downloaded or unpacked at once; at least one. 2: each takes some 20 MB.
    pub files_at_once_max: usize,
    /// The longest file that is read. 16 MiB: a month of minutes is about 3 MiB.
    pub zip_bytes_max: usize,
    /// The longest table in it. 32 MiB: a month of minutes is about 6 MiB, a day of seconds about 12 MiB.
    pub table_bytes_max: u64,
}

impl Default for ArchiveLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            file_time_max: Duration::from_secs(30),
            retries_max: 1,
            retry_delay: Duration::from_millis(500),
            failures_in_a_row_max: 3,
            rest_after_failures: Duration::from_secs(300),
            files_at_once_max: 2,
            zip_bytes_max: 16 * 1024 * 1024,
            table_bytes_max: 32 * 1024 * 1024,
        }
    }
}

/// The bulk archives of Binance's spot candles of one quote asset. Clones share their limits.
#[derive(Clone, Debug)]
pub struct Archive {
    download: Arc<Download>,
    rest: Arc<Rest>,
    turns: Arc<Semaphore>,
    quote: Asset,
    clock: Arc<dyn Clock>,
    limits: ArchiveLimits,
}

impl Archive {
    /// An archive that is asked nothing yet. `base_url` as that of
    /// [`BinanceConfig`](super::BinanceConfig), `clock` is the local one.
    ///
    /// # Errors
    /// [`BinanceConfigError`] names the value that cannot be used.
    pub fn new(
        base_url: &str,
        quote: Asset,
        limits: ArchiveLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BinanceConfigError> {
        let base = parse_base_url(base_url)?;
        Ok(Self {
            download: Arc::new(Download::new(base, limits)?),
            rest: Arc::new(Rest::new(limits.failures_in_a_row_max, limits.rest_after_failures)),
            turns: Arc::new(Semaphore::new(limits.files_at_once_max.max(1))),
            quote,
            clock,
            limits,
        })
    }

    /// The file that holds the first slots of `asked`, if one is published that pays.
    pub(crate) fn file_for(&self, asset: Asset, asked: SlotRange) -> Option<ArchiveFile> {
        ArchiveFile::at_start_of(asset, self.quote, asked, self.clock.now())
    }

    /// The part of `asked` from its start on that is to be asked for in one go.
    pub(crate) fn first_part(&self, asked: SlotRange) -> Part {
        file::first_part(asked, self.clock.now())
    }

    /// Downloads a file and reads its rows.
    pub(crate) async fn read(&self, file: &ArchiveFile) -> Result<Contents, Refusal> {
        // Never closed.
        let turn = Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Refusal::LeftAlone)?;
        if self.rest.is_on() {
            return Err(Refusal::LeftAlone);
        }
        let fetched = self.download.fetch(file).await;
        self.rest.note(matches!(fetched, Err(Refusal::Unavailable { .. })));
        let (zip, checksum) = fetched?;
        let (file, limits) = (file.clone(), self.limits);
        let read = tokio::task::spawn_blocking(move || {
            // Whoever waits for the file may be gone; its memory still counts.
            let _turn = turn;
            contents::read(&zip, checksum.as_deref(), &file, limits.table_bytes_max)
        });
        read.await.unwrap_or_else(|error| Err(Refusal::Unreadable { reason: error.to_string() }))
    }
}
