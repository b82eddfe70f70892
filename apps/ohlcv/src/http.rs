//! The service's HTTP API.
//!
//! The operations are documented where they are written, and the document decides which paths,
//! methods and parameters are let in (`routes`). Every answer passes `edge`, every error is
//! rendered in `problem`.

mod access;
mod admission;
mod assets;
mod body;
mod candle_bytes;
mod candles;
mod compression;
mod conditional;
mod connections;
mod cors;
mod cutting;
mod dashboard;
mod document;
mod dto;
mod edge;
mod formats;
mod formatted;
mod fronts;
mod gaps;
mod health;
mod jobs;
mod no_answer;
mod on_runtime;
mod paged;
mod pieces;
mod prepared;
mod present;
mod prices;
mod problem;
mod query;
mod readiness;
mod repeats;
mod request_id;
mod revisions;
mod routes;
mod row_stream;
mod server;
mod several;
mod stream;
#[cfg(test)]
mod tests;
mod trigger;
mod udf;
mod visit;

use std::collections::HashMap;
use std::sync::Arc;

use ohlcv_domain::Asset;
use ohlcv_ports::{CandleStore, Clock, Jobs};
use ohlcv_usecases::{
    FollowSeries, LastPrices, ListAssets, ListGaps, ListRevisions, QueryCandles, ReadSeries, SubmitJob,
};
use poem::endpoint::{BoxEndpoint, make, make_sync};
use poem::http::{Method, header};
use poem::{Endpoint, Response, Route};
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService, Tags};
use tokio_util::sync::CancellationToken;

pub use self::admission::DATABASE_REQUESTS_MAX;
pub use self::cors::CorsOrigins;
pub use self::edge::Edge;
pub use self::server::serve;

pub(crate) use self::assets::AssetsBody;
pub(crate) use self::candle_bytes::push_row;
pub(crate) use self::formats::{Encoder, Format, Layout, Shape};

use self::access::Access;
use self::admission::Admission;
use self::assets::AssetsApi;
use self::candles::CandlesApi;
use self::compression::Compression;
use self::dashboard::{Dashboard, WithDashboard};
use self::edge::{Gates, Kept};
use self::formatted::Formatted;
use self::gaps::GapsApi;
use self::health::{HealthApi, ProbesApi};
use self::jobs::JobsApi;
use self::no_answer::NoAnswer;
use self::prepared::PreparedCandles;
use self::prices::PricesApi;
use self::readiness::Readiness;
use self::repeats::Repeats;
use self::revisions::RevisionsApi;
use self::routes::Routes;
use self::row_stream::{RowStreams, StreamLimits};
use self::several::SeveralApi;
use self::stream::{StreamApi, StreamParts};
use self::trigger::TriggerApi;
use self::udf::Udf;
use crate::monitoring::Metrics;
use crate::settings::ApiKeys;

const TITLE: &str = "ohlcv";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DOCS_PATH: &str = "/docs";
const OPENAPI_PATH: &str = "/openapi.json";
const METRICS_PATH: &str = "/metrics";
/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Holds the page to what it promises: it brings all it needs, and asks nobody but this service.
const DOCS_SECURITY_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the API is made of.
#[derive(Clone, Debug)]
pub struct HttpParts {
    /// What candles are read from.
    pub series: ReadSeries,
    /// Lists what is stored.
    pub assets: ListAssets,
    /// Lists what is missing.
    pub gaps: ListGaps,
    /// Lists candles that were replaced.
    pub revisions: ListRevisions,
    /// Takes fetches that are asked for.
    pub submit: SubmitJob,
    /// What has become of them.
    pub jobs: Arc<dyn Jobs>,
    /// Asked only whether it is ready.
    pub store: Arc<dyn CandleStore>,
    /// Dates the health report.
    pub clock: Arc<dyn Clock>,
    /// The asset that all prices are in: `BTCUSDT` is recognised as the market of `BTC` by it.
    pub quote: Asset,
    /// The assets whose markets are recognised.
    pub tracked: Vec<Asset>,
    /// The origins whose pages may read the answers.
    pub cors: CorsOrigins,
    /// What opens the protected endpoints.
    pub api_keys: ApiKeys,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// How many requests may use the database at once; [`DATABASE_REQUESTS_MAX`] in production.
    pub database_requests_max: usize,
    /// How much of the candles that were read is kept in memory, ready to be sent, in bytes: half of it
    /// rows, a quarter whole answers, a quarter compressed ones.
    pub read_cache_bytes: u64,
    /// When it is cancelled, answers that would go on for ever end.
    pub stop: CancellationToken,
}

/// All operations.
type Api = (
    HealthApi,
    ProbesApi,
    AssetsApi,
    GapsApi,
    RevisionsApi,
    CandlesApi,
    SeveralApi,
    PricesApi,
    StreamApi,
    TriggerApi,
    JobsApi,
);

#[derive(Tags)]
enum Tag {
    /// Stored candles.
    Candles,
    /// Fetches that were asked for. They need a key.
    Jobs,
    /// The service itself.
    Service,
}

