//! How many requests may use the database at once.

use tokio::sync::{Semaphore, SemaphorePermit};

use super::problem::Problem;

/// Requests that use the database at once, if nothing else is said. Ten have a connection, the others
/// wait for one; more would wait so long that their clients had better come again.
pub const DATABASE_REQUESTS_MAX: usize = 128;

/// Endpoints that need no turn: they do without the database, or have a bound of their own, and have to
/// answer also when there is too much to do.
const FREE: [&str; 12] = [
    "/",
    "/dashboard",
    "/dashboard/{version}/{file}",
    "/docs",
    "/openapi.json",
    "/livez",
    "/readyz",
    "/metrics",
    "/api/v1/health",
    "/api/v1/stream",
    "/udf/config",
    "/udf/time",
];
/// Candles come out of memory as a rule; where they do not, a turn is taken then. Those of a chart take theirs
/// when they know what they have to read, to say in its own words if there is none.
const LATER: [&str; 5] =
    ["/api/v1/ohlcv", "/api/v1/ohlcv/{asset}", "/udf/symbols", "/udf/search", "/udf/history"];

/// Lets requests in as long as there is room, and turns the others away at once.
pub(crate) struct Admission {
    room: Semaphore,
}

impl Admission {
    /// Room for `requests` that use the database.
    pub(crate) const fn new(requests: usize) -> Self {
        Self { room: Semaphore::const_new(requests) }
    }

    /// A turn for a request to the endpoint `route`, if it needs one.
    ///
    /// # Errors
    /// The problem of a service that has too much to do.
    pub(crate) fn admit(&self, route: &str) -> Result<Option<SemaphorePermit<'_>>, Problem> {
        if LATER.contains(&route) || FREE.contains(&route) {
            return Ok(None);
        }
        self.turn().map(Some)
    }

    /// A turn to use the database for an answer that has begun, and cannot be refused any more. The
    /// caller bounds how long it waits; how many wait is bounded by the number of such answers.
    pub(crate) async fn turn_in_time(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed, so a turn always comes.
        self.room.acquire().await.ok()
    }

    /// A turn to use the database, for who can also do without.
    pub(crate) fn free_turn(&self) -> Option<SemaphorePermit<'_>> {
        self.room.try_acquire().ok()
    }

    /// A turn to use the database.
    ///
    /// # Errors
    /// The problem of a service that has too much to do.
    pub(crate) fn turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.free_turn().ok_or_else(|| {
            metrics::counter!("ohlcv_http_requests_shed_total").increment(1);
            let detail = "too many requests wait for the database: try again a little later";
            Problem::overloaded(detail)
        })
    }
}
