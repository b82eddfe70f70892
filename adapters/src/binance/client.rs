//! The raw client: a method per endpoint, paced, retried, bounded.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use ohlcv_domain::Timestamp;
use ohlcv_ports::{Clock, Paused, RequestBudget};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, Url};
use tracing::{debug, warn};

use super::budget::{Budget, Halt, Pass, Urgency};
use super::error::{BinanceConfigError, CallError, Failure, NoAnswer};
use super::metrics;
use super::model::KlineRow;
use super::parse::{self, BodyError};
use super::query::{KlinesQuery, Request};
use super::retry::{Retries, Verdict, pause_after, verdict};
use super::share::Share;
use super::source::BinanceLimits;

pub(crate) const USER_AGENT: &str = concat!("ohlcv/", env!("CARGO_PKG_VERSION"));

/// Weight used in the exchange's current minute; the second is the older name of the first.
const USED_WEIGHT_HEADERS: [&str; 2] = ["x-mbx-used-weight-1m", "x-mbx-used-weight"];

/// The exchange counts weight by the minutes of its own clock.
const WEIGHT_WINDOW_MS: i64 = 60_000;

/// Waited beyond the end of the exchange's minute, for its clock is known to within a round trip.
const WEIGHT_WINDOW_MARGIN: Duration = Duration::from_millis(500);

/// Binance's REST API, as far as it is needed.
#[derive(Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: Url,
    budget: Budget,
    pace: Pace,
    limits: BinanceLimits,
    clock: Arc<dyn Clock>,
    // Exchange's clock minus local clock, as of the last answer of `time`.
    clock_offset_ms: AtomicI64,
}

/// How fast a client may ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) weight_per_minute: u32,
    pub(crate) request_delay: Duration,
    pub(crate) concurrent_requests_max: NonZeroUsize,
}

impl Pace {
    fn budget(self, share: Option<Share>) -> Budget {
        Budget::new(self.weight_per_minute, self.request_delay, self.concurrent_requests_max, share)
    }
}

