//! A file, or standard input, on its way to rows.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ohlcv_usecases::{ImportRule, OfferedRow, OfferedRows};
use tokio::sync::mpsc;

use crate::cli::TableFormat;
use crate::formats::{ARROW_FILE_MAGIC, Format, Offers, TELLING_BYTES, Unreadable, Wanted};

/// Rows that are handed over at a time.
const ROWS_PER_BATCH: usize = 1_000;
/// Bytes that are read at a time.
const BUFFER_BYTES: usize = 64 * 1024;

type Source = Counted<Box<dyn Read + Send>>;

/// An input whose rows can be the candles that are wanted.
pub(super) struct Input {
    name: String,
    format: Format,
    offers: Offers<Source>,
    /// The first row, which was looked at.
    first: Option<OfferedRow>,
    taken: Arc<AtomicU64>,
    /// How many bytes there are, where that is known.
    length: Option<u64>,
}

impl Input {
    /// Opens an input, and reads what it says about all of its rows, and its first row.
    pub(super) fn open(path: &Path, format: Option<TableFormat>, wanted: Wanted) -> Result<Self, String> {
        let (mut source, length) = opened(path).map_err(|error| error.to_string())?;
        let first = first_bytes(&mut source).map_err(|error| error.to_string())?;
        let format = match format {
            Some(TableFormat::Csv) => Format::Csv,
            Some(TableFormat::Arrow) => Format::Arrow,
            None => Offers::<Source>::format_of(&first),
        };
        if first == ARROW_FILE_MAGIC {
            return Err(
                "it is in Arrow's file format, which has to be read from its end: write it as a stream, \
                with write_ipc_stream in polars, with pyarrow.ipc.new_stream in pyarrow"
                    .to_owned(),
            );
        }
        let source: Box<dyn Read + Send> = Box::new(Cursor::new(first).chain(source));
        let taken = Arc::new(AtomicU64::new(0));
        let counted = Counted { source, taken: Arc::clone(&taken) };
        let mut offers = Offers::open(format, counted, wanted).map_err(|Unreadable(why)| why)?;
        let first = offers.next().map_err(|Unreadable(why)| why)?;
        if let Some(Err(unfit)) = first.as_ref().map(|row| &row.candle)
            && matches!(unfit.rule, ImportRule::OtherInterval | ImportRule::OtherQuote)
        {
            return Err(format!(
                "{}: this database holds candles of CANDLE_INTERVAL={} in QUOTE_ASSET={}",
                unfit.evidence, wanted.interval, wanted.quote
            ));
        }
        Ok(Self { name: name_of(path), format, offers, first, taken, length })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// How a place in it is called.
    pub(super) const fn place_word(&self) -> &'static str {
        Offers::<Source>::place_word(self.format)
    }

    fn next(&mut self) -> Result<Option<OfferedRow>, Unreadable> {
        match self.first.take() {
            Some(first) => Ok(Some(first)),
            None => self.offers.next(),
        }
    }
}

/// Hands over the rows of all inputs, until nobody takes them; returns what could not be read.
pub(super) fn read_all(inputs: Vec<Input>, to: &mpsc::Sender<OfferedRows>) -> Vec<String> {
    let length: Option<u64> = inputs.iter().map(|input| input.length).sum();
    let taken: Vec<Arc<AtomicU64>> = inputs.iter().map(|input| Arc::clone(&input.taken)).collect();
    let mut unread = Vec::new();
    let mut handed: u64 = 0;
    for mut input in inputs {
        let mut more = true;
        while more {
            let mut rows = Vec::with_capacity(ROWS_PER_BATCH);
            while more && rows.len() < ROWS_PER_BATCH {
                match input.next() {
                    Ok(Some(row)) => rows.push(row),
                    Ok(None) => more = false,
                    Err(Unreadable(why)) => {
                        unread.push(format!("{}: {why}; the rows before were looked at", input.name));
                        more = false;
                    }
                }
            }
            handed = handed.saturating_add(rows.len() as u64);
            let taken = taken.iter().map(|taken| taken.load(Ordering::Relaxed)).sum();
            let expected = expected(handed, taken, length);
            if to.blocking_send(OfferedRows { rows, expected }).is_err() {
                return unread;
            }
        }
    }
    unread
}

/// How many rows there are in all, if they are as long as those before.
fn expected(rows: u64, taken: u64, length: Option<u64>) -> u64 {
    let Some(length) = length else { return rows };
    let all = u128::from(rows) * u128::from(length.max(taken)) / u128::from(taken.max(1));
    u64::try_from(all).unwrap_or(u64::MAX)
}

pub(super) fn is_standard_input(path: &Path) -> bool {
    path == Path::new("-")
}

pub(super) fn name_of(path: &Path) -> String {
    if is_standard_input(path) { "standard input".to_owned() } else { path.display().to_string() }
}

/// An input and its length, if it has one.
fn opened(path: &Path) -> io::Result<(Box<dyn Read + Send>, Option<u64>)> {
    let file = match is_standard_input(path) {
        true => File::from(io::stdin().as_fd().try_clone_to_owned()?),
        false => File::open(path)?,
    };
    let known = file.metadata()?;
    if known.is_dir() {
        return Err(io::Error::other("it is a folder: name the files in it"));
    }
    let length = known.is_file().then_some(known.len());
    Ok((Box::new(BufReader::with_capacity(BUFFER_BYTES, file)), length))
}

fn first_bytes(source: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut first = Vec::with_capacity(TELLING_BYTES);
    source.take(TELLING_BYTES as u64).read_to_end(&mut first)?;
    Ok(first)
}

/// Counts what is taken of an input.
struct Counted<R> {
    source: R,
    taken: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.taken.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
