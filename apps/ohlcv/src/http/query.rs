//! The parameters of requests: how they are read, and what is said about those that cannot be.

use std::borrow::Cow;
use std::num::NonZeroU32;

use ohlcv_domain::{Asset, Cause, Interval, Timestamp, TimestampError};
use poem::http::StatusCode;
use poem_openapi::registry::{MetaSchema, MetaSchemaRef};
use poem_openapi::types::{ParseFromParameter, ParseResult, Type};

use super::problem::{Code, Problem, shortened};

/// The most rows that one answer has.
pub(crate) const LIMIT_ROWS_MAX: u32 = 10_000;
/// How many rows an answer has if nobody says how many.
pub(crate) const LIMIT_ROWS_DEFAULT: u32 = 1_000;

/// How many assets one answer is about at most.
pub(crate) const ASSETS_MAX: usize = 50;

/// Smaller numbers, 0 apart, are refused as times: they lie around 1970, where there is no candle, so
/// they are seconds.
const MILLIS_MIN: u64 = 100_000_000_000;

/// A value that can be read from a path or a query.
pub(crate) trait Parameter: Sized + Send + Sync {
    /// What the document says about it.
    fn schema() -> MetaSchema;

    /// Reads it; fails with what is allowed.
    fn read(text: &str) -> Result<Self, String>;
}

/// A parameter as it came: a value, or what is wrong with it.
///
/// Reading never fails at once, because the framework wraps errors into words of its own; a
/// handler asks for the value with [`Param::named`] and gets a problem that can be shown.
#[derive(Clone, Debug)]
pub(crate) struct Param<T>(Result<T, Refusal>);

#[derive(Clone, Debug)]
struct Refusal {
    given: String,
    allowed: String,
}

impl<T: Parameter> Param<T> {
    /// A parameter that came as this text.
    pub(crate) fn of(text: &str) -> Self {
        Self(T::read(text).map_err(|allowed| Refusal { given: shortened(text), allowed }))
    }

    /// The value of the parameter, which is called `name`.
    pub(crate) fn named(self, name: &str) -> Result<T, Problem> {
        self.0.map_err(|Refusal { given, allowed }| {
            let detail = format!("{name} is \"{given}\": allowed are {allowed}");
            Problem::new(StatusCode::BAD_REQUEST, Code::BadParameter, detail).of_parameter(name)
        })
    }
}

impl<T: Parameter> Type for Param<T> {
    const IS_REQUIRED: bool = true;
    type RawValueType = Self;
    type RawElementValueType = Self;

    fn name() -> Cow<'static, str> {
        "parameter".into()
    }

    fn schema_ref() -> MetaSchemaRef {
        MetaSchemaRef::Inline(Box::new(T::schema()))
    }

    fn as_raw_value(&self) -> Option<&Self> {
        Some(self)
    }

    fn raw_element_iter<'a>(&'a self) -> Box<dyn Iterator<Item = &'a Self> + 'a> {
        Box::new(std::iter::once(self))
    }
}

impl<T: Parameter> ParseFromParameter for Param<T> {
    fn parse_from_parameter(text: &str) -> ParseResult<Self> {
        Ok(Self::of(text))
    }

    /// One that is missing is told in the same words as a wrong one.
    fn parse_from_parameters<I: IntoIterator<Item = A>, A: AsRef<str>>(texts: I) -> ParseResult<Self> {
        Ok(texts.into_iter().next().map_or_else(|| Self::of(""), |text| Self::of(text.as_ref())))
    }
}

impl Parameter for Asset {
    fn schema() -> MetaSchema {
        MetaSchema {
            example: Some("BTC".into()),
            pattern: Some("^[A-Za-z0-9]{1,20}$".to_owned()),
            ..MetaSchema::new("string")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            format!("names of 1 to {} letters A-Z and digits, in either case, such as BTC", Self::LEN_MAX)
        })
    }
}

/// The assets of one answer: 1 to [`ASSETS_MAX`] different ones, in the order in which they are named.
#[derive(Clone, Debug)]
pub(crate) struct AssetList(pub(crate) Vec<Asset>);