impl Client {
    pub(crate) fn new(
        base_url: &str,
        pace: Pace,
        limits: BinanceLimits,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, BinanceConfigError> {
        let base = parse_base_url(base_url)?;
        // The cryptography that the database driver brings too; an embedder's own choice stands.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder()
            .user_agent(USER_AGENT)
            .default_headers(HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]))
            .connect_timeout(limits.connect_timeout)
            .timeout(limits.request_timeout)
            .redirect(Policy::none())
            // Each attempt has to pass the budget.
            .retry(reqwest::retry::never())
            .gzip(true)
            .build()
            .map_err(|error| BinanceConfigError::HttpClient(Box::new(error)))?;
        Ok(Self {
            http,
            base,
            budget: pace.budget(None),
            pace,
            limits,
            clock,
            clock_offset_ms: AtomicI64::new(0),
        })
    }

    /// The same client with a pace of its own, within a budget that is shared.
    pub(crate) fn sharing(&self, budget: Arc<dyn RequestBudget>) -> Self {
        let Pace { weight_per_minute, request_delay, .. } = self.pace;
        let share = Share::new(budget, self.host(), weight_per_minute, request_delay);
        Self {
            http: self.http.clone(),
            base: self.base.clone(),
            budget: self.pace.budget(Some(share)),
            pace: self.pace,
            limits: self.limits,
            clock: Arc::clone(&self.clock),
            clock_offset_ms: AtomicI64::new(self.clock_offset_ms.load(Ordering::Relaxed)),
        }
    }

    /// `GET /api/v3/time`.
    pub(crate) async fn time(self: &Arc<Self>, urgency: Urgency) -> Result<Timestamp, CallError> {
        let time = self.call(&Request::time(), urgency, parse::server_time).await?;
        let offset_ms = time.millis() - self.clock.now().millis();
        self.clock_offset_ms.store(offset_ms, Ordering::Relaxed);
        metrics::clock_offset(offset_ms);
        Ok(time)
    }

    /// `GET /api/v3/klines`.
    pub(crate) async fn klines(
        self: &Arc<Self>,
        query: &KlinesQuery,
        urgency: Urgency,
    ) -> Result<Vec<KlineRow>, CallError> {
        self.call(&Request::klines(query), urgency, parse::klines).await
    }

    /// Asks until there is an answer, or asking again makes no sense, or the limits are reached.
    async fn call<T>(
        self: &Arc<Self>,
        request: &Request,
        urgency: Urgency,
        decode: fn(&[u8]) -> Result<T, BodyError>,
    ) -> Result<T, CallError> {
        let pause_max = self.limits.wait_max;
        let pass = self
            .budget
            .acquire(request.weight, urgency, pause_max)
            .await
            .map_err(|halt| self.halted(halt))?;
        let mut retries = Retries::begin(&self.limits);
        let mut outcome = self.attempt(pass, request, decode, retries.attempts()).await;
        loop {
            let failure = match outcome {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let verdict = verdict(&failure);
            let failed_attempt = retries.attempts();
            let delay = if verdict == Verdict::GiveUp { None } else { retries.next_delay() };
            let Some(delay) = delay else {
                return Err(self.give_up(failure, verdict, &retries));
            };
            if verdict == Verdict::Retry {
                let delay_s = delay.as_secs_f64();
                let (request, host) = (request.describe(), self.host());
                warn!(request, attempt = failed_attempt, "{failure}; asking {host} again in {delay_s:.1} s");
            }
            tokio::time::sleep(delay).await;
            let pause_max = self.limits.wait_max.min(retries.time_left());
            let pass = self
                .budget
                .acquire(request.weight, urgency, pause_max)
                .await
                .map_err(|halt| self.halted(halt))?;
            outcome = self.attempt(pass, request, decode, retries.attempts()).await;
        }
    }

    fn give_up(&self, failure: Failure, verdict: Verdict, retries: &Retries) -> CallError {
        if verdict == Verdict::Pause
            && let Some(paused) = self.budget.paused()
        {
            return self.paused(Paused { left: paused.left, reason: failure.to_string() });
        }
        let (attempts, elapsed) = (retries.attempts(), retries.elapsed());
        CallError::Failed { failure, host: self.host(), attempts, elapsed }
    }

    /// Who is asked, for messages and for the shared budget: without the user and password that an address may hold.
    pub(crate) fn host(&self) -> String {
        let host = self.base.host_str().unwrap_or_default();
        self.base.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    fn halted(&self, halt: Halt) -> CallError {
        match halt {
            Halt::Paused(paused) => self.paused(paused),
            Halt::Unreserved(error) => CallError::Unreserved(error),
        }
    }

    fn paused(&self, paused: Paused) -> CallError {
        CallError::Paused { until: self.clock.now().saturating_add(paused.left), reason: paused.reason }
    }

    /// One request, counted.
    async fn attempt<T>(
        self: &Arc<Self>,
        pass: Pass<'_>,
        request: &Request,
        decode: fn(&[u8]) -> Result<T, BodyError>,
        attempt: u32,
    ) -> Result<T, Failure> {
        let outcome = self.send(pass, request, decode, attempt).await;
        metrics::request_ended(request, &outcome);
        outcome
    }

    /// One request. What the answer says about the pace is heeded before anything else, while this
    /// request still counts as under way.
    async fn send<T>(
        self: &Arc<Self>,
        _pass: Pass<'_>,
        request: &Request,
        decode: fn(&[u8]) -> Result<T, BodyError>,
        attempt: u32,
    ) -> Result<T, Failure> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{}", self.base.path(), request.path));
        let outcome = self.http.get(url).query(&request.parameters).send().await;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                debug!(request = request.describe(), attempt, "no answer from Binance");
                return Err(error.into());
            }
        };
        let status = response.status();
        let used_weight = used_weight(response.headers());
        debug!(
            request = request.describe(),
            attempt,
            status = status.as_u16(),
            used_weight,
            "answer from Binance"
        );
        if let Some(used_weight) = used_weight {
            self.heed_used_weight(used_weight);
        }
        if status.is_success() {
            return read_answer(response, self.limits.body_bytes_max, decode).await;
        }
        // In a task of its own: whoever waits here may be told to stop, but the others have to learn of
        // a ban all the same.
        let client = Arc::clone(self);
        let heeded = tokio::spawn(async move { client.heed_refusal(response).await });
        match heeded.await {
            Ok(failure) => Err(failure),
            Err(error) => Err(Failure::NoAnswer { kind: NoAnswer::Broken, cause: error.to_string() }),
        }
    }

    async fn heed_refusal(&self, response: Response) -> Failure {
        let failure = self.read_refusal(response).await;
        if verdict(&failure) == Verdict::Pause {
            let pause = pause_after(&failure, &self.limits, self.exchange_now());
            self.budget.pause_all(pause, &failure.to_string()).await;
        }
        failure
    }

    /// Each process that asks is told by itself, so the others need not be.
    fn heed_used_weight(&self, used_weight: u32) {
        metrics::weight_used(used_weight);
        let per_minute = self.pace.weight_per_minute;
        if used_weight < per_minute {
            return;
        }
        let into_window_ms = self.exchange_now().millis().rem_euclid(WEIGHT_WINDOW_MS);
        // Holds: the remainder is 0 to 59,999.
        let left = Duration::from_millis((WEIGHT_WINDOW_MS - into_window_ms).unsigned_abs());
        let reason = format!("{used_weight} of {per_minute} request weight are used this minute");
        self.budget.pause(left + WEIGHT_WINDOW_MARGIN, &reason);
    }

    /// The exchange's time as far as it is known without asking.
    fn exchange_now(&self) -> Timestamp {
        let now = self.clock.now();
        let offset_ms = self.clock_offset_ms.load(Ordering::Relaxed);
        Timestamp::from_millis(now.millis().saturating_add(offset_ms)).unwrap_or(now)
    }

    async fn read_refusal(&self, response: Response) -> Failure {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after =
            retry_after.and_then(|seconds| seconds.trim().parse().ok()).map(Duration::from_secs);
        let location = response.headers().get(LOCATION).map(|to| parse::excerpt(to.as_bytes()));
        // The status says what to do, also when the body breaks off.
        let body = read_body(response, self.limits.body_bytes_max).await.unwrap_or_default();
        let error = parse::api_error(&body);
        let said = match (&error, location) {
            (Some(error), _) => parse::excerpt(error.msg.as_bytes()),
            (None, Some(to)) if status.is_redirection() => format!("a redirect to {to}"),
            (None, _) if body.is_empty() => "an empty body".to_owned(),
            (None, _) => parse::excerpt(&body),
        };
        Failure::Status { status: status.as_u16(), code: error.map(|error| error.code), said, retry_after }
    }
}

