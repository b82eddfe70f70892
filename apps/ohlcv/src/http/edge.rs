//! What happens to every request, whatever it asks for.

use std::any::Any;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use poem::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use poem::middleware::CatchPanic;
use poem::{Addr, Endpoint as _, EndpointExt, IntoResponse, Request, Response};
use tracing::Instrument;

use super::access::Access;
use super::admission::Admission;
use super::body::read_body;
use super::compression::{Coded, Coding, Compression};
use super::conditional::{known_tags, unless_known};
use super::cors::CorsOrigins;
use super::on_runtime::OnRuntime;
use super::problem::{Problem, render, shortened};
use super::repeats::{Again, Repeats};
use super::request_id::{self, request_id};
use super::routes::{Endpoint, Routes};
use super::visit::Visit;

/// The longest that a client is kept waiting for an answer. The store gives up earlier by itself.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// The outermost endpoint: it never fails, and all that it answers looks alike.
pub struct Edge {
    inner: OnRuntime,
    routes: Arc<Routes>,
    gates: Gates,
    kept: Kept,
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge").finish_non_exhaustive()
    }
}

/// Answers that are kept in memory.
pub(crate) struct Kept {
    /// As they were made, if there are any that can be given again.
    pub(crate) repeats: Option<Repeats>,
    /// Compressed.
    pub(crate) compression: Arc<Compression>,
}

/// What a request has to pass.
#[derive(Clone)]
pub(crate) struct Gates {
    /// Who may use the protected endpoints.
    pub(crate) access: Arc<Access>,
    /// How many may use the database at once.
    pub(crate) admission: Arc<Admission>,
    /// Whose pages may read the answers.
    pub(crate) cors: CorsOrigins,
}

/// What of a request shapes its answer, whatever it asks for.
struct Asked<'a> {
    visit: Visit<'a>,
    endpoint: Option<&'a Endpoint>,
    cors: Vec<(HeaderName, HeaderValue)>,
    coding: Option<Coding>,
    known: Vec<HeaderValue>,
    head_only: bool,
    told: Option<Box<Told>>,
}

/// What the log says of a request.
struct Told {
    method: Method,
    path: String,
    client: String,
}

impl Edge {
    pub(crate) fn new(
        inner: impl poem::Endpoint + 'static,
        routes: Routes,
        gates: Gates,
        kept: Kept,
    ) -> Self {
        let inner = OnRuntime::of(inner.with(CatchPanic::new().with_handler(panicked)));
        Self { inner, routes: Arc::new(routes), gates, kept }
    }

    /// The same for requests that one thread takes, on a runtime of its own. Answers that were given before
    /// it gives by itself; new ones are made where this one was made.
    pub(crate) fn for_thread(&self) -> Self {
        Self {
            inner: self.inner.clone(),
            routes: Arc::clone(&self.routes),
            gates: self.gates.clone(),
            kept: Kept {
                repeats: self.kept.repeats.as_ref().map(Repeats::for_thread),
                compression: Arc::clone(&self.kept.compression),
            },
        }
    }

    /// What of a request shapes its answer, whatever it asks for.
    fn asked(&self, request: &Request) -> Asked<'_> {
        let headers = request.headers();
        let endpoint = self.routes.at(request.uri().path());
        Asked {
            visit: self.routes.visits(endpoint).begin(request.method()),
            endpoint,
            cors: self.gates.cors.headers(headers),
            coding: Coding::wanted(headers),
            known: known_tags(headers),
            head_only: request.method() == Method::HEAD,
            // Put together only where somebody reads it.
            told: tracing::enabled!(tracing::Level::DEBUG).then(|| {
                let (method, path) = (request.method().clone(), shortened(request.uri().path()));
                Box::new(Told { method, path, client: client(request) })
            }),
        }
    }

    /// The answer that was given before, if it is still the right one or soon can be. That takes little longer
    /// than two questions within the store's own limit: one may be under way.
    async fn again(&self, request: &Request) -> Again {
        match &self.kept.repeats {
            Some(repeats) => repeats.again(request).await,
            None => Again::Anew(None),
        }
    }

    /// A new answer, within the time that a client is kept waiting.
    async fn anew(&self, mut request: Request, asked: &Asked<'_>) -> Response {
        if asked.head_only {
            request.set_method(Method::GET);
        }
        if let Some(response) = self.gates.cors.preflight(&request) {
            return response;
        }
        let uri = request.uri().clone();
        let handled = tokio::time::timeout(ANSWER_TIME_MAX, self.handle(request, asked.endpoint)).await;
        let mut response = match handled {
            Ok(handled) => handled.unwrap_or_else(render),
            Err(_) => {
                tracing::warn!(waited = ?ANSWER_TIME_MAX, "a request was given up");
                Problem::unavailable("the answer took too long: try again a little later").into_response()
            }
        };
        if let Some(repeats) = &self.kept.repeats {
            repeats.keep(&uri, &mut response);
        }
        response
    }

    /// The answer as it is sent to this client, counted and logged.
    async fn sent(&self, asked: &Asked<'_>, mut response: Response) -> Response {
        for (name, value) in &asked.cors {
            // Beside what is said already: an answer may vary by more than its origin.
            response.headers_mut().append(name.clone(), value.clone());
        }
        let response = unless_known(&asked.known, response);
        let (mut response, bytes) = match self.kept.compression.coded(response, asked.coding) {
            Coded::Done(response, bytes) => (response, bytes),
            // A body that it works on is whole in memory, so this waits for nothing but its turn. In a box,
            // so that what is coded already does not carry the room for this along.
            Coded::ToDo(work) => Box::pin(self.kept.compression.make(work)).await,
        };
        if asked.head_only && response.status() != StatusCode::NOT_MODIFIED {
            drop(response.take_body());
            if let Some(bytes) = bytes {
                response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(bytes));
            }
        }
        let status = response.status();
        let took = asked.visit.answered(status);
        if let Some(Told { method, path, client }) = asked.told.as_deref() {
            let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let status = status.as_u16();
            tracing::debug!(%method, path, status, duration_ms, bytes, client, "answered");
        }
        response
    }

    /// What is answered to a request, whatever it asks for.
    async fn answer(&self, mut request: Box<Request>) -> Response {
        let id = request_id(request.headers());
        let asked = self.asked(&request);
        let mut response = match self.again(&request).await {
            // Nothing is logged of these, and a span costs a good part of what they do.
            Again::Right(again) if asked.told.is_none() => self.sent(&asked, again).await,
            again => {
                // At the highest level, so that no line about the request lacks it.
                let name = id.to_str().unwrap_or_default();
                let span = tracing::error_span!("request", id = %name);
                let answer = async {
                    let mut response = match again {
                        Again::Right(again) => again,
                        Again::Failed(error) => Problem::from(error).into_response(),
                        Again::Anew(learnt) => {
                            if let Some(learnt) = learnt {
                                // So that it is not asked once more.
                                request.set_data(learnt);
                            }
                            self.anew(*request, &asked).await
                        }
                    };
                    let safety = HeaderValue::from_static("nosniff");
                    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, safety);
                    self.sent(&asked, response).await
                };
                // In a box, so that repeated answers do not carry the room for this along.
                Box::pin(answer.instrument(span)).await
            }
        };
        response.headers_mut().insert(request_id::HEADER, id);
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

    fn call(&self, request: Request) -> impl Future<Output = poem::Result<Response>> + Send {
        // In a box: each future around this one has room for all that it carries.
        let request = Box::new(request);
        async move { Ok(self.answer(request).await) }
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
