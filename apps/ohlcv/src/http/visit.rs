//! What is counted of requests.

use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};
use poem::http::{Method, StatusCode};
use tokio::time::Instant;

/// How paths that lead nowhere are counted: as one, however many there are.
pub(crate) const UNMATCHED: &str = "unmatched";

/// What is counted of the requests to one endpoint. To look a metric up by its labels costs more than
/// to count, so what was found is kept.
#[derive(Debug)]
pub(crate) struct Visits {
    route: String,
    in_flight: OnceLock<Gauge>,
    duration: OnceLock<Histogram>,
    // One for each method and status that there was: a handful.
    answered: RwLock<Vec<Answered>>,
}

struct Answered {
    method: &'static str,
    status: StatusCode,
    counter: Counter,
}

impl std::fmt::Debug for Answered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.status)
    }
}

/// A request from its arrival to its answer, as counted in the metrics.
pub(crate) struct Visit<'a> {
    visits: &'a Visits,
    method: &'static str,
    started: Instant,
}

impl Visits {
    /// Those of the endpoint `route`.
    pub(crate) const fn to(route: String) -> Self {
        Self {
            route,
            in_flight: OnceLock::new(),
            duration: OnceLock::new(),
            answered: RwLock::new(Vec::new()),
        }
    }

    /// A request has arrived.
    pub(crate) fn begin(&self, method: &Method) -> Visit<'_> {
        self.in_flight().increment(1);
        Visit { visits: self, method: known(method), started: Instant::now() }
    }

    fn in_flight(&self) -> &Gauge {
        self.in_flight.get_or_init(|| metrics::gauge!("ohlcv_http_requests_in_flight"))
    }

    fn count(&self, method: &'static str, status: StatusCode) {
        let same = |one: &&Answered| one.method == method && one.status == status;
        let answered = self.answered.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answered.iter().find(same) {
            return known.counter.increment(1);
        }
        drop(answered);
        let labels = [
            ("route", self.route.clone()),
            ("method", method.to_owned()),
            ("status", status.as_str().to_owned()),
        ];
        // Two that come at once get the same one.
        let counter = metrics::counter!("ohlcv_http_requests_total", &labels);
        counter.increment(1);
        let mut answered = self.answered.write().unwrap_or_else(PoisonError::into_inner);
        answered.push(Answered { method, status, counter });
    }
}

impl Visit<'_> {
    /// Its answer is ready. One whose client went away before is not counted.
    pub(crate) fn answered(&self, status: StatusCode) -> Duration {
        let took = self.started.elapsed();
        self.visits.count(self.method, status);
        let duration = self.visits.duration.get_or_init(
            || metrics::histogram!("ohlcv_http_request_duration_seconds", "route" => self.visits.route.clone()),
        );
        duration.record(took);
        took
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.visits.in_flight().decrement(1);
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
