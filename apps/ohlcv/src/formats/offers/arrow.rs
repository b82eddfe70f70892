//! Rows out of an Arrow stream, record batch by record batch.

use std::io::{ErrorKind, Read};

use arrow_array::cast::AsArray;
use arrow_array::types::{
    Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow_array::{Array, RecordBatch};
use arrow_ipc::reader::StreamReader;
use arrow_schema::{ArrowError, DataType, Metadata, Schema, TimeUnit};
use ohlcv_domain::Asset;
use ohlcv_usecases::OfferedRow;

use super::cell::Cell;
use super::messages::Messages;
use super::{Column, Columns, Unreadable, Wanted};

/// Rows out of an Arrow stream.
pub(crate) struct ArrowOffers<R: Read> {
    batches: StreamReader<Messages<R>>,
    /// Whether this program wrote it, which always writes the mark of the end.
    is_ours: bool,
    columns: Columns,
    batch: Option<RecordBatch>,
    /// The next row of the batch.
    next: usize,
    /// The rows before.
    taken: u64,
}

impl<R: Read> std::fmt::Debug for ArrowOffers<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ArrowOffers").field("columns", &self.columns).finish_non_exhaustive()
    }
}

impl<R: Read> ArrowOffers<R> {
    pub(super) fn open(input: R, mut wanted: Wanted) -> Result<Self, Unreadable> {
        let batches = StreamReader::try_new(Messages::of(input), None).map_err(unread)?;
        let schema = batches.schema();
        check_metadata(&schema.metadata, &mut wanted)?;
        let is_ours = schema.metadata.contains_key("interval");
        let columns = Columns::of(schema.fields().iter().map(|field| field.name().as_str()), wanted)?;
        check_types(&schema)?;
        Ok(Self { batches, is_ours, columns, batch: None, next: 0, taken: 0 })
    }

    pub(super) fn next(&mut self) -> Result<Option<OfferedRow>, Unreadable> {
        // Ends with the batches.
        let batch = loop {
            match self.batch.take() {
                Some(batch) if self.next < batch.num_rows() => break batch,
                _ => {}
            }
            match self.batches.next() {
                None if self.is_ours && !self.batches.get_ref().has_end_mark() => {
                    return Err(Unreadable("it was cut short: its end mark is missing".to_owned()));
                }
                None => return Ok(None),
                Some(batch) => self.batch = Some(batch.map_err(unread)?),
            }
            self.next = 0;
        };
        self.taken = self.taken.saturating_add(1);
        let at = self.next;
        let cell = |column: usize| cell(batch.column(column).as_ref(), at).unwrap_or(Cell::Missing);
        let row = self.columns.row(self.taken, cell);
        self.next = at.saturating_add(1);
        self.batch = Some(batch);
        Ok(Some(row))
    }
}

fn unread(error: ArrowError) -> Unreadable {
    Unreadable(match error {
        ArrowError::IoError(_, error) if error.kind() == ErrorKind::UnexpectedEof => {
            "it was cut short".to_owned()
        }
        ArrowError::IoError(told, _) => told,
        error => error.to_string(),
    })
}

/// What a stream of this program says about all of its rows; other programs say nothing.
fn check_metadata(metadata: &Metadata, wanted: &mut Wanted) -> Result<(), Unreadable> {
    if let Some(interval) = metadata.get("interval")
        && *interval != wanted.interval.to_string()
    {
        return Err(Unreadable(other(Column::Interval, interval, &wanted.interval)));
    }
    if let Some(quote) = metadata.get("quote")
        && quote != wanted.quote.as_str()
    {
        return Err(Unreadable(other(Column::Quote, quote, &wanted.quote)));
    }
    let Some(asset) = metadata.get("asset") else { return Ok(()) };
    let asset: Asset =
        asset.parse().map_err(|error| Unreadable(format!("its asset is {asset:?}: {error}")))?;
    match wanted.asset {
        Some(wanted) if wanted != asset => {
            Err(Unreadable(format!("it holds candles of {asset}, --asset is {wanted}")))
        }
        _ => {
            wanted.asset = Some(asset);
            Ok(())
        }
    }
}

