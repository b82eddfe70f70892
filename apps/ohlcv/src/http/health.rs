//! Whether the service works, for people, monitors and orchestrators; and what it is.

use std::sync::Arc;

use ohlcv_domain::Timestamp;
use ohlcv_ports::Clock;
use poem::http::StatusCode;
use poem::{IntoResponse, Response};
use poem_openapi::registry::{MetaResponses, Registry};
use poem_openapi::types::Type;
use poem_openapi::{ApiResponse, Object, OpenApi};
use serde::Serialize;

use super::dashboard::PAGE_PATH;
use super::dto::{Prepared, Time};
use super::problem::{Problem, ProblemBody, documented};
use super::readiness::Readiness;
use super::{DOCS_PATH, METRICS_PATH, OPENAPI_PATH, Tag, VERSION};

/// The service and what it offers.
#[derive(Object, Serialize)]
#[oai(rename = "Service")]
pub(crate) struct ServiceBody {
    /// Its name.
    name: String,
    /// Its version.
    version: String,
    /// Where to go on.
    links: LinksBody,
}

/// Where to go on. `{asset}` stands for the name of an asset.
#[derive(Object, Serialize)]
#[oai(rename = "Links")]
pub(crate) struct LinksBody {
    /// What is stored, drawn, for people.
    dashboard: String,
    /// This API for people.
    docs: String,
    /// This API for programs.
    openapi: String,
    /// Whether the service works.
    health: String,
    /// What there is to watch, for Prometheus.
    metrics: String,
    /// What is stored.
    assets: String,
    /// Candles of one asset.
    candles: String,
}

/// That the process is up, or ready.
#[derive(Object, Serialize)]
#[oai(rename = "Probe")]
pub(crate) struct ProbeBody {
    /// `alive` or `ready`.
    status: String,
}

/// Whether the service works.
#[derive(Object, Serialize)]
#[oai(rename = "Health")]
pub(crate) struct HealthBody {
    /// `healthy` or `unhealthy`.
    status: String,
    /// `connected` or `disconnected`.
    database: String,
    /// When this was found out, to the second.
    timestamp: Time,
}

/// The operations that are not about candles.
pub(crate) struct HealthApi {
    pub(crate) readiness: Readiness,
    pub(crate) clock: Arc<dyn Clock>,
}

#[OpenApi]
impl HealthApi {
    /// What this is
    ///
    /// A browser, which likes `text/html` better than JSON, is shown the dashboard instead.
    #[oai(path = "/", method = "get", operation_id = "get_service", tag = "Tag::Service")]
    async fn service(&self) -> Result<Prepared<ServiceBody>, Problem> {
        Ok(Prepared::of(&ServiceBody {
            name: "ohlcv".to_owned(),
            version: VERSION.to_owned(),
            links: LinksBody {
                dashboard: PAGE_PATH.to_owned(),
                docs: DOCS_PATH.to_owned(),
                openapi: OPENAPI_PATH.to_owned(),
                health: "/api/v1/health".to_owned(),
                metrics: METRICS_PATH.to_owned(),
                assets: "/api/v1/assets".to_owned(),
                candles: "/api/v1/ohlcv/{asset}".to_owned(),
            },
        }))
    }

    /// Whether the service works
    #[oai(path = "/api/v1/health", method = "get", operation_id = "get_health", tag = "Tag::Service")]
    async fn health(&self) -> HealthAnswer {
        let healthy = self.readiness.database_answers().await;
        let (status, database) =
            if healthy { ("healthy", "connected") } else { ("unhealthy", "disconnected") };
        let body = HealthBody {
            status: status.to_owned(),
            database: database.to_owned(),
            timestamp: Time(whole_seconds(self.clock.now())),
        };
        HealthAnswer { healthy, body: Prepared::of(&body) }
    }
}

/// The operations for orchestrators.
pub(crate) struct ProbesApi {
    pub(crate) readiness: Readiness,
}

#[OpenApi]
impl ProbesApi {
    /// Whether the process is up
    ///
    /// Does not look at the database.
    #[oai(path = "/livez", method = "get", operation_id = "get_livez", tag = "Tag::Service")]
    async fn livez(&self) -> Result<Prepared<ProbeBody>, Problem> {
        Ok(Prepared::of(&ProbeBody { status: "alive".to_owned() }))
    }

    /// Whether requests can be answered
    ///
    /// That is, whether the database can be reached and has the schema that this version needs.
    #[oai(path = "/readyz", method = "get", operation_id = "get_readyz", tag = "Tag::Service")]
    async fn readyz(&self) -> Result<Prepared<ProbeBody>, Problem> {
        if self.readiness.database_answers().await {
            Ok(Prepared::of(&ProbeBody { status: "ready".to_owned() }))
        } else {
            let detail = "the database cannot be used now, or has another schema than this version needs; \
                the service's log says which";
            Err(Problem::unavailable(detail))
        }
    }
}

fn whole_seconds(at: Timestamp) -> Timestamp {
    // Holds: the earliest instant of all is a whole second.
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(1_000)).unwrap_or(at)
}

/// The same body whether healthy or not; the status tells.
pub(crate) struct HealthAnswer {
    healthy: bool,
    body: Prepared<HealthBody>,
}

impl IntoResponse for HealthAnswer {
    fn into_response(self) -> Response {
        let status = if self.healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        self.body.with_status(status).into_response()
    }
}

impl ApiResponse for HealthAnswer {
    fn meta() -> MetaResponses {
        let mut meta = documented(&[StatusCode::BAD_REQUEST, StatusCode::INTERNAL_SERVER_ERROR]);
        meta.responses.insert(0, Prepared::<HealthBody>::documented(200, "The service works."));
        meta.responses.push(Prepared::<HealthBody>::documented(503, "The database cannot be reached."));
        meta
    }

    fn register(registry: &mut Registry) {
        HealthBody::register(registry);
        ProblemBody::register(registry);
    }
}
