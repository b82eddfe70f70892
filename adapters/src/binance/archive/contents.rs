//! A downloaded file to its candles.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Cursor, Read};

use ohlcv_domain::{Candle, SlotRange, Timestamp};
use sha2::{Digest, Sha256};
use zip::ZipArchive;

use super::file::ArchiveFile;
use super::refusal::Refusal;
use super::rows;

/// The longest line that can be a row, in bytes; rows have about 150.
const LINE_BYTES_MAX: u64 = 1_024;
/// How much of a table is unpacked at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Contents {
    /// The good candles: in the period, on the grid, ascending, unique.
    pub(crate) candles: Vec<Candle>,
    /// What its checksum says of it.
    pub(crate) sum: Sum,
}

/// Whether a file is the one that its checksum was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    Right,
    /// Why it cannot be told.
    Wrong(String),
}

/// Reads the file whose bytes are `zip`. `checksum` is the text of its CHECKSUM, if there is one.
pub(crate) fn read(
    zip: &[u8],
    checksum: Option<&str>,
    file: &ArchiveFile,
    table_bytes_max: u64,
) -> Result<Contents, Refusal> {
    let sum = check_sum(zip, checksum, &file.to_string());
    let unreadable = |reason: String| Refusal::Unreadable { reason };
    let mut archive = ZipArchive::new(Cursor::new(zip)).map_err(|error| unreadable(error.to_string()))?;
    if archive.len() != 1 {
        return Err(unreadable(format!("it holds {} files instead of one", archive.len())));
    }
    let table = archive.by_index(0).map_err(|error| unreadable(error.to_string()))?;
    let wanted = format!("{}.csv", file.name());
    if !table.name().is_ok_and(|name| name == wanted) {
        return Err(unreadable(format!("it does not hold {wanted}")));
    }
    let too_long = Refusal::TooLong { what: "table", bytes_max: table_bytes_max };
    if table.size() > table_bytes_max {
        return Err(too_long);
    }
    // What a header says of a length binds nobody.
    let mut lines = BufReader::with_capacity(BUFFER_BYTES, table.take(table_bytes_max + 1));
    let (candles, bytes) = candles(&mut lines, file.slots).map_err(|error| unreadable(error.to_string()))?;
    if bytes > table_bytes_max {
        return Err(too_long);
    }
    if candles.is_empty() {
        return Err(unreadable("no line of it is a candle of its period".to_owned()));
    }
    Ok(Contents { candles, sum })
}

/// The good candles of a table, and how many bytes it has. Bad lines, and rows that contradict each
/// other, leave their slot empty: what is not there is asked of the exchange.
fn candles(table: &mut impl BufRead, slots: SlotRange) -> std::io::Result<(Vec<Candle>, u64)> {
    let mut found = Found::new(slots);
    let (mut line, mut bytes) = (Vec::new(), 0);
    loop {
        line.clear();
        let read = table.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        let is_first = bytes == 0;
        bytes += read as u64;
        if read == 0 {
            return Ok((found.finish(), bytes));
        }
        let text = line.trim_ascii_end();
        if is_first && rows::is_header(text) {
            continue;
        }
        if let Ok(text) = str::from_utf8(text)
            && let Ok(candle) = rows::archive_row(text)
        {
            found.add(candle);
        }
    }
}

/// Candles in the order of a table, which ascends in every good one.
struct Found {
    slots: SlotRange,
    candles: Vec<Candle>,
    // Open times of rows that are not alone in what they say, or out of their place.
    doubtful: BTreeSet<Timestamp>,
}

impl Found {
    fn new(slots: SlotRange) -> Self {
        // Holds: a file that pays has at most 100,000 slots.
        let capacity = usize::try_from(slots.len()).unwrap_or_default();
        Self { slots, candles: Vec::with_capacity(capacity), doubtful: BTreeSet::new() }
    }

    fn add(&mut self, candle: Candle) {
        let open_time = candle.open_time();
        if !self.slots.time().contains(open_time) || !self.slots.grid().contains(open_time) {
            return;
        }
        match self.candles.last() {
            Some(last) if *last == candle => {}
            Some(last) if last.open_time() >= open_time => {
                self.doubtful.insert(open_time);
            }
            _ => self.candles.push(candle),
        }
    }

    fn finish(mut self) -> Vec<Candle> {
        if !self.doubtful.is_empty() {
            self.candles.retain(|candle| !self.doubtful.contains(&candle.open_time()));
        }
        self.candles
    }
}

fn check_sum(zip: &[u8], checksum: Option<&str>, name: &str) -> Sum {
    let Some(text) = checksum else { return Sum::Wrong("it has no CHECKSUM".to_owned()) };
    let mut words = text.split_ascii_whitespace();
    let (told, of) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let is_sum = told.len() == 64 && told.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_sum || of.trim_start_matches('*') != name {
        return Sum::Wrong("its CHECKSUM is no checksum of it".to_owned());
    }
    let digest: String = Sha256::digest(zip).iter().map(|byte| format!("{byte:02x}")).collect();
    if told.eq_ignore_ascii_case(&digest) {
        Sum::Right
    } else {
        Sum::Wrong("its CHECKSUM is that of another file".to_owned())
    }
}

#[cfg(test)]
mod tests;
