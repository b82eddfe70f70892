//! What can go wrong between here and the exchange, and what the port calls it.

use std::error::Error;
use std::time::Duration;

use ohlcv_domain::Timestamp;
use ohlcv_ports::{SourceError, StoreError};

use super::retry::{Verdict, verdict};

/// Binance's code for "Invalid symbol."
const UNKNOWN_SYMBOL: i64 = -1121;

/// The setting and the host that help where Binance refuses to serve a country.
const WAY_OUT: &str =
    "set BINANCE_API_BASE_URL=https://data-api.binance.vision, which serves market data everywhere";

/// Why no [`BinanceSource`](super::BinanceSource) can be made of a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BinanceConfigError {
    /// The base address cannot be used.
    #[error("the base address \"{value}\" {reason}: wanted is one such as https://api.binance.com")]
    BaseUrl {
        /// What was given.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The budget is too small to ever ask for candles at a steady pace.
    #[error("a budget of {value} request weight per minute is too small: at least {min} are needed")]
    WeightPerMinute {
        /// What was given.
        value: u32,
        /// The smallest one that works.
        min: u32,
    },
    /// The HTTP client could not be built, such as for want of root certificates.
    #[error("no HTTP client can be made; are the system's root certificates installed?")]
    HttpClient(#[source] Box<dyn Error + Send + Sync>),
}

/// Why one attempt gave nothing to use.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// No answer, or only a part of it.
    #[error("{kind}: {cause}")]
    NoAnswer {
        kind: NoAnswer,
        /// The innermost reason, in words; the layers above it say nothing more.
        cause: String,
    },
    /// A status other than success.
    #[error("HTTP {status}{}: {said}", code.map(|code| format!(", code {code}")).unwrap_or_default())]
    Status {
        status: u16,
        /// Binance's own code, if the body had one.
        code: Option<i64>,
        /// Binance's message, or the beginning of the body.
        said: String,
        retry_after: Option<Duration>,
    },
    /// Success, with a body that is not what was asked for.
    #[error("HTTP {status} with {reason}")]
    Unusable { status: u16, reason: String },
    /// More than a page can be.
    #[error("the body is longer than the {bytes_max} bytes that are accepted")]
    TooLong { bytes_max: usize },
}

/// How an answer failed to arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoAnswer {
    #[error("no answer in time")]
    Timeout,
    #[error("no connection")]
    Connect,
    #[error("the connection broke")]
    Broken,
    #[error("the request cannot be sent")]
    Unsendable,
}

impl From<reqwest::Error> for Failure {
    fn from(error: reqwest::Error) -> Self {
        let kind = if error.is_builder() {
            NoAnswer::Unsendable
        } else if error.is_timeout() {
            NoAnswer::Timeout
        } else if error.is_connect() {
            NoAnswer::Connect
        } else {
            NoAnswer::Broken
        };
        // The address may hold a password, and the log line names the request anyway.
        let error = error.without_url();
        let mut innermost: &dyn Error = &error;
        while let Some(deeper) = innermost.source() {
            innermost = deeper;
        }
        Self::NoAnswer { kind, cause: innermost.to_string() }
    }
}

/// Why a call, with all its attempts, gave nothing.
#[derive(Debug)]
pub(crate) enum CallError {
    /// Nothing may be asked for longer than a caller waits.
    Paused {
        /// By the local clock.
        until: Timestamp,
        reason: String,
    },
    /// It cannot be known whether the budget that processes share allows a request.
    Unreserved(StoreError),
    /// The last attempt failed, and no other is made. `host` is who was asked.
    Failed { failure: Failure, host: String, attempts: u32, elapsed: Duration },
}

impl CallError {
    /// The port's word for it. `symbol` is the market that was asked for, if it was one.
    pub(crate) fn into_source_error(self, symbol: Option<&str>) -> SourceError {
        let (failure, host, attempts, elapsed) = match self {
            Self::Paused { until, reason } => return SourceError::RateLimited { until, reason },
            Self::Unreserved(error) => {
                let reason = format!(
                    "it was not asked, for the request budget in the database cannot be used: {error}"
                );
                return SourceError::Unavailable { reason, source: Some(Box::new(error)) };
            }
            Self::Failed { failure, host, attempts, elapsed } => (failure, host, attempts, elapsed),
        };
        let tried = match attempts {
            1 => String::new(),
            _ => format!("; gave up after {attempts} attempts in {:.1} s", elapsed.as_secs_f64()),
        };
        match (failure, symbol) {
            (Failure::Status { code: Some(UNKNOWN_SYMBOL), .. }, Some(symbol)) => {
                SourceError::UnknownAsset { symbol: symbol.to_owned() }
            }
            (failure @ Failure::Status { status: 451, .. }, _) => {
                SourceError::Blocked { reason: format!("{failure} - {WAY_OUT}") }
            }
            (failure @ Failure::Status { status: 300..=399, .. }, _) => SourceError::Refused {
                reason: format!(
                    "{failure} - redirects are not followed: set BINANCE_API_BASE_URL to the address itself"
                ),
            },
            (failure @ Failure::Status { status: 404, .. }, _) => {
                SourceError::Refused { reason: format!("{failure} - is BINANCE_API_BASE_URL right?") }
            }
            (failure @ Failure::Status { .. }, _) if verdict(&failure) == Verdict::GiveUp => {
                SourceError::Refused { reason: failure.to_string() }
            }
            (Failure::NoAnswer { kind, cause }, _) => SourceError::Unavailable {
                reason: format!("{kind} (host {host}): {cause}{tried} - check BINANCE_API_BASE_URL"),
                source: None,
            },
            (failure, _) => SourceError::Unavailable { reason: format!("{failure}{tried}"), source: None },
        }
    }
}
