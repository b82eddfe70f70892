//! Rows out of comma-separated values, line by line.

use std::io::{self, Read};

use csv::{ByteRecord, Reader, ReaderBuilder, Trim};
use ohlcv_usecases::OfferedRow;

use super::cell::Cell;
use super::{Columns, Unreadable, Wanted};

/// The longest line: far more than all fields of a candle take.
const LINE_BYTES_MAX: usize = 64 * 1024;
const BOM: char = '\u{feff}';

/// Rows out of comma-separated values below a line of names.
#[derive(Debug)]
pub(crate) struct CsvOffers<R: Read> {
    lines: Reader<Bounded<R>>,
    columns: Columns,
    width: usize,
    line: ByteRecord,
}

impl<R: Read> CsvOffers<R> {
    pub(super) fn open(input: R, wanted: Wanted) -> Result<Self, Unreadable> {
        let input = Bounded { input, since_line: 0, ended: false };
        // Each line is looked at for itself, so that a short one spoils no other.
        let mut lines = ReaderBuilder::new().flexible(true).trim(Trim::All).from_reader(input);
        let names = lines.headers().map_err(|error| unread(&error))?.clone();
        if names.is_empty() {
            return Err(Unreadable("it is empty: the first line has to name the columns".to_owned()));
        }
        let columns = Columns::of(names.iter().map(|name| name.trim_start_matches(BOM)), wanted)?;
        Ok(Self { lines, columns, width: names.len(), line: ByteRecord::new() })
    }

    pub(super) fn next(&mut self) -> Result<Option<OfferedRow>, Unreadable> {
        self.lines.get_mut().since_line = 0;
        if !self.lines.read_byte_record(&mut self.line).map_err(|error| unread(&error))? {
            return Ok(None);
        }
        let number = self.line.position().map_or(0, csv::Position::line);
        if self.lines.get_ref().ended {
            // Half a number is a number, too.
            let told = "the last line does not end: was the file cut short? If not, end it with a new line";
            return Ok(Some(self.columns.misshapen(number, told)));
        }
        if self.line.len() != self.width {
            let told = format!("{} fields, not {}", self.line.len(), self.width);
            return Ok(Some(self.columns.misshapen(number, &told)));
        }
        if let Some(bad) = self.line.iter().find(|field| str::from_utf8(field).is_err()) {
            let told = format!("not UTF-8: {}", String::from_utf8_lossy(bad));
            return Ok(Some(self.columns.misshapen(number, &told)));
        }
        let cell = |at: usize| match self.line.get(at).and_then(|field| str::from_utf8(field).ok()) {
            None | Some("") => Cell::Missing,
            Some(text) => Cell::Text(text),
        };
        Ok(Some(self.columns.row(number, cell)))
    }
}

fn unread(error: &csv::Error) -> Unreadable {
    Unreadable(error.to_string())
}

/// An input that ends in an error when a line does not end: a quote that is never closed would be read to
/// the end of the file, into memory.
#[derive(Debug)]
struct Bounded<R> {
    input: R,
    since_line: usize,
    /// Whether its end was met. A line that ends as it should is there before.
    ended: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.since_line > LINE_BYTES_MAX {
            return Err(io::Error::other(format!(
                "a line of more than {LINE_BYTES_MAX} bytes: this is no table of candles, or a quote is never closed"
            )));
        }
        let read = self.input.read(buffer)?;
        self.since_line = self.since_line.saturating_add(read);
        self.ended = read == 0;
        Ok(read)
    }
}
