//! Serving an endpoint on a bound socket, within the limits of connections.

use std::io;
use std::time::Duration;

use poem::{Endpoint, Response, Server};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::{ConnectionLimits, Connections};
use super::cutting::{Cutting, OpenConnections};

/// How long answers in hand may take after the service was told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 32;

/// Serves until it is told to stop, then finishes the answers in hand within 5 s.
///
/// # Errors
/// If the socket is of no use.
pub async fn serve(
    listener: TcpListener,
    endpoint: impl Endpoint<Output = Response> + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    serve_within(listener, endpoint, stop, ConnectionLimits::default()).await
}

/// [`serve`] with other limits.
pub(crate) async fn serve_within(
    listener: TcpListener,
    endpoint: impl Endpoint<Output = Response> + 'static,
    stop: CancellationToken,
    limits: ConnectionLimits,
) -> io::Result<()> {
    let open = OpenConnections::default();
    let connections = Connections::new(listener, limits, open.clone())?;
    let endpoint = Cutting { inner: endpoint, open };
    let server = Server::new_with_acceptor(connections).http2_max_concurrent_streams(STREAMS_MAX);
    let stopped = async move { stop.cancelled().await };
    server.run_with_graceful_shutdown(endpoint, stopped, Some(DRAIN_TIME_MAX)).await
}
