//! Serving an endpoint on a bound socket, within the limits of connections.

use std::io;

use poem::{Endpoint, Response};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::connections::{ConnectionLimits, Connections};
use super::cutting::Cutting;
use super::edge::Edge;
use super::fronts::Fronts;

/// Serves until it is told to stop, then finishes the answers in hand within 5 s.
///
/// # Errors
/// If the socket is of no use.
pub async fn serve(listener: TcpListener, edge: Edge, stop: CancellationToken) -> io::Result<()> {
    serve_within(listener, move || edge.for_thread(), stop, ConnectionLimits::default()).await
}

/// [`serve`] with an endpoint for each thread that takes requests, and other limits.
pub(crate) async fn serve_within<E: Endpoint<Output = Response> + 'static>(
    listener: TcpListener,
    endpoint: impl Fn() -> E,
    stop: CancellationToken,
    limits: ConnectionLimits,
) -> io::Result<()> {
    // The threads end also when this is given up.
    let threads_stop = stop.child_token();
    let _guard = threads_stop.clone().drop_guard();
    let mut connections = Connections::new(listener, limits.at_once);
    let (open, local) = (connections.open(), connections.local_addr()?);
    let endpoint = || Cutting { inner: endpoint(), open: open.clone() };
    let mut fronts = Fronts::start(endpoint, &local, &open, limits, &threads_stop)?;
    let mut ended = Ok(());
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            end = fronts.first_end() => {
                ended = end;
                break;
            }
            accepted = connections.accept() => accepted?,
        };
        tokio::select! {
            biased;
            () = stop.cancelled() => break,
            () = fronts.hand_over(accepted) => {}
        }
    }
    drop(connections);
    threads_stop.cancel();
    ended.and(fronts.end().await)
}