impl Parameter for AssetList {
    fn schema() -> MetaSchema {
        MetaSchema {
            example: Some("BTC,ETH".into()),
            pattern: Some("^[A-Za-z0-9]{1,20}(,[A-Za-z0-9]{1,20})*$".to_owned()),
            ..MetaSchema::new("string")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let allowed = || {
            format!(
                "1 to {ASSETS_MAX} different names of 1 to {} letters A-Z and digits, in either case, separated by \
                 commas, such as BTC,ETH",
                Asset::LEN_MAX
            )
        };
        let mut assets: Vec<Asset> = Vec::new();
        for name in text.split(',') {
            let asset: Asset = name.parse().map_err(|_| allowed())?;
            if assets.contains(&asset) || assets.len() == ASSETS_MAX {
                return Err(allowed());
            }
            assets.push(asset);
        }
        Ok(Self(assets))
    }
}

impl Parameter for Timestamp {
    fn schema() -> MetaSchema {
        let inline = |schema| MetaSchemaRef::Inline(Box::new(schema));
        MetaSchema {
            one_of: vec![
                inline(MetaSchema {
                    description: Some("RFC 3339, with any offset."),
                    example: Some("2024-11-01T00:00:00Z".into()),
                    ..MetaSchema::new_with_format("string", "date-time")
                }),
                inline(MetaSchema {
                    description: Some(
                        "Milliseconds since 1970-01-01T00:00:00Z. Other numbers than 0 with fewer than 12 digits \
                         are refused, for they are seconds.",
                    ),
                    example: Some(1_730_419_200_000_i64.into()),
                    ..MetaSchema::new_with_format("integer", "int64")
                }),
            ],
            example: Some("2024-11-01T00:00:00Z".into()),
            ..MetaSchema::ANY
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let read = if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            // What overflows lies out of bounds as well.
            let edge = if text.starts_with('-') { i64::MIN } else { i64::MAX };
            let millis: i64 = text.parse().unwrap_or(edge);
            if millis != 0 && millis.unsigned_abs() < MILLIS_MIN {
                return Err("milliseconds since 1970, not seconds, such as 1730419200000".to_owned());
            }
            Self::from_millis(millis)
        } else {
            with_plus(text).parse()
        };
        read.map_err(|error| match error {
            TimestampError::OutOfBounds { .. } => "times of the years 1 to 9999".to_owned(),
            TimestampError::NotRfc3339 { .. } => "RFC 3339 times such as 2024-11-01T00:00:00Z or \
                2024-11-01T02:00:00+02:00, and milliseconds since 1970 such as 1730419200000"
                .to_owned(),
        })
    }
}

/// The same text with the `+` of its offset, which in a query stands for a blank unless it is
/// written `%2B`: `2024-11-01T02:00:00 02:00` can only mean `+02:00`.
fn with_plus(text: &str) -> Cow<'_, str> {
    const OFFSET_LEN: usize = "+02:00".len();
    match text.len().checked_sub(OFFSET_LEN).and_then(|at| text.split_at_checked(at)) {
        Some((time, offset)) if time.len() >= "2024-11-01T02:00:00".len() && offset.starts_with(' ') => {
            Cow::Owned(format!("{time}+{}", &offset[1..]))
        }
        _ => Cow::Borrowed(text),
    }
}

impl Parameter for Cause {
    fn schema() -> MetaSchema {
        let words = Self::ALL.into_iter().map(|cause| cause.as_str().into());
        let example = Some(Self::SourceEmpty.as_str().into());
        MetaSchema { enum_items: words.collect(), example, ..MetaSchema::new("string") }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| Self::ALL.map(Self::as_str).join(", "))
    }
}

impl Parameter for Interval {
    fn schema() -> MetaSchema {
        let words = Self::ALL.into_iter().map(|interval| interval.as_str().into());
        let example = Some(Self::D1.as_str().into());
        MetaSchema { enum_items: words.collect(), example, ..MetaSchema::new("string") }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| Self::ALL.map(Self::as_str).join(", "))
    }
}

/// How many rows are wanted: 1 to [`LIMIT_ROWS_MAX`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(pub(crate) NonZeroU32);

impl Parameter for Limit {
    fn schema() -> MetaSchema {
        MetaSchema {
            default: Some(LIMIT_ROWS_DEFAULT.into()),
            example: Some(100.into()),
            minimum: Some(1.0),
            maximum: Some(f64::from(LIMIT_ROWS_MAX)),
            ..MetaSchema::new_with_format("integer", "int32")
        }
    }

    fn read(text: &str) -> Result<Self, String> {
        let plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let limit = text.parse().ok().and_then(NonZeroU32::new);
        limit
            .filter(|limit| plain && limit.get() <= LIMIT_ROWS_MAX)
            .map(Self)
            .ok_or_else(|| format!("whole numbers from 1 to {LIMIT_ROWS_MAX}"))
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(NonZeroU32::new(LIMIT_ROWS_DEFAULT).unwrap_or(NonZeroU32::MIN))
    }
}

/// `true` or `false`; false unless said.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Switch(pub(crate) bool);

impl Parameter for Switch {
    fn schema() -> MetaSchema {
        MetaSchema { default: Some(false.into()), example: Some(true.into()), ..MetaSchema::new("boolean") }
    }

    fn read(text: &str) -> Result<Self, String> {
        text.parse().map(Self).map_err(|_| "true and false".to_owned())
    }
}

/// Wanted are all fields of each row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AllFields;

impl AllFields {
    /// How it is written.
    pub(crate) const TEXT: &str = "all";
}

impl Parameter for AllFields {
    fn schema() -> MetaSchema {
        let example = Some(Self::TEXT.into());
        MetaSchema { enum_items: vec![Self::TEXT.into()], example, ..MetaSchema::new("string") }
    }

    fn read(text: &str) -> Result<Self, String> {
        if text == Self::TEXT { Ok(Self) } else { Err(format!("{}, or no such parameter", Self::TEXT)) }
    }
}
