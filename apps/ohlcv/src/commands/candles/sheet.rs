//! Rows of candles on their way to standard output: a table, CSV or JSON.

use std::io;

use anstyle::Style;
use ohlcv_domain::{Asset, Interval, Row};

use crate::cli::CandlesArgs;
use crate::colours;
use crate::commands::table::Columns;
use crate::http::{Encoder, Format, Layout, Shape, push_row};

const TITLES: [&str; 7] = ["timestamp", "open", "high", "low", "close", "volume", ""];

/// Takes rows page by page; what was written is taken page by page, too.
pub(super) enum Sheet {
    /// In aligned columns.
    Table { columns: Columns<7>, colours: bool, written: String },
    /// As the API writes it.
    Csv { asset: Asset, encoder: Encoder },
    /// One document, as the API writes it.
    Json { rows: u64, written: String },
}

impl Sheet {
    /// Begins the answer to somebody who wants candles of an interval, `derived` or as they are stored.
    pub(super) fn begin(wanted: &CandlesArgs, interval: Interval, derived: bool) -> io::Result<Self> {
        let asset = wanted.asset;
        if wanted.csv {
            let shape = Shape { all_fields: false, derived };
            let encoder = Encoder::begin(Format::Csv, Layout::of_one(asset, interval, shape))?;
            // Holds: CSV comes in rows.
            let encoder = encoder.ok_or(io::ErrorKind::Unsupported)?;
            return Ok(Self::Csv { asset, encoder });
        }
        if wanted.json {
            let written = format!(r#"{{"asset":"{asset}","interval":"{interval}","data":["#);
            return Ok(Self::Json { rows: 0, written });
        }
        Ok(Self::Table {
            columns: Columns::titled(TITLES),
            colours: colours::on_stdout(),
            written: String::new(),
        })
    }

    /// Writes rows.
    pub(super) fn push(&mut self, rows: &[Row]) -> io::Result<()> {
        match self {
            Self::Table { columns, colours, written } => {
                let style = |row: &[String; 7], _| match *colours && !row[6].is_empty() {
                    true => Style::new().dimmed(),
                    false => Style::new(),
                };
                let cells: Vec<[String; 7]> = rows.iter().map(cells).collect();
                if !cells.is_empty() {
                    written.push_str(&columns.styled(&cells, style));
                }
            }
            Self::Csv { asset, encoder } => encoder.push(*asset, rows)?,
            Self::Json { rows: before, written } => {
                for row in rows {
                    if *before > 0 {
                        written.push(',');
                    }
                    push_row(written, row, false);
                    *before += 1;
                }
            }
        }
        Ok(())
    }

    /// Ends the answer.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match self {
            // The titles of a table without rows.
            Self::Table { columns, written, .. } => written.push_str(&columns.lines(&[])),
            Self::Csv { encoder, .. } => encoder.finish()?,
            Self::Json { rows, written } => written.push_str(&format!("],\"count\":{rows}}}\n")),
        }
        Ok(())
    }

    /// Takes what was written since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Table { written, .. } | Self::Json { written, .. } => std::mem::take(written).into_bytes(),
            Self::Csv { encoder, .. } => encoder.take(),
        }
    }
}

/// A row as cells; the last one says what is special about it.
fn cells(row: &Row) -> [String; 7] {
    let candle = &row.candle;
    let note = match (row.filled, row.complete) {
        (true, _) => "filled",
        (false, Some(false)) => "incomplete",
        (false, _) => "",
    };
    [
        candle.open_time().to_string(),
        candle.open().to_string(),
        candle.high().to_string(),
        candle.low().to_string(),
        candle.close().to_string(),
        candle.volume().to_string(),
        note.to_owned(),
    ]
}
