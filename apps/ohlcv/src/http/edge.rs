//! What happens to every request, whatever it asks for.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, Method, StatusCode, header};
use poem::middleware::CatchPanic;
use poem::{Addr, EndpointExt, IntoResponse, Request, Response};
use tracing::Instrument;

use super::access::Access;
use super::admission::Admission;
use super::body::read_body;
use super::compression::{Coding, Compression};
use super::conditional::{known_tags, unless_known};
use super::cors::CorsOrigins;
use super::problem::{Problem, render, shortened};
use super::repeats::Repeats;
use super::request_id::{self, request_id};
use super::routes::{Endpoint, Routes};

/// The longest that a client is kept waiting for an answer. The store gives up earlier by itself.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// The outermost endpoint: it never fails, and all that it answers looks alike.
pub(crate) struct Edge {
    inner: BoxEndpoint<'static>,
    routes: Routes,
    gates: Gates,
    kept: Kept,
}

/// Answers that are kept in memory.
pub(crate) struct Kept {
    /// As they were made, if there are any that can be given again.
    pub(crate) repeats: Option<Repeats>,
    /// Compressed.
    pub(crate) compression: Compression,
}

/// What a request has to pass.
pub(crate) struct Gates {
    /// Who may use the protected endpoints.
    pub(crate) access: Access,
    /// How many may use the database at once.
    pub(crate) admission: Arc<Admission>,
    /// Whose pages may read the answers.
    pub(crate) cors: CorsOrigins,
}

impl Edge {
    pub(crate) fn new(
        inner: impl poem::Endpoint + 'static,
        routes: Routes,
        gates: Gates,
        kept: Kept,
    ) -> Self {
        let inner = inner.with(CatchPanic::new().with_handler(panicked)).boxed();
        Self { inner, routes, gates, kept }
    }

    /// The whole answer, counted and logged.
    async fn visit(&self, mut request: Request) -> Response {
        let method = request.method().clone();
        // Put together only where somebody reads it.
        let told = tracing::enabled!(tracing::Level::DEBUG)
            .then(|| (shortened(request.uri().path()), client(&request)));
        let endpoint = self.routes.at(request.uri().path());
        let visit = self.routes.visits(endpoint).begin(&method);
        let cors = self.gates.cors.headers(request.headers());
        let coding = Coding::wanted(request.headers());
        let known = known_tags(request.headers());
        let head_only = method == Method::HEAD;
        if head_only {
            request.set_method(Method::GET);
        }
        let mut response = match tokio::time::timeout(ANSWER_TIME_MAX, self.answer(request, endpoint)).await {
            Ok(response) => response,
            Err(_) => {
                tracing::warn!(waited = ?ANSWER_TIME_MAX, "a request was given up");
                Problem::unavailable("the answer took too long: try again a little later").into_response()
            }
        };
        for (name, value) in &cors {
            // Beside what is said already: an answer may vary by more than its origin.
            response.headers_mut().append(name.clone(), value.clone());
        }
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let response = unless_known(&known, response);
        // A body that it works on is whole in memory, so this waits for nothing but its turn.
        let (mut response, bytes) = self.kept.compression.coded(response, coding).await;
        if head_only && response.status() != StatusCode::NOT_MODIFIED {
            drop(response.take_body());
            if let Some(bytes) = bytes {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            }
        }
        let status = response.status();
        let took = visit.answered(status);
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let status = status.as_u16();
        if let Some((path, client)) = told {
            tracing::debug!(%method, path, status, duration_ms, bytes, client, "answered");
        }
        response
    }

    /// The answer that was given before, if it is still the right one; else a new one.
    async fn answer(&self, request: Request, endpoint: Option<&Endpoint>) -> Response {
        if let Some(response) = self.gates.cors.preflight(&request) {
            return response;
        }
        // In boxes, so that repeated answers do not carry the room for this along.
        let Some(repeats) = &self.kept.repeats else {
            return Box::pin(self.handle(request, endpoint)).await.unwrap_or_else(render);
        };
        if let Some(response) = repeats.again(&request).await {
            return response;
        }
        let uri = request.uri().clone();
        let mut response = Box::pin(self.handle(request, endpoint)).await.unwrap_or_else(render);
        repeats.keep(&uri, &mut response);
        response
    }

    /// Handlers get the body whole, so that none of them has to bound it; and whoever sends it slowly
    /// takes no turn from others meanwhile.
    async fn handle(&self, mut request: Request, endpoint: Option<&Endpoint>) -> poem::Result<Response> {
        let route = self.routes.admit(&mut request, endpoint, &self.gates.access)?;
        let body = read_body(request.take_body()).await?;
        request.set_body(body);
        let _turn = self.gates.admission.admit(route)?;
        self.inner.call(request).await
    }
}

impl poem::Endpoint for Edge {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let id = request_id(request.headers());
        // At the highest level, so that no line about the request lacks it.
        let span = tracing::error_span!("request", %id);
        let mut response = self.visit(request).instrument(span).await;
        // Holds: it is ASCII.
        if let Ok(id) = HeaderValue::try_from(id) {
            response.headers_mut().insert(request_id::HEADER, id);
        }
        Ok(response)
    }
}

/// Where the request comes from: the client, or the proxy before it.
fn client(request: &Request) -> String {
    match &request.remote_addr().0 {
        Addr::SocketAddr(address) => address.to_string(),
        other => other.to_string(),
    }
}

/// A panic is a bug here; the client learns no more than that.
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text");
    tracing::error!(panic = text, "a request handler panicked");
    Problem::internal().into_response()
}
