//! Bytes to values: pure, exact, one bad row never spoils the others.

use ohlcv_domain::{Candle, Ohlc, Rejection, Rule, Timestamp, TradeDetails};
use serde_json::value::RawValue;

use super::model::{ApiError, KlineRow, ServerTime};

/// Elements of a row that are read. The exchange sends a twelfth, unused one.
pub(crate) const ROW_ELEMENTS_MIN: usize = 11;

/// How much of a body that cannot be read is kept for the error text, in characters.
const EXCERPT_CHARS_MAX: usize = 200;

/// Why a body is not what was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("an empty body")]
    Empty,
    #[error("invalid JSON ({0})")]
    Json(#[from] serde_json::Error),
    #[error("an array that holds no rows")]
    NoRows,
    #[error("an impossible time ({0})")]
    Time(#[from] ohlcv_domain::TimestampError),
}

/// The body of `klines`: its rows in the order they came.
pub(crate) fn klines(body: &[u8]) -> Result<Vec<KlineRow>, BodyError> {
    if body.trim_ascii().is_empty() {
        return Err(BodyError::Empty);
    }
    let rows: Vec<&RawValue> = serde_json::from_slice(body)?;
    // A single stray element is a bad row; nothing but such is another kind of answer.
    if !rows.is_empty() && !rows.iter().any(|row| row.get().starts_with('[')) {
        return Err(BodyError::NoRows);
    }
    Ok(rows.into_iter().map(|row| kline(row.get())).collect())
}

/// The body of `time`.
pub(crate) fn server_time(body: &[u8]) -> Result<Timestamp, BodyError> {
    if body.trim_ascii().is_empty() {
        return Err(BodyError::Empty);
    }
    let time: ServerTime = serde_json::from_slice(body)?;
    Ok(Timestamp::from_millis(time.server_time_ms)?)
}

/// The body of a refusal, if it is one of Binance's own.
pub(crate) fn api_error(body: &[u8]) -> Option<ApiError> {
    serde_json::from_slice(body).ok()
}

/// The beginning of a body on one line, for an error text.
pub(crate) fn excerpt(body: &[u8]) -> String {
    // Four bytes make a character at most; blanks that are joined may cost some of the rest.
    let head = &body[..body.len().min(4 * EXCERPT_CHARS_MAX)];
    let text = String::from_utf8_lossy(head);
    let words: Vec<&str> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    let line = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(EXCERPT_CHARS_MAX).collect()
}

/// The end of a ban in the text of a 418: "IP banned until <milliseconds since 1970>".
pub(crate) fn banned_until(text: &str) -> Option<Timestamp> {
    let (_, rest) = text.split_once("banned until ")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Timestamp::from_millis(digits.parse().ok()?).ok()
}

fn kline(row: &str) -> KlineRow {
    let Ok(elements) = serde_json::from_str::<Vec<&RawValue>>(row) else {
        return Err(Rejection::new(None, Rule::Malformed, row));
    };
    let open_time = elements.first().and_then(|element| open_time(element.get()));
    candle(open_time, &elements).map_err(|rule| Rejection::new(open_time, rule, row))
}

fn candle(open_time: Option<Timestamp>, elements: &[&RawValue]) -> Result<Candle, Rule> {
    let open_time = open_time.ok_or(Rule::Malformed)?;
    if elements.len() < ROW_ELEMENTS_MIN {
        return Err(Rule::Malformed);
    }
    let text = |at: usize| decimal_text(elements[at].get());
    // The close time, element 6, is not checked: a halt that cuts a candle short moves it.
    candle_of(
        open_time,
        &KlineTexts {
            prices: [text(1)?, text(2)?, text(3)?, text(4)?],
            volume: text(5)?,
            quote_volume: text(7)?,
            trades: elements[8].get(),
            taker_buy_volume: text(9)?,
            taker_buy_quote_volume: text(10)?,
        },
    )
}

/// The numbers of a row as they were written.
pub(crate) struct KlineTexts<'a> {
    /// Open, high, low, close.
    pub(crate) prices: [&'a str; 4],
    pub(crate) volume: &'a str,
    pub(crate) quote_volume: &'a str,
    pub(crate) trades: &'a str,
    pub(crate) taker_buy_volume: &'a str,
    pub(crate) taker_buy_quote_volume: &'a str,
}

/// A candle of its numbers, or the rule that they break.
pub(crate) fn candle_of(open_time: Timestamp, texts: &KlineTexts<'_>) -> Result<Candle, Rule> {
    let [open, high, low, close] = texts.prices;
    let prices = Ohlc { open: open.parse()?, high: high.parse()?, low: low.parse()?, close: close.parse()? };
    let volume = texts.volume.parse()?;
    let details = TradeDetails {
        quote_volume: texts.quote_volume.parse()?,
        trades: trades(texts.trades)?,
        taker_buy_volume: texts.taker_buy_volume.parse()?,
        taker_buy_quote_volume: texts.taker_buy_quote_volume.parse()?,
    };
    Ok(Candle::new(open_time, prices, volume)?.with_details(details))
}

fn open_time(raw: &str) -> Option<Timestamp> {
    Timestamp::from_millis(raw.parse().ok()?).ok()
}

/// The digits of a decimal: a string, as the exchange sends it, or a bare number, whose own text
/// is as exact. Never a float.
fn decimal_text(raw: &str) -> Result<&str, Rule> {
    if raw.starts_with('"') {
        // Borrows, so it refuses escapes: no decimal has any.
        serde_json::from_str(raw).map_err(|_| Rule::Malformed)
    } else {
        Ok(raw)
    }
}

fn trades(raw: &str) -> Result<u32, Rule> {
    let (negative, digits) = raw.strip_prefix('-').map_or((false, raw), |digits| (true, digits));
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Rule::Malformed);
    }
    if negative && digits.bytes().any(|byte| byte != b'0') {
        return Err(Rule::Negative);
    }
    digits.parse().map_err(|_| Rule::TooLarge)
}

#[cfg(test)]
mod tests;
