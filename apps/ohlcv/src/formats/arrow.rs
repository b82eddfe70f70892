//! Rows as Apache Arrow's IPC stream.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, RecordBatch, StringArray, TimestampMillisecondArray, UInt32Array,
};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Schema, SchemaRef, TimeUnit};
use ohlcv_domain::{Asset, Row};

use super::encoder::{ASSET, INTERVAL, Layout, QUOTE};
use super::fields::{Field, Kind};

/// The digits of a decimal: as many as 128 bits hold, so that readers can add without running over.
const PRECISION: u8 = 38;
/// The places of every decimal.
const SCALE: i8 = 8;
const UTC: &str = "UTC";

/// Rows in record batches, one for each page.
pub(crate) struct ArrowRows {
    layout: Layout,
    schema: SchemaRef,
    stream: StreamWriter<Vec<u8>>,
}

impl std::fmt::Debug for ArrowRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowRows").field("layout", &self.layout).finish_non_exhaustive()
    }
}

impl ArrowRows {
    /// Begins a stream: its schema says what the rows are, and in its metadata whose and of which interval.
    pub(super) fn begin(layout: Layout) -> io::Result<Self> {
        let schema: SchemaRef = Arc::new(schema(&layout));
        let stream = StreamWriter::try_new(Vec::new(), &schema).map_err(unwritten)?;
        Ok(Self { layout, schema, stream })
    }

    /// A record batch of these rows.
    pub(super) fn push(&mut self, asset: Asset, rows: &[Row]) -> io::Result<()> {
        let names = std::iter::repeat_n(asset.as_str(), rows.len());
        let asset: Option<ArrayRef> =
            self.layout.with_asset.then(|| Arc::new(StringArray::from_iter_values(names)) as ArrayRef);
        let fields = self.layout.fields.iter().map(|field| array(field, rows));
        let arrays = asset.map(Ok).into_iter().chain(fields);
        let arrays = arrays.collect::<Result<Vec<ArrayRef>, ArrowError>>().map_err(unwritten)?;
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays).map_err(unwritten)?;
        self.stream.write(&batch).map_err(unwritten)
    }

    /// The mark by which a reader knows that nothing is missing.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        self.stream.finish().map_err(unwritten)
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        let written = self.stream.get_mut();
        let room = Vec::with_capacity(written.len());
        std::mem::replace(written, room)
    }
}

fn unwritten(error: ArrowError) -> io::Error {
    io::Error::other(error)
}

fn schema(layout: &Layout) -> Schema {
    let asset = layout.with_asset.then(|| arrow_schema::Field::new(ASSET, DataType::Utf8, false));
    let fields = layout.fields.iter().map(|field| {
        let kind = match field.kind {
            Kind::Time => DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into())),
            Kind::Decimal => DataType::Decimal128(PRECISION, SCALE),
            Kind::Count => DataType::UInt32,
            Kind::Flag => DataType::Boolean,
        };
        arrow_schema::Field::new(field.name, kind, field.nullable)
    });
    let names: Vec<&str> = layout.assets.iter().map(Asset::as_str).collect();
    let mut metadata = HashMap::from([
        (if layout.with_asset { "assets" } else { ASSET }.to_owned(), names.join(",")),
        (INTERVAL.to_owned(), layout.interval.to_string()),
    ]);
    metadata.extend(layout.quote.map(|quote| (QUOTE.to_owned(), quote.to_string())));
    Schema::new(asset.into_iter().chain(fields).collect::<Vec<_>>()).with_metadata(metadata)
}

/// The values of a field.
fn array(field: &Field, rows: &[Row]) -> Result<ArrayRef, ArrowError> {
    let values = rows.iter().map(field.of);
    Ok(match field.kind {
        Kind::Time => {
            let times = values.map(|value| value.millis()).collect::<TimestampMillisecondArray>();
            Arc::new(times.with_timezone(UTC))
        }
        Kind::Decimal => {
            let decimals = values.map(|value| value.units()).collect::<Decimal128Array>();
            Arc::new(decimals.with_precision_and_scale(PRECISION, SCALE)?)
        }
        Kind::Count => Arc::new(values.map(|value| value.count()).collect::<UInt32Array>()),
        Kind::Flag => Arc::new(values.map(|value| value.flag()).collect::<BooleanArray>()),
    })
}
