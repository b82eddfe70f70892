//! What happens to every request, whatever it asks for.

use std::any::Any;
use std::time::Duration;

use poem::endpoint::BoxEndpoint;
use poem::http::{HeaderValue, Method, header};
use poem::middleware::CatchPanic;
use poem::{Endpoint, EndpointExt, IntoResponse, Request, Response};

use super::access::Access;
use super::cors::CorsOrigins;
use super::problem::{Problem, render};
use super::routes::Routes;

/// The longest that a client is kept waiting for an answer. The store gives up earlier by itself.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(30);

/// The outermost endpoint: it never fails, and all that it answers looks alike.
pub(crate) struct Edge {
    inner: BoxEndpoint<'static>,
    routes: Routes,
    access: Access,
    cors: CorsOrigins,
}

impl Edge {
    pub(crate) fn new(
        inner: impl Endpoint + 'static,
        routes: Routes,
        access: Access,
        cors: CorsOrigins,
    ) -> Self {
        let inner = inner.with(CatchPanic::new().with_handler(panicked)).boxed();
        Self { inner, routes, access, cors }
    }

    async fn answer(&self, mut request: Request) -> Response {
        if let Some(response) = self.cors.preflight(&request) {
            return response;
        }
        if let Err(problem) = self.routes.admit(&mut request, &self.access) {
            return problem.into_response();
        }
        match tokio::time::timeout(ANSWER_TIME_MAX, self.inner.call(request)).await {
            Ok(answer) => answer.unwrap_or_else(render),
            Err(_) => {
                tracing::warn!(waited = ?ANSWER_TIME_MAX, "a request was given up");
                Problem::unavailable("the answer took too long: try again a little later").into_response()
            }
        }
    }
}

impl Endpoint for Edge {
    type Output = Response;

    async fn call(&self, mut request: Request) -> poem::Result<Response> {
        let cors = self.cors.headers(request.headers());
        let head_only = request.method() == Method::HEAD;
        if head_only {
            request.set_method(Method::GET);
        }
        let mut response = self.answer(request).await;
        response.headers_mut().extend(cors);
        response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if head_only {
            // Every body is whole in memory, so this waits for nothing.
            let body = response.take_body().into_bytes().await.unwrap_or_default();
            response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        }
        Ok(response)
    }
}

/// A panic is a bug here; the client learns no more than that.
fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("no text");
    tracing::error!(panic = text, "a request handler panicked");
    Problem::internal().into_response()
}
