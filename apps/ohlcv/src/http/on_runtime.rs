//! Requests that are worked on elsewhere than where they came in.

use std::sync::Arc;

use poem::endpoint::{BoxEndpoint, Endpoint, EndpointExt};
use poem::{IntoResponse, Request, Response};
use tokio::runtime::Handle;
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;

use super::problem::Problem;

/// An endpoint that works on one runtime, whichever one it is called from: what it opens and starts
/// belongs there, and who is called from elsewhere only waits.
#[derive(Clone)]
pub(crate) struct OnRuntime {
    inner: Arc<BoxEndpoint<'static>>,
    runtime: Handle,
}

impl OnRuntime {
    /// Works on the runtime that this is called in.
    pub(crate) fn of(inner: impl Endpoint<Output = Response> + 'static) -> Self {
        Self { inner: Arc::new(inner.boxed()), runtime: Handle::current() }
    }
}

impl Endpoint for OnRuntime {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        if self.runtime.id() == Handle::current().id() {
            return self.inner.call(request).await;
        }
        let inner = Arc::clone(&self.inner);
        let work = async move { inner.call(request).await }.in_current_span();
        // Ends with the request: its client may go away.
        let done = AbortOnDropHandle::new(self.runtime.spawn(work));
        done.await.unwrap_or_else(|error| {
            // Panics are answered further in, so the runtime is ending.
            tracing::warn!(%error, "a request was dropped");
            Ok(Problem::unavailable("the service is ending: try again a little later").into_response())
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use poem::endpoint::make;
    use tokio::sync::oneshot;

    use super::*;

    /// Calls an endpoint on a runtime of another thread, until `given_up` is told.
    fn called_elsewhere(
        endpoint: OnRuntime,
        given_up: oneshot::Receiver<()>,
    ) -> std::thread::JoinHandle<Option<String>> {
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    answer = endpoint.call(Request::default()) => {
                        Some(answer.unwrap().into_body().into_string().await.unwrap())
                    }
                    _ = given_up => None,
                }
            })
        })
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn a_request_is_worked_on_where_the_endpoint_was_made() {
        let here = Handle::current().id();
        let endpoint = OnRuntime::of(make(move |_| async move {
            Response::builder().body((Handle::current().id() == here).to_string())
        }));
        let (_never, given_up) = oneshot::channel();
        let elsewhere = called_elsewhere(endpoint.clone(), given_up);
        assert_eq!(elsewhere.join().unwrap().as_deref(), Some("true"));
        let answer = endpoint.call(Request::default()).await.unwrap();
        assert_eq!(answer.into_body().into_string().await.unwrap(), "true");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn work_ends_when_nobody_waits_for_it_any_more() {
        struct Told(mpsc::Sender<()>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.send(()).unwrap();
            }
        }
        const PATIENCE: Duration = Duration::from_secs(10);
        let ((began, begin), (ended, end)) = (mpsc::channel(), mpsc::channel());
        let endpoint = OnRuntime::of(make(move |_| {
            let (began, told) = (began.clone(), Told(ended.clone()));
            async move {
                began.send(()).unwrap();
                std::future::pending::<()>().await;
                drop(told);
                Response::default()
            }
        }));
        let (give_up, given_up) = oneshot::channel();
        let elsewhere = called_elsewhere(endpoint, given_up);
        begin.recv_timeout(PATIENCE).unwrap();
        give_up.send(()).unwrap();
        assert_eq!(elsewhere.join().unwrap(), None);
        end.recv_timeout(PATIENCE).unwrap();
    }
}
