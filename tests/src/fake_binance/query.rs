//! Reading and refusing parameters, in the exchange's words.

use ohlcv_domain::{Interval, Timestamp};

use super::reply::Reply;

/// How many rows come without `limit`.
pub(crate) const LIMIT_DEFAULT: usize = 500;
/// Larger limits are cut to this without a word.
pub(crate) const LIMIT_MAX: usize = 1_000;
/// Greater numbers are microseconds, smaller ones milliseconds.
const MICROS_ABOVE: i64 = 100_000_000_000_000;
const NUMBER_DIGITS_MAX: usize = 20;
const SYMBOL_CHARS_MAX: usize = 50;
const NUMBER_RANGE: &str = "^[0-9]{1,20}$";
const SYMBOL_RANGE: &str = r"^[\w\-._&&[^a-z]]{1,50}$";
const KLINES_PARAMETERS: [&str; 6] = ["symbol", "interval", "startTime", "endTime", "timeZone", "limit"];

/// A refusal with status 400.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    code: i64,
    message: String,
}

impl Refusal {
    pub(crate) fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    fn mandatory(name: &str) -> Self {
        Self::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    fn illegal(name: &str, range: &str) -> Self {
        Self::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    pub(crate) fn unknown_symbol() -> Self {
        Self::new(-1121, "Invalid symbol.")
    }

    pub(crate) fn into_reply(self) -> Reply {
        Reply::error(400, self.code, self.message)
    }
}

/// The parameters of a request as they were sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameters<'a>(pub(crate) &'a [(String, String)]);

impl<'a> Parameters<'a> {
    /// One parameter, if it was sent.
    pub(crate) fn get(self, name: &str) -> Result<Option<&'a str>, Refusal> {
        let mut values = self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str());
        let value = values.next();
        if values.next().is_some() {
            return Err(Refusal::new(-1101, "Duplicate values for a parameter detected."));
        }
        match value {
            Some("") => Err(Refusal::new(-1105, format!("Parameter '{name}' was empty."))),
            value => Ok(value),
        }
    }

    /// The symbol, if it was sent and could be one.
    pub(crate) fn symbol(self) -> Result<Option<&'a str>, Refusal> {
        let Some(symbol) = self.get("symbol")? else { return Ok(None) };
        let legal =
            |char: char| (char.is_alphanumeric() && !char.is_ascii_lowercase()) || "-._".contains(char);
        if symbol.chars().all(legal) && symbol.chars().count() <= SYMBOL_CHARS_MAX {
            Ok(Some(symbol))
        } else {
            Err(Refusal::illegal("symbol", SYMBOL_RANGE))
        }
    }

    fn number(self, name: &str) -> Result<Option<i64>, Refusal> {
        let Some(text) = self.get(name)? else { return Ok(None) };
        if text.len() > NUMBER_DIGITS_MAX || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Refusal::illegal(name, NUMBER_RANGE));
        }
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(Refusal::new(-1108, format!("Parameter '{name}' overflowed."))),
        }
    }
}

/// What is asked of `klines`. The bounds are inclusive, in milliseconds, as they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KlinesQuery {
    pub(crate) symbol: String,
    pub(crate) interval: Interval,
    pub(crate) start_millis: Option<i64>,
    pub(crate) end_millis: Option<i64>,
    pub(crate) limit: usize,
}

impl KlinesQuery {
    pub(crate) fn read(parameters: Parameters<'_>) -> Result<Self, Refusal> {
        let symbol = parameters.symbol()?.ok_or_else(|| Refusal::mandatory("symbol"))?.to_owned();
        let interval = parameters.get("interval")?.ok_or_else(|| Refusal::mandatory("interval"))?;
        let interval = interval.parse().map_err(|_| Refusal::new(-1120, "Invalid interval."))?;
        let start_millis = parameters.number("startTime")?.map(|start| {
            // A candle that opens within the microseconds before is not asked for.
            if start > MICROS_ABOVE { start / 1_000 + i64::from(start % 1_000 != 0) } else { start }
        });
        let end_millis =
            parameters.number("endTime")?.map(|end| if end > MICROS_ABOVE { end / 1_000 } else { end });
        let limit = match parameters.number("limit")? {
            None => LIMIT_DEFAULT,
            Some(0) => return Err(Refusal::mandatory("limit")),
            Some(limit) => usize::try_from(limit).unwrap_or(LIMIT_MAX).min(LIMIT_MAX),
        };
        // Shifted grids are the one thing of `klines` that this exchange does not have.
        if let Some(zone) = parameters.get("timeZone")?
            && !matches!(zone, "0" | "00:00" | "+00:00" | "-00:00")
        {
            return Err(Refusal::new(-1130, "Data sent for parameter 'timeZone' is not valid."));
        }
        let read = parameters.0.iter().filter(|(name, _)| KLINES_PARAMETERS.contains(&name.as_str())).count();
        let sent = parameters.0.len();
        if read < sent {
            return Err(Refusal::new(
                -1104,
                format!(
                    "Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
                ),
            ));
        }
        Ok(Self { symbol, interval, start_millis, end_millis, limit })
    }
}

/// The unit of all times in an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    #[default]
    Millis,
    Micros,
}

impl TimeUnit {
    /// Reads the header `X-MBX-TIME-UNIT`.
    pub(crate) fn read(header: Option<&str>) -> Result<Self, Refusal> {
        match header {
            None | Some("MILLISECOND" | "millisecond") => Ok(Self::Millis),
            Some("MICROSECOND" | "microsecond") => Ok(Self::Micros),
            Some(_) => Err(Refusal::new(
                -1194,
                "Invalid value for time unit; expected either MICROSECOND or MILLISECOND.",
            )),
        }
    }

    /// An instant in this unit.
    pub(crate) fn of(self, at: Timestamp) -> i64 {
        match self {
            Self::Millis => at.millis(),
            Self::Micros => at.millis() * 1_000,
        }
    }

    /// The last instant before `end` in this unit.
    pub(crate) fn last_before(self, end: Timestamp) -> i64 {
        self.of(end) - 1
    }
}