/// The address that endpoints are appended to; its path ends with a slash.
pub(crate) fn parse_base_url(value: &str) -> Result<Url, BinanceConfigError> {
    let wrong =
        |reason: &str| BinanceConfigError::BaseUrl { value: value.to_owned(), reason: reason.to_owned() };
    let mut base = Url::parse(value.trim()).map_err(|error| wrong(&format!("is no address ({error})")))?;
    if !matches!(base.scheme(), "http" | "https") {
        return Err(wrong("is neither http nor https"));
    }
    if base.query().is_some() || base.fragment().is_some() {
        return Err(wrong("has a query or a fragment"));
    }
    let path = format!("{}/", base.path().trim_end_matches('/'));
    base.set_path(&path);
    Ok(base)
}

fn used_weight(headers: &HeaderMap) -> Option<u32> {
    // Names in a HeaderMap compare without regard to case.
    let value = USED_WEIGHT_HEADERS.iter().find_map(|name| headers.get(*name))?;
    value.to_str().ok()?.trim().parse().ok()
}

async fn read_answer<T>(
    response: Response,
    bytes_max: usize,
    decode: fn(&[u8]) -> Result<T, BodyError>,
) -> Result<T, Failure> {
    let content_type = response.headers().get(CONTENT_TYPE).map(|value| parse::excerpt(value.as_bytes()));
    let is_other = content_type.as_ref().is_some_and(|kind| !kind.to_ascii_lowercase().contains("json"));
    let status = response.status();
    let body = read_body(response, bytes_max).await?;
    let unusable = |what: &str| match parse::excerpt(&body) {
        head if head.is_empty() => Failure::Unusable { status: status.as_u16(), reason: what.to_owned() },
        head => Failure::Unusable { status: status.as_u16(), reason: format!("{what}: {head}") },
    };
    if is_other {
        return Err(unusable(&format!("content of type {}", content_type.unwrap_or_default())));
    }
    decode(&body).map_err(|error| unusable(&error.to_string()))
}

/// The whole body, never more than `bytes_max` of it at once in memory.
async fn read_body(mut response: Response, bytes_max: usize) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if chunk.len() > bytes_max - body.len() {
            return Err(Failure::TooLong { bytes_max });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_address_may_have_a_path_and_a_slash() {
        let path = |text: &str| parse_base_url(text).map(|url| url.to_string()).unwrap();
        assert_eq!(path("https://api.binance.com"), "https://api.binance.com/");
        assert_eq!(path(" http://localhost:8080/binance/ "), "http://localhost:8080/binance/");
        assert_eq!(path("https://proxy.example/binance"), "https://proxy.example/binance/");
    }

    #[test]
    fn a_wrong_base_address_is_refused_by_name() {
        for text in
            ["", "api.binance.com", "ftp://api.binance.com", "https://", "https://a/?b=1", "https://a/#b"]
        {
            let error = parse_base_url(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("the base address \"{text}\" ")), "{error}");
        }
    }

    #[test]
    fn the_used_weight_is_read_under_either_name() {
        let mut headers = HeaderMap::new();
        assert_eq!(used_weight(&headers), None);
        headers.insert("X-MBX-USED-WEIGHT", HeaderValue::from_static("7"));
        assert_eq!(used_weight(&headers), Some(7));
        headers.insert("X-Mbx-Used-Weight-1M", HeaderValue::from_static("190"));
        assert_eq!(used_weight(&headers), Some(190));
    }
}
