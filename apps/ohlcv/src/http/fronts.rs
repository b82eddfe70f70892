//! The threads that talk with clients.
//!
//! Each has a runtime of its own with its share of the connections, so that a request that is answered
//! from memory passes from no thread to another. What takes longer is done elsewhere (`on_runtime`).

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use poem::http::uri::Scheme;
use poem::listener::Acceptor;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Endpoint, Response, Server};
use tokio::runtime::Builder;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::connections::{Accepted, Connection, ConnectionLimits};
use super::cutting::OpenConnections;

/// The most threads: each may keep a connection to the database.
const THREADS_MAX: usize = 16;
/// Connections that wait for a thread to take them.
const HANDED_OVER_MAX: usize = 16;
/// How long answers in hand may take after the service was told to stop.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);
/// Requests at once on one connection of HTTP/2.
const STREAMS_MAX: u32 = 32;

/// The threads, one for each core.
pub(crate) struct Fronts {
    fronts: Vec<Front>,
    ends: FuturesUnordered<oneshot::Receiver<io::Result<()>>>,
}

/// One of them, as seen from outside.
struct Front {
    // As many as there are connections, and one.
    share: Arc<()>,
    connections: mpsc::Sender<(Accepted, Arc<()>)>,
}

impl Fronts {
    /// Starts them; each serves an endpoint of its own until it is told to stop.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start<E: Endpoint<Output = Response> + 'static>(
        endpoint: impl Fn() -> E,
        local: &LocalAddr,
        open: &OpenConnections,
        limits: ConnectionLimits,
        stop: &CancellationToken,
    ) -> io::Result<Self> {
        let threads = thread::available_parallelism().map_or(1, |cores| cores.get().min(THREADS_MAX));
        let (mut fronts, ends) = (Vec::new(), FuturesUnordered::new());
        for number in 0..threads {
            let (connections, accepted) = mpsc::channel(HANDED_OVER_MAX);
            let (ended, end) = oneshot::channel();
            let arrivals = Arrivals { accepted, local: local.clone(), open: open.clone(), limits };
            let (endpoint, stop) = (endpoint(), stop.clone());
            thread::Builder::new().name(format!("http-{number}")).spawn(move || {
                // Fails if nobody waits for it any more.
                let _ = ended.send(serve(arrivals, endpoint, stop));
            })?;
            fronts.push(Front { share: Arc::default(), connections });
            ends.push(end);
        }
        Ok(Self { fronts, ends })
    }

    /// Gives a connection to the thread that has the fewest of those that can take one.
    pub(crate) async fn hand_over(&self, mut accepted: Accepted) {
        let mut fronts: Vec<&Front> = self.fronts.iter().collect();
        fronts.sort_by_key(|front| Arc::strong_count(&front.share));
        for front in &fronts {
            match front.connections.try_send((accepted, Arc::clone(&front.share))) {
                Ok(()) => return,
                Err(TrySendError::Full((back, _)) | TrySendError::Closed((back, _))) => accepted = back,
            }
        }
        if let Some(front) = fronts.first() {
            // Fails only if the thread has ended, as all of them do then.
            let _ = front.connections.send((accepted, Arc::clone(&front.share))).await;
        }
    }

    /// Waits until one of them ends.
    pub(crate) async fn first_end(&mut self) -> io::Result<()> {
        match self.ends.next().await {
            Some(ended) => ended.unwrap_or_else(|_| Err(io::Error::other("a thread of the API panicked"))),
            None => Ok(()),
        }
    }

    /// Waits until all of them have ended; fails if one of them did.
    pub(crate) async fn end(mut self) -> io::Result<()> {
        let mut all = Ok(());
        while !self.ends.is_empty() {
            all = all.and(self.first_end().await);
        }
        all
    }
}

/// What one thread does.
fn serve(
    arrivals: Arrivals,
    endpoint: impl Endpoint<Output = Response> + 'static,
    stop: CancellationToken,
) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let server = Server::new_with_acceptor(arrivals).http2_max_concurrent_streams(STREAMS_MAX);
    let stopped = async move { stop.cancelled().await };
    let served = runtime.block_on(server.run_with_graceful_shutdown(endpoint, stopped, Some(DRAIN_TIME_MAX)));
    // Waits for nothing, such as a name server that does not answer.
    runtime.shutdown_background();
    served
}

/// The connections that come to one thread.
struct Arrivals {
    accepted: mpsc::Receiver<(Accepted, Arc<()>)>,
    local: LocalAddr,
    open: OpenConnections,
    limits: ConnectionLimits,
}

impl Acceptor for Arrivals {
    type Io = Connection;

    fn local_addr(&self) -> Vec<LocalAddr> {
        vec![self.local.clone()]
    }

    async fn accept(&mut self) -> io::Result<(Connection, LocalAddr, RemoteAddr, Scheme)> {
        let Some((accepted, share)) = self.accepted.recv().await else {
            // No more come: what is left is to be told to stop.
            return std::future::pending().await;
        };
        let connection = Connection::of(accepted, share, self.open.clone(), self.limits)?;
        let remote = RemoteAddr(connection.client().into());
        Ok((connection, self.local.clone(), remote, Scheme::HTTP))
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make_sync;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::super::server::serve_within;
    use super::*;

    /// What a test waits for at most.
    const PATIENCE: Duration = Duration::from_secs(10);

    /// Serves the name of the thread that answers.
    async fn serving_names() -> (std::net::SocketAddr, tokio::task::JoinHandle<io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint =
            || make_sync(|_| Response::builder().body(thread::current().name().unwrap().to_owned()));
        let limits = ConnectionLimits::default();
        let server = serve_within(listener, endpoint, CancellationToken::new(), limits);
        (address, tokio::spawn(server))
    }

    async fn ask(client: &mut TcpStream) -> String {
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        let mut answer = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, client.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]);
        answer.rsplit("\r\n").next().unwrap().to_owned()
    }

    #[tokio::test]
    async fn a_connection_comes_to_the_thread_that_has_the_fewest() {
        let (address, _server) = serving_names().await;
        let threads = thread::available_parallelism().unwrap().get().min(THREADS_MAX);
        let mut clients = Vec::new();
        for _ in 0..2 * threads {
            let mut client = TcpStream::connect(address).await.unwrap();
            clients.push((ask(&mut client).await, client));
        }
        for number in 0..threads {
            let name = format!("http-{number}");
            assert_eq!(clients.iter().filter(|(of, _)| *of == name).count(), 2, "{name}");
        }
        // Not the one that is asked first where all have as many.
        let last = format!("http-{}", threads - 1);
        clients.retain(|(name, _)| *name != last);
        let began = std::time::Instant::now();
        loop {
            let mut client = TcpStream::connect(address).await.unwrap();
            if ask(&mut client).await == last {
                break;
            }
            // It takes a moment until the thread knows who left.
            assert!(began.elapsed() < PATIENCE);
        }
    }

    #[tokio::test]
    async fn a_server_that_is_given_up_leaves_no_connection_open() {
        let (address, server) = serving_names().await;
        let mut client = TcpStream::connect(address).await.unwrap();
        assert!(ask(&mut client).await.starts_with("http-"));
        server.abort();
        let mut byte = [0];
        let read = tokio::time::timeout(PATIENCE, client.read(&mut byte)).await.unwrap();
        assert_eq!(read.unwrap_or(0), 0);
    }
}
