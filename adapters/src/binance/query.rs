//! What Binance is asked.

use ohlcv_domain::{Interval, Timestamp};

/// Rows in one answer of `klines`; the exchange cuts a larger `limit` silently.
pub(crate) const KLINES_ROWS_MAX: u32 = 1_000;

/// The parameters of `klines`. Both bounds are compared with open times and are inclusive.
#[derive(Clone, Debug)]
pub(crate) struct KlinesQuery {
    /// Such as `BTCUSDT`.
    pub(crate) symbol: String,
    pub(crate) interval: Interval,
    pub(crate) start_time: Timestamp,
    /// None: no end.
    pub(crate) end_time: Option<Timestamp>,
    /// At most [`KLINES_ROWS_MAX`].
    pub(crate) limit: u32,
}

/// One request, ready to be sent as often as it takes.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// Relative to the base address.
    pub(crate) path: &'static str,
    /// What it costs of the exchange's weight per minute.
    pub(crate) weight: u32,
    pub(crate) parameters: Vec<(&'static str, String)>,
}

impl Request {
    /// `GET /api/v3/time`.
    pub(crate) const fn time() -> Self {
        Self { path: "api/v3/time", weight: 1, parameters: Vec::new() }
    }

    /// `GET /api/v3/klines`: the same weight whatever the limit.
    pub(crate) fn klines(query: &KlinesQuery) -> Self {
        let mut parameters = vec![
            ("symbol", query.symbol.clone()),
            ("interval", query.interval.to_string()),
            ("startTime", millis(query.start_time)),
        ];
        parameters.extend(query.end_time.map(|end_time| ("endTime", millis(end_time))));
        parameters.push(("limit", query.limit.to_string()));
        Self { path: "api/v3/klines", weight: 2, parameters }
    }

    /// The name of the endpoint, for counting.
    pub(crate) fn endpoint(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or(self.path)
    }

    /// The request in one word, for the log: it holds no secret.
    pub(crate) fn describe(&self) -> String {
        let pairs: Vec<String> =
            self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
        format!("{}{query}", self.path)
    }
}

/// The exchange reads digits alone and has nothing before 1970.
fn millis(at: Timestamp) -> String {
    at.millis().max(0).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_without_parameters_is_described_by_its_path_alone() {
        assert_eq!(Request::time().describe(), "api/v3/time");
        assert_eq!(Request::time().endpoint(), "time");
    }

    #[test]
    fn klines_are_asked_in_the_exchanges_words() {
        let mut query = KlinesQuery {
            symbol: "BTCUSDT".to_owned(),
            interval: Interval::Mo1,
            start_time: Timestamp::MIN,
            end_time: None,
            limit: 1,
        };
        assert_eq!(
            Request::klines(&query).describe(),
            "api/v3/klines?symbol=BTCUSDT&interval=1M&startTime=0&limit=1"
        );
        query.end_time = Some(Timestamp::from_millis(1_502_971_199_999).unwrap());
        assert!(Request::klines(&query).describe().contains("&endTime=1502971199999&"));
    }
}
