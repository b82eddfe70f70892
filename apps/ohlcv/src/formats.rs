//! The formats that rows leave the program in, or come in.

mod arrow;
mod encoder;
mod fields;
mod offers;

pub(crate) use self::encoder::{Encoder, Layout};
pub(crate) use self::fields::{Shape, Value, fields};
pub(crate) use self::offers::{ARROW_FILE_MAGIC, Offers, TELLING_BYTES, Unreadable, Wanted};

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// An object for each row.
    Json,
    /// JSON too, with an array for each field.
    Columns,
    /// A line of JSON for each row.
    Ndjson,
    /// A line of comma-separated values for each row, below a line of names.
    Csv,
    /// Apache Arrow's IPC stream.
    Arrow,
}

impl Format {
    /// All of them; where a client likes two as much, the first one is taken.
    pub(crate) const ALL: [Self; 5] = [Self::Json, Self::Columns, Self::Ndjson, Self::Csv, Self::Arrow];

    /// How the parameter `format` calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Columns => "columns",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Arrow => "arrow",
        }
    }

    /// What `Accept` calls it, and `Content-Type`.
    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Columns => "application/vnd.ohlcv.columns+json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }

    /// How a saved answer is called, if it is nothing to be looked at in a browser.
    pub(crate) const fn file_extension(self) -> Option<&'static str> {
        match self {
            Self::Json | Self::Columns | Self::Ndjson => None,
            Self::Csv => Some("csv"),
            Self::Arrow => Some("arrows"),
        }
    }
}
