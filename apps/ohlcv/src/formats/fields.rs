//! What a row consists of: its fields in their order, for every format that is not kept ready.

use std::fmt;

use ohlcv_domain::{Price, Row, Timestamp, TradeDetails, Volume};
use serde::{Serialize, Serializer};

/// A field of a row.
#[derive(Debug)]
pub(crate) struct Field {
    /// How it is called, in every format.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Whether there are rows of which it is not known.
    pub(crate) nullable: bool,
    /// What it is of a row.
    pub(crate) of: fn(&Row) -> Value,
}

/// What the values of a field are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Instants.
    Time,
    /// Exact decimals of eight places.
    Decimal,
    /// Whole numbers.
    Count,
    /// Yes or no.
    Flag,
}

/// A value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Time(Timestamp),
    Price(Price),
    Volume(Volume),
    Count(u32),
    Flag(bool),
    /// Not known of this row.
    Unknown,
}

/// The fields of every row.
static BASIC: [Field; 7] = [
    always("timestamp", Kind::Time, |row| Value::Time(row.candle.open_time())),
    always("open", Kind::Decimal, |row| Value::Price(row.candle.open())),
    always("high", Kind::Decimal, |row| Value::Price(row.candle.high())),
    always("low", Kind::Decimal, |row| Value::Price(row.candle.low())),
    always("close", Kind::Decimal, |row| Value::Price(row.candle.close())),
    always("volume", Kind::Decimal, |row| Value::Volume(row.candle.volume())),
    always("filled", Kind::Flag, |row| Value::Flag(row.filled)),
];

/// What derived rows have besides. Filled ones are made of nothing, so they are not complete.
static DERIVED: [Field; 1] =
    [always("complete", Kind::Flag, |row| Value::Flag(row.complete.unwrap_or(false)))];

/// What `fields=all` adds.
static DETAILS: [Field; 4] = [
    detail("quote_volume", Kind::Decimal, |row| of_details(row, |known| Value::Volume(known.quote_volume))),
    detail("trades", Kind::Count, |row| of_details(row, |known| Value::Count(known.trades))),
    detail("taker_buy_volume", Kind::Decimal, |row| {
        of_details(row, |known| Value::Volume(known.taker_buy_volume))
    }),
    detail("taker_buy_quote_volume", Kind::Decimal, |row| {
        of_details(row, |known| Value::Volume(known.taker_buy_quote_volume))
    }),
];

const fn always(name: &'static str, kind: Kind, of: fn(&Row) -> Value) -> Field {
    Field { name, kind, nullable: false, of }
}

const fn detail(name: &'static str, kind: Kind, of: fn(&Row) -> Value) -> Field {
    Field { name, kind, nullable: true, of }
}

fn of_details(row: &Row, value: fn(TradeDetails) -> Value) -> Value {
    row.candle.details().map_or(Value::Unknown, value)
}

/// Which fields the rows of an answer have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// As with `fields=all`.
    pub(crate) all_fields: bool,
    /// Whether they are of another interval than the stored one.
    pub(crate) derived: bool,
}

/// The fields of an answer, in their order.
pub(crate) fn fields(shape: Shape) -> Vec<&'static Field> {
    let derived: &[Field] = if shape.derived { &DERIVED } else { &[] };
    let details: &[Field] = if shape.all_fields { &DETAILS } else { &[] };
    BASIC.iter().chain(derived).chain(details).collect()
}

/// The fields of a candle as it is stored: what a filled row is not is no question.
pub(crate) fn stored_fields() -> Vec<&'static Field> {
    BASIC.iter().filter(|field| field.kind != Kind::Flag).chain(&DETAILS).collect()
}

impl Value {
    /// Milliseconds since 1970 of an instant.
    pub(crate) fn millis(self) -> Option<i64> {
        if let Self::Time(at) = self { Some(at.millis()) } else { None }
    }

    /// How many 10⁻⁸ a decimal is.
    pub(crate) fn units(self) -> Option<i128> {
        let units = match self {
            Self::Price(price) => price.units(),
            Self::Volume(volume) => volume.units(),
            _ => return None,
        };
        // Holds: thirty digits at most.
        i128::try_from(units).ok()
    }

    /// A whole number.
    pub(crate) fn count(self) -> Option<u32> {
        if let Self::Count(count) = self { Some(count) } else { None }
    }

    /// Yes or no.
    pub(crate) fn flag(self) -> Option<bool> {
        if let Self::Flag(flag) = self { Some(flag) } else { None }
    }
}

/// As it stands in a table: nothing where it is not known.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(at) => at.fmt(f),
            Self::Price(price) => price.fmt(f),
            Self::Volume(volume) => volume.fmt(f),
            Self::Count(count) => count.fmt(f),
            Self::Flag(flag) => flag.fmt(f),
            Self::Unknown => Ok(()),
        }
    }
}

/// As it stands in JSON: decimals and instants are texts.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Count(count) => serializer.serialize_u32(*count),
            Self::Flag(flag) => serializer.serialize_bool(*flag),
            Self::Unknown => serializer.serialize_none(),
            text => serializer.collect_str(text),
        }
    }
}
