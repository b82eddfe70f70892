//! What Binance answers with.

use ohlcv_domain::{Candle, Rejection};
use serde::Deserialize;

/// One row of `klines`: a candle, or why it is none.
pub(crate) type KlineRow = Result<Candle, Rejection>;

/// The body of `time`.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct ServerTime {
    /// Milliseconds since 1970.
    #[serde(rename = "serverTime")]
    pub(crate) server_time_ms: i64,
}

/// The body of a refusal. Codes are stable, texts vary; code 0 comes with HTTP 451.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct ApiError {
    pub(crate) code: i64,
    pub(crate) msg: String,
}
