//! What is counted of requests.

use poem::http::{Method, StatusCode};
use tokio::time::Instant;

/// How paths that lead nowhere are counted: as one, however many there are.
pub(crate) const UNMATCHED: &str = "unmatched";

/// A request from its arrival to its answer, as counted in the metrics.
pub(crate) struct Visit {
    route: String,
    method: &'static str,
    started: Instant,
}

impl Visit {
    /// A request to the endpoint `route` has arrived.
    pub(crate) fn begin(route: &str, method: &Method) -> Self {
        metrics::gauge!("ohlcv_http_requests_in_flight").increment(1);
        Self { route: route.to_owned(), method: known(method), started: Instant::now() }
    }

    /// Its answer is ready. One whose client went away before is not counted.
    pub(crate) fn answered(&self, status: StatusCode) -> std::time::Duration {
        let took = self.started.elapsed();
        let labels = [
            ("route", self.route.clone()),
            ("method", self.method.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        metrics::counter!("ohlcv_http_requests_total", &labels).increment(1);
        metrics::histogram!("ohlcv_http_request_duration_seconds", "route" => self.route.clone())
            .record(took);
        took
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        metrics::gauge!("ohlcv_http_requests_in_flight").decrement(1);
    }
}

/// Methods are words that clients choose: only the usual ones are counted apart.
fn known(method: &Method) -> &'static str {
    const USUAL: [Method; 7] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ];
    const NAMES: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
    USUAL.iter().position(|usual| usual == method).map_or("other", |at| NAMES[at])
}
