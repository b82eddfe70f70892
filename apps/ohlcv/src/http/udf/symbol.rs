//! Assets as symbols of the protocol.

use std::num::NonZeroU32;

use ohlcv_domain::{Asset, Interval};
use ohlcv_usecases::CandleQuery;
use poem::Response;
use serde_json::{Value, json};

use super::resolution::{multipliers, resolutions};
use super::{Given, Refused, Udf, json_response};

/// Where all symbols are traded.
pub(super) const EXCHANGE: &str = "BINANCE";
/// What kind of thing they are.
pub(super) const TYPE: &str = "crypto";

/// Places of every stored number.
const PLACES: usize = 8;
/// The newest candles, whose prices and volumes say how many places are worth showing.
const SAMPLE_ROWS: u32 = 1_000;

/// `BINANCE:BTCUSDT`.
pub(super) fn full_name(asset: Asset, quote: Asset) -> String {
    format!("{EXCHANGE}:{asset}{quote}")
}

/// An asset as a search finds it.
pub(super) fn found(asset: Asset, quote: Asset) -> Value {
    json!({
        "symbol": format!("{asset}{quote}"),
        "full_name": full_name(asset, quote),
        "ticker": format!("{asset}{quote}"),
        "description": format!("{asset} / {quote}"),
        "exchange": EXCHANGE,
        "type": TYPE,
    })
}

impl Udf {
    /// What a chart has to know of a symbol.
    pub(super) async fn symbols(&self, given: &Given) -> Result<Response, Refused> {
        let asset = self.asset(given).await?;
        let (stored, quote) = (self.series.interval(), self.no_answer.quote);
        let rows = self.rows(newest(asset)).await?;
        let bars = rows.bars()?;
        let price_places = places(bars.iter().flat_map(|bar| [bar.open, bar.high, bar.low, bar.close]));
        let volume_places = places(bars.iter().map(|bar| bar.volume));
        let mut info = found(asset, quote);
        let more = json!({
            "name": format!("{asset}{quote}"),
            "listed_exchange": EXCHANGE,
            "currency_code": quote.as_str(),
            "session": "24x7",
            "timezone": "Etc/UTC",
            "format": "price",
            // A price moves by 1 of so many parts.
            "minmov": 1,
            "pricescale": pricescale(price_places),
            "volume_precision": volume_places,
            "supported_resolutions": resolutions(stored),
            "has_seconds": !multipliers(stored, "S").is_empty(),
            "seconds_multipliers": multipliers(stored, "S"),
            "has_intraday": !multipliers(stored, "").is_empty(),
            "intraday_multipliers": multipliers(stored, ""),
            "has_daily": !multipliers(stored, "D").is_empty(),
            "daily_multipliers": multipliers(stored, "D"),
            "has_weekly_and_monthly": has_weeks_or_months(stored),
            "weekly_multipliers": multipliers(stored, "W"),
            "monthly_multipliers": multipliers(stored, "M"),
            // Candles come once they are closed.
            "data_status": "delayed_streaming",
        });
        if let (Some(info), Value::Object(more)) = (info.as_object_mut(), more) {
            info.extend(more);
        }
        Ok(json_response(&info))
    }
}

fn has_weeks_or_months(stored: Interval) -> bool {
    ["W", "M"].into_iter().any(|unit| !multipliers(stored, unit).is_empty())
}

fn newest(asset: Asset) -> CandleQuery {
    let limit = NonZeroU32::new(SAMPLE_ROWS).unwrap_or(NonZeroU32::MIN);
    CandleQuery { asset, interval: None, start: None, end: None, limit, fill: false, as_of: None }
}

/// The most decimal places that one of the numbers has, zeros at the end apart; all where there are none.
fn places<'a>(numbers: impl Iterator<Item = &'a str>) -> usize {
    let of_one = |number: &str| {
        let places = number.split_once('.').map_or("", |(_, places)| places);
        places.trim_end_matches('0').len()
    };
    numbers.map(of_one).max().unwrap_or(PLACES)
}

/// How many parts one unit has: a hundred for two places.
fn pricescale(places: usize) -> u64 {
    let places = u32::try_from(places.min(PLACES)).unwrap_or(0);
    10_u64.pow(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_days_make_neither_weeks_nor_months() {
        let without = Interval::ALL.into_iter().filter(|stored| !has_weeks_or_months(*stored));
        assert_eq!(without.collect::<Vec<_>>(), [Interval::D3]);
    }

    #[test]
    fn so_many_places_are_shown_as_some_number_has() {
        let of = |numbers: &[&str]| places(numbers.iter().copied());
        assert_eq!(of(&["68500.50000000", "68500.51000000", "1.00000000"]), 2);
        assert_eq!(of(&["0.00000001"]), 8);
        assert_eq!(of(&["7.00000000"]), 0);
        assert_eq!(of(&[]), 8, "nothing is known yet");
        assert_eq!([0, 2, 8].map(pricescale), [1, 100, 100_000_000]);
    }
}
