//! The service's HTTP API.
//!
//! The operations are documented where they are written, and the document decides which paths,
//! methods and parameters are let in (`routes`). Every answer passes `edge`, every error is
//! rendered in `problem`.

mod access;
mod assets;
mod candle_bytes;
mod candles;
mod cors;
mod dto;
mod edge;
mod health;
mod jobs;
mod problem;
mod query;
mod routes;
#[cfg(test)]
mod tests;
mod trigger;

use std::collections::HashMap;
use std::sync::Arc;

use ohlcv_domain::Asset;
use ohlcv_ports::{CandleStore, Clock, Jobs};
use ohlcv_usecases::{ListAssets, QueryCandles, SubmitJob};
use poem::endpoint::{BoxEndpoint, make_sync};
use poem::http::{Method, header};
use poem::{EndpointExt, Response, Route};
use poem_openapi::registry::{MetaApi, Registry};
use poem_openapi::{OpenApi, OpenApiService, Tags};

pub use self::cors::CorsOrigins;

use self::access::Access;
use self::assets::AssetsApi;
use self::candles::CandlesApi;
use self::edge::Edge;
use self::health::HealthApi;
use self::jobs::JobsApi;
use self::routes::Routes;
use self::trigger::TriggerApi;
use crate::settings::ApiKeys;

const TITLE: &str = "ohlcv";
const VERSION: &str = env!("CARGO_PKG_VERSION");
const DOCS_PATH: &str = "/docs";
const OPENAPI_PATH: &str = "/openapi.json";

/// Holds the page to what it promises: it brings all it needs, and asks nobody but this service.
const DOCS_SECURITY_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// What the API is made of.
#[derive(Clone, Debug)]
pub struct HttpParts {
    /// Answers ranges of candles.
    pub query: QueryCandles,
    /// Lists what is stored.
    pub assets: ListAssets,
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
}

/// All operations.
type Api = (HealthApi, AssetsApi, CandlesApi, TriggerApi, JobsApi);

#[derive(Tags)]
enum Tag {
    /// Stored candles.
    Candles,
    /// Fetches that were asked for. They need a key.
    Jobs,
    /// The service itself.
    Service,
}

/// The whole API, ready to be served.
#[must_use]
pub fn endpoint(parts: HttpParts) -> BoxEndpoint<'static> {
    let HttpParts { query, assets, submit, jobs, store, clock, quote, tracked, cors, api_keys } = parts;
    let operations: Api = (
        HealthApi { store, clock: Arc::clone(&clock) },
        AssetsApi { assets },
        CandlesApi { query, quote, tracked },
        TriggerApi { submit },
        JobsApi { jobs, clock },
    );
    let document = openapi_document();
    let page = described().swagger_ui_html();
    let routes = Route::new()
        .at(OPENAPI_PATH, make_sync(move |_| json(document.clone())))
        .at(DOCS_PATH, make_sync(move |_| html(page.clone())))
        .nest("/", OpenApiService::new(operations, TITLE, VERSION));
    let pages = [DOCS_PATH, OPENAPI_PATH];
    Edge::new(routes, Routes::of::<Api>(&pages), Access::new(api_keys), cors).boxed()
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