/// That an input is of another interval or in another quote asset.
fn other(column: Column, found: &str, wanted: &dyn std::fmt::Display) -> String {
    match column {
        Column::Quote => {
            format!("its prices are in {found}, those of this database (QUOTE_ASSET) in {wanted}")
        }
        _ => format!("it holds candles of {found}, this database (CANDLE_INTERVAL) those of {wanted}"),
    }
}

/// Whether what stands in each column can be what it is called.
fn check_types(schema: &Schema) -> Result<(), Unreadable> {
    for field in schema.fields() {
        let Some(column) = Column::of(field.name()) else { continue };
        let (suits, allowed) = match column {
            Column::Asset | Column::Interval | Column::Quote => (is_text(field.data_type()), "a text"),
            Column::Time => (
                is_text(field.data_type()) || is_whole(field.data_type()) || is_instant(field.data_type()),
                "a timestamp with a time zone, milliseconds since 1970 as int64, or a text in RFC 3339",
            ),
            Column::Trades => (
                is_text(field.data_type()) || is_whole(field.data_type()) || is_decimal(field.data_type()),
                "a whole number",
            ),
            Column::Filled => (matches!(field.data_type(), DataType::Boolean), "a boolean"),
            _ => (
                is_text(field.data_type()) || is_whole(field.data_type()) || is_decimal(field.data_type()),
                "decimal128 or a text: a float has not got the digits of the exchange",
            ),
        };
        if !suits {
            return Err(Unreadable(format!(
                "the column {} is {}; it has to be {allowed}",
                field.name(),
                field.data_type()
            )));
        }
    }
    Ok(())
}

fn is_text(kind: &DataType) -> bool {
    match kind {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

fn is_whole(kind: &DataType) -> bool {
    kind.is_integer()
}

fn is_decimal(kind: &DataType) -> bool {
    matches!(kind, DataType::Decimal128(..))
}

fn is_instant(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(_, Some(_)))
}

/// A value of a column; none if it is of a kind that no column may be of.
fn cell(array: &dyn Array, row: usize) -> Option<Cell<'_>> {
    if array.is_null(row) {
        return Some(Cell::Missing);
    }
    macro_rules! value {
        ($kind:ty) => {
            array.as_primitive_opt::<$kind>()?.value(row)
        };
    }
    let time = |count, per_second| Cell::Time { count, per_second };
    Some(match array.data_type() {
        DataType::Utf8 => Cell::Text(array.as_string_opt::<i32>()?.value(row)),
        DataType::LargeUtf8 => Cell::Text(array.as_string_opt::<i64>()?.value(row)),
        DataType::Utf8View => Cell::Text(array.as_string_view_opt()?.value(row)),
        DataType::Boolean => Cell::Flag(array.as_boolean_opt()?.value(row)),
        DataType::Decimal128(_, scale) => Cell::Decimal { units: value!(Decimal128Type), scale: *scale },
        DataType::Timestamp(unit, _) => match unit {
            TimeUnit::Second => time(value!(TimestampSecondType), 1),
            TimeUnit::Millisecond => time(value!(TimestampMillisecondType), 1_000),
            TimeUnit::Microsecond => time(value!(TimestampMicrosecondType), 1_000_000),
            TimeUnit::Nanosecond => time(value!(TimestampNanosecondType), 1_000_000_000),
        },
        DataType::Int8 => Cell::Whole(value!(Int8Type).into()),
        DataType::Int16 => Cell::Whole(value!(Int16Type).into()),
        DataType::Int32 => Cell::Whole(value!(Int32Type).into()),
        DataType::Int64 => Cell::Whole(value!(Int64Type).into()),
        DataType::UInt8 => Cell::Whole(value!(UInt8Type).into()),
        DataType::UInt16 => Cell::Whole(value!(UInt16Type).into()),
        DataType::UInt32 => Cell::Whole(value!(UInt32Type).into()),
        DataType::UInt64 => Cell::Whole(value!(UInt64Type).into()),
        DataType::Dictionary(..) => {
            let words = array.as_any_dictionary_opt()?;
            let Cell::Whole(word) = cell(words.keys(), row)? else { return None };
            let word = usize::try_from(word).ok()?;
            (word < words.values().len()).then(|| cell(words.values().as_ref(), word)).flatten()?
        }
        _ => return None,
    })
}
