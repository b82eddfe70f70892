//! Bars of the protocol.

use std::fmt::Write;
use std::num::NonZeroU32;

use ohlcv_domain::{Grid, TimeRange, Timestamp};
use ohlcv_usecases::CandleQuery;
use poem::Response;
use serde_json::json;

use super::bars::Bar;
use super::resolution::{interval, resolutions};
use super::{Given, Refused, Udf, json_response, seconds, wrong};
use crate::http::problem::Problem;
use crate::http::query::LIMIT_ROWS_MAX;

/// How many bars one answer has at most: the newest ones of those that are asked for. A chart asks for what
/// lies before them when it needs it.
const BARS_MAX: u32 = LIMIT_ROWS_MAX;
/// Larger numbers are no seconds of the years that there are.
const SECONDS_MAX: i64 = 253_402_300_799;
/// The length of a bar's numbers.
const BAR_BYTES: usize = 96;
/// What stands around them.
const FRAME_BYTES: usize = 64;

/// A number of a bar: its name, and its value.
type Number = (char, for<'a> fn(&Bar<'a>) -> &'a str);

/// In the order in which they are written, digit by digit.
const NUMBERS: [Number; 5] = [
    ('o', |bar| bar.open),
    ('h', |bar| bar.high),
    ('l', |bar| bar.low),
    ('c', |bar| bar.close),
    ('v', |bar| bar.volume),
];

impl Udf {
    /// The bars of `[from, to)`; with `countback` so many before `to`, wherever `from` lies. Only real
    /// candles: a hole has no bar.
    pub(super) async fn history(&self, given: &Given) -> Result<Response, Refused> {
        let stored = self.series.interval();
        let codes = resolutions(stored).join(", ");
        let text = given.need("resolution", &codes)?;
        let wanted = interval(text).filter(|wanted| stored.divides(*wanted));
        let wanted = wanted.ok_or_else(|| wrong("resolution", text, &codes))?;
        let to = time(given, "to")?;
        let countback = countback(given)?;
        let from = if countback.is_some() { None } else { Some(time(given, "from")?) };
        if let Some(from) = from.filter(|from| *from >= to) {
            let (from, to) = (seconds(from), seconds(to));
            return Err(Refused::Question(format!(
                "from is {from}, which is not before to, {to}: to is exclusive"
            )));
        }
        let asset = self.asset(given).await?;
        let slots = TimeRange::new(from.unwrap_or(Timestamp::MIN), to).ok();
        let slots = slots.map_or(0, |range| Grid::new(wanted).slots_in(range).len());
        let query = CandleQuery {
            asset,
            interval: Some(wanted).filter(|wanted| *wanted != stored),
            start: None,
            end: Some(to),
            limit: NonZeroU32::new(countback.unwrap_or(BARS_MAX).min(BARS_MAX)).unwrap_or(NonZeroU32::MIN),
            fill: false,
            as_of: None,
        };
        // With a start the oldest rows would be meant, if not all fit.
        let resampling = self.series.resampling(query.interval).map_err(|error| self.refused(error))?;
        let most = resampling.map_or(query.limit, |resampling| query.bounded(resampling).limit);
        let query = CandleQuery { start: from.filter(|_| slots <= most.get().into()), ..query };
        let rows = self.rows(query).await?;
        let bars = timed(rows.bars()?)?;
        let before = bars.partition_point(|(time, _)| from.is_some_and(|from| *time < from));
        let (older, bars) = bars.split_at(before);
        if !bars.is_empty() {
            return Ok(json_bars(bars));
        }
        let next = match (older.last(), from) {
            (None, Some(from)) => {
                let last = CandleQuery { start: None, end: Some(from), limit: NonZeroU32::MIN, ..query };
                let rows = self.rows(last).await?;
                timed(rows.bars()?)?.last().map(|(time, _)| *time)
            }
            (older, _) => older.map(|(time, _)| *time),
        };
        Ok(json_response(&match next {
            // Where the next older bar opens.
            Some(next) => json!({"s": "no_data", "nextTime": seconds(next)}),
            None => json!({"s": "no_data"}),
        }))
    }
}

/// Bars with the times at which they open.
fn timed(bars: Vec<Bar<'_>>) -> Result<Vec<(Timestamp, Bar<'_>)>, Refused> {
    let timed = bars.into_iter().map(|bar| bar.timestamp.parse().map(|time| (time, bar)));
    // Holds: the times are written here.
    timed.collect::<Result<_, _>>().map_err(|_| Problem::internal().into())
}

fn json_bars(bars: &[(Timestamp, Bar<'_>)]) -> Response {
    let mut json = String::with_capacity(FRAME_BYTES + bars.len() * BAR_BYTES);
    json.push_str(r#"{"s":"ok","t":["#);
    for (number, (time, _)) in bars.iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(json, "{comma}{}", seconds(*time));
    }
    for (name, of) in NUMBERS {
        let _ = write!(json, r#"],"{name}":["#);
        for (number, (_, bar)) in bars.iter().enumerate() {
            if number > 0 {
                json.push(',');
            }
            json.push_str(of(bar));
        }
    }
    json.push_str("]}");
    Response::builder().content_type("application/json").body(json)
}

/// An instant that is given in seconds. What lies before the year 1 is that year.
fn time(given: &Given, name: &str) -> Result<Timestamp, Refused> {
    const ALLOWED: &str = "seconds since 1970, such as 1730419200, and no milliseconds";
    let text = given.need(name, ALLOWED)?;
    let seconds: i64 = text.parse().map_err(|_| wrong(name, text, ALLOWED))?;
    if seconds > SECONDS_MAX {
        return Err(wrong(name, text, ALLOWED));
    }
    Ok(Timestamp::from_millis(seconds.saturating_mul(1_000)).unwrap_or(Timestamp::MIN))
}

/// How many bars are wanted, wherever they begin; none if that is not said.
fn countback(given: &Given) -> Result<Option<u32>, Refused> {
    let Some(text) = given.get("countback") else { return Ok(None) };
    let wanted: u64 = text.parse().map_err(|_| wrong("countback", text, "whole numbers of bars"))?;
    Ok(Some(u32::try_from(wanted).unwrap_or(u32::MAX)).filter(|wanted| *wanted > 0))
}
