//! Connections that are cut where an answer cannot be finished.
//!
//! A server that is told by a body that it failed has to close the connection without the mark that ends
//! the body. Over HTTP/1.1 poem asks hyper to go on with such a connection, and hyper then writes the mark:
//! a part looks like the whole. So the connection itself is made to fail before.

use std::collections::HashMap;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use poem::http::Version;
use poem::{Addr, Endpoint, Request, Response, Result};

/// Cuts a connection: from then on nothing is written to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cut(Arc<AtomicBool>);

impl Cut {
    pub(crate) fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    pub(crate) fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What cuts each open connection, by its client's address. As many as there are connections.
#[derive(Clone, Debug, Default)]
pub(crate) struct OpenConnections(Arc<Mutex<HashMap<SocketAddr, Cut>>>);

impl OpenConnections {
    /// Notes a connection that was opened; returns what cuts it.
    pub(crate) fn opened(&self, client: SocketAddr) -> Cut {
        let cut = Cut::default();
        self.lock().insert(client, cut.clone());
        cut
    }

    /// Forgets a connection that is closed.
    pub(crate) fn closed(&self, client: SocketAddr, cut: &Cut) {
        let mut open = self.lock();
        // Another one may come from the same address before this one is told.
        if open.get(&client).is_some_and(|known| Arc::ptr_eq(&known.0, &cut.0)) {
            open.remove(&client);
        }
    }

    fn of(&self, client: &Addr) -> Option<Cut> {
        let Addr::SocketAddr(client) = client else { return None };
        self.lock().get(client).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SocketAddr, Cut>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What cuts the connection over which a long answer is sent. A response carries it to the server, which
/// knows the connection; its body keeps the other end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unfinished(Arc<OnceLock<Cut>>);

impl Unfinished {
    /// The answer cannot be finished.
    pub(crate) fn give_up(&self) {
        if let Some(connection) = self.0.get() {
            connection.cut();
        }
    }
}

/// An endpoint whose long answers know their connections.
pub(crate) struct Cutting<E> {
    pub(crate) inner: E,
    pub(crate) open: OpenConnections,
}

impl<E: Endpoint<Output = Response>> Endpoint for Cutting<E> {
    type Output = Response;

    fn call(&self, request: Request) -> impl Future<Output = Result<Response>> + Send {
        // HTTP/2 resets the one stream that fails.
        let whole_connection = request.version() < Version::HTTP_2;
        let client = request.remote_addr().clone();
        // Passed on at once, so that the request is not carried along here as well.
        let answer = self.inner.call(request);
        async move {
            let mut response = answer.await?;
            if let Some(unfinished) = response.extensions_mut().remove::<Unfinished>()
                && whole_connection
                && let Some(cut) = self.open.of(&client)
            {
                // Fails only if it is known already.
                let _ = unfinished.0.set(cut);
            }
            Ok(response)
        }
    }
}