/// The whole API, ready to be served. What it opens and starts belongs to the runtime that this is called in.
#[must_use]
pub fn endpoint(parts: HttpParts) -> Edge {
    let HttpParts {
        series,
        assets,
        gaps,
        revisions,
        submit,
        jobs,
        store,
        clock,
        quote,
        tracked,
        cors,
        api_keys,
        metrics,
        database_requests_max,
        read_cache_bytes,
        stop,
    } = parts;
    let readiness = Readiness::of(store);
    let admission = Arc::new(Admission::new(database_requests_max));
    let no_answer = NoAnswer { quote, tracked };
    let prepared = PreparedCandles::new(series.clone(), read_cache_bytes / 2, Arc::clone(&admission));
    let prepared = Arc::new(prepared);
    let query = QueryCandles::new(series.clone());
    let formatted = Formatted {
        query: query.clone(),
        streams: RowStreams::new(Arc::clone(&admission), no_answer.clone(), StreamLimits::default()),
        admission: Arc::clone(&admission),
        no_answer: no_answer.clone(),
    };
    let access = Arc::new(Access::new(api_keys));
    let stream = StreamApi::new(StreamParts {
        series: FollowSeries::new(series.clone(), gaps.clone()),
        jobs: Arc::clone(&jobs),
        clock: Arc::clone(&clock),
        admission: Arc::clone(&admission),
        access: Arc::clone(&access),
        no_answer: no_answer.clone(),
        stop,
    });
    let udf = Udf {
        series: series.clone(),
        prepared: Arc::clone(&prepared),
        query: query.clone(),
        assets: assets.clone(),
        clock: Arc::clone(&clock),
        admission: Arc::clone(&admission),
        no_answer: no_answer.clone(),
    };
    let operations: Api = (
        HealthApi { readiness: readiness.clone(), clock: Arc::clone(&clock) },
        ProbesApi { readiness },
        AssetsApi { assets },
        GapsApi { gaps, no_answer: no_answer.clone() },
        RevisionsApi { revisions, no_answer: no_answer.clone() },
        CandlesApi {
            prepared: Arc::clone(&prepared),
            query,
            clock: Arc::clone(&clock),
            admission: Arc::clone(&admission),
            no_answer: no_answer.clone(),
            formatted: formatted.clone(),
        },
        SeveralApi {
            prepared: Arc::clone(&prepared),
            formatted,
            clock: Arc::clone(&clock),
            no_answer: no_answer.clone(),
        },
        PricesApi { prices: LastPrices::new(series.clone()), clock: Arc::clone(&clock), no_answer, quote },
        stream,
        TriggerApi { submit },
        JobsApi { jobs, clock },
    );
    let document = openapi_document();
    let page = described().swagger_ui_html();
    let routes = Route::new()
        .at(OPENAPI_PATH, make_sync(move |_| json(document.clone())))
        .at(DOCS_PATH, make_sync(move |_| html(page.clone())))
        .at(METRICS_PATH, metrics_page(metrics));
    let routes = udf.routes(routes).nest("/", OpenApiService::new(operations, TITLE, VERSION));
    let known = Routes::of::<Api>(&[
        DOCS_PATH,
        OPENAPI_PATH,
        METRICS_PATH,
        dashboard::PAGE_PATH,
        dashboard::FILE_PATH,
    ])
    .with_foreign(&udf::PATHS);
    let gates = Gates { access, admission, cors };
    let kept = Kept {
        repeats: Some(Repeats::keeping(series, prepared, read_cache_bytes / 4)),
        compression: Arc::new(Compression::keeping(read_cache_bytes / 4)),
    };
    let pages = WithDashboard { dashboard: Dashboard::default(), others: routes };
    Edge::new(pages, known, gates, kept)
}

/// What a process without an API has for monitors and orchestrators: `/livez`, `/readyz`, `/metrics`.
#[must_use]
pub fn monitoring_endpoint(store: Arc<dyn CandleStore>, metrics: Metrics) -> Edge {
    let operations = ProbesApi { readiness: Readiness::of(store) };
    let routes = Route::new()
        .at(METRICS_PATH, metrics_page(metrics))
        .nest("/", OpenApiService::new(operations, TITLE, VERSION));
    let known = Routes::of::<ProbesApi>(&[METRICS_PATH]);
    let gates = Gates {
        access: Arc::new(Access::new(ApiKeys::default())),
        admission: Arc::new(Admission::new(DATABASE_REQUESTS_MAX)),
        cors: CorsOrigins::None,
    };
    let kept = Kept { repeats: None, compression: Arc::new(Compression::keeping(0)) };
    Edge::new(routes, known, gates, kept)
}

fn metrics_page(metrics: Metrics) -> impl Endpoint {
    make(move |_| {
        let metrics = metrics.clone();
        async move { Response::builder().content_type(METRICS_TYPE).body(metrics.render().await) }
    })
}

/// The OpenAPI document, as JSON for people.
#[must_use]
pub fn openapi_document() -> String {
    described().spec()
}

/// The document alone, without anything that could answer.
fn described() -> OpenApiService<Described, ()> {
    OpenApiService::new(Described, TITLE, VERSION)
        .description(
            "Candles of Binance's spot markets as the exchange sent them: prices and volumes are strings with \
             eight decimal places, times are UTC, ranges include their start and exclude their end. \
             Every error is an `application/problem+json` (RFC 9457) whose `code` stays the same.",
        )
        .license("MIT OR Apache-2.0")
        .server("/")
}

/// The operations as documented: making a document needs no database.
struct Described;

impl OpenApi for Described {
    fn meta() -> Vec<MetaApi> {
        Api::meta()
    }

    fn register(registry: &mut Registry) {
        Api::register(registry);
        document::say_fields_once(registry);
    }

    fn add_routes(self, _: &mut HashMap<String, HashMap<Method, BoxEndpoint<'static>>>) {}
}

fn json(body: String) -> Response {
    Response::builder().content_type("application/json").body(body)
}

fn html(body: String) -> Response {
    Response::builder()
        .content_type("text/html; charset=utf-8")
        .header(header::CONTENT_SECURITY_POLICY, DOCS_SECURITY_POLICY)
        .body(body)
}
