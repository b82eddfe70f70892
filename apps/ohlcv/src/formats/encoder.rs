//! Rows to bytes, page by page, in the formats that a long answer is sent in.

use std::fmt::Write;
use std::io;

use ohlcv_domain::{Asset, Interval, Row};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::Format;
use super::arrow::ArrowRows;
use super::fields::{Field, Shape, fields, stored_fields};

/// How the column is called that says whose a row is, where there are rows of several assets.
pub(super) const ASSET: &str = "asset";
/// What rows say besides that are to be stored elsewhere.
pub(super) const INTERVAL: &str = "interval";
pub(super) const QUOTE: &str = "quote";

/// What the rows of an answer look like.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(super) interval: Interval,
    /// Whose rows there are.
    pub(super) assets: Vec<Asset>,
    /// Whether each row says whose it is.
    pub(super) with_asset: bool,
    /// What prices are in, if the rows are to say so.
    pub(super) quote: Option<Asset>,
    pub(super) fields: Vec<&'static Field>,
}

impl Layout {
    /// Rows of one asset, which is known without them.
    pub(crate) fn of_one(asset: Asset, interval: Interval, shape: Shape) -> Self {
        Self { interval, assets: vec![asset], with_asset: false, quote: None, fields: fields(shape) }
    }

    /// Rows of several assets, each of which says whose it is.
    pub(crate) fn of_several(assets: Vec<Asset>, interval: Interval, shape: Shape) -> Self {
        Self { interval, assets, with_asset: true, quote: None, fields: fields(shape) }
    }

    /// Stored candles, which say all that has to be known to store them elsewhere.
    pub(crate) fn of_stored(assets: Vec<Asset>, interval: Interval, quote: Asset) -> Self {
        Self { interval, assets, with_asset: true, quote: Some(quote), fields: stored_fields() }
    }

    /// How the answer is called when it is saved. None of the names needs quoting.
    pub(crate) fn file_stem(&self) -> String {
        match self.assets.as_slice() {
            [asset] => format!("{asset}-{}", self.interval),
            _ => format!("candles-{}", self.interval),
        }
    }
}

/// Writes rows into memory, from which they are taken piece by piece.
#[derive(Debug)]
pub(crate) enum Encoder {
    /// A line of JSON for each.
    Ndjson(Lines),
    /// Comma-separated values.
    Csv(Lines),
    /// Arrow.
    Arrow(Box<ArrowRows>),
}

/// What was written of a text.
#[derive(Debug)]
pub(crate) struct Lines {
    layout: Layout,
    written: Vec<u8>,
}

impl Encoder {
    /// Begins an answer. What does not come in rows has none.
    ///
    /// # Errors
    /// If the beginning cannot be written.
    pub(crate) fn begin(format: Format, layout: Layout) -> io::Result<Option<Self>> {
        let lines = |layout| Lines { layout, written: Vec::new() };
        Ok(match format {
            Format::Json | Format::Columns => None,
            Format::Ndjson => Some(Self::Ndjson(lines(layout))),
            Format::Csv => {
                let mut lines = lines(layout);
                lines.names()?;
                Some(Self::Csv(lines))
            }
            Format::Arrow => Some(Self::Arrow(Box::new(ArrowRows::begin(layout)?))),
        })
    }

    /// Writes rows of an asset.
    ///
    /// # Errors
    /// If they cannot be written.
    pub(crate) fn push(&mut self, asset: Asset, rows: &[Row]) -> io::Result<()> {
        match self {
            Self::Ndjson(lines) => lines.objects(asset, rows),
            Self::Csv(lines) => lines.values(asset, rows),
            Self::Arrow(arrow) => arrow.push(asset, rows),
        }
    }

    /// Ends the answer: a reader can tell by it that all of it came.
    ///
    /// # Errors
    /// If the end cannot be written.
    pub(crate) fn finish(&mut self) -> io::Result<()> {
        match self {
            // Lines end by themselves.
            Self::Ndjson(_) | Self::Csv(_) => Ok(()),
            Self::Arrow(arrow) => arrow.finish(),
        }
    }

    /// Takes what was written since the last time.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        match self {
            Self::Ndjson(lines) | Self::Csv(lines) => {
                let room = Vec::with_capacity(lines.written.len());
                std::mem::replace(&mut lines.written, room)
            }
            Self::Arrow(arrow) => arrow.take(),
        }
    }
}

impl Lines {
    fn objects(&mut self, asset: Asset, rows: &[Row]) -> io::Result<()> {
        let asset = self.layout.with_asset.then_some(asset);
        for row in rows {
            serde_json::to_writer(&mut self.written, &Object { asset, fields: &self.layout.fields, row })?;
            self.written.push(b'\n');
        }
        Ok(())
    }

    /// The line of names.
    fn names(&mut self) -> io::Result<()> {
        let asset = self.layout.with_asset.then_some(ASSET);
        let said: &[&str] = if self.layout.quote.is_some() { &[INTERVAL, QUOTE] } else { &[] };
        let names = asset.into_iter().chain(said.iter().copied());
        let mut table = csv::Writer::from_writer(&mut self.written);
        table.write_record(names.chain(self.layout.fields.iter().map(|field| field.name)))?;
        table.flush()
    }

    fn values(&mut self, asset: Asset, rows: &[Row]) -> io::Result<()> {
        let mut table = csv::Writer::from_writer(&mut self.written);
        let mut text = String::new();
        for row in rows {
            if self.layout.with_asset {
                table.write_field(asset.as_str())?;
            }
            if let Some(quote) = self.layout.quote {
                table.write_field(self.layout.interval.as_str())?;
                table.write_field(quote.as_str())?;
            }
            for field in &self.layout.fields {
                text.clear();
                // Writing to a string cannot fail.
                let _ = write!(text, "{}", (field.of)(row));
                table.write_field(&text)?;
            }
            table.write_record(None::<&[u8]>)?;
        }
        table.flush()
    }
}

/// A row as an object, with the names that the JSON of one asset has.
struct Object<'a> {
    asset: Option<Asset>,
    fields: &'a [&'static Field],
    row: &'a Row,
}

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        if let Some(asset) = &self.asset {
            object.serialize_entry(ASSET, asset.as_str())?;
        }
        for field in self.fields {
            object.serialize_entry(field.name, &(field.of)(self.row))?;
        }
        object.end()
    }
}
