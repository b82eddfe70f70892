//! A bulk archive that tests own: files of candles with their checksums over HTTP, from any
//! [`CandleSource`], laid out as Binance's, with everything that goes wrong there, on demand.

mod fault;
mod file;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ohlcv_domain::Asset;
use ohlcv_ports::CandleSource;
use poem::Server;
use poem::listener::TcpAcceptor;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use fault::{ArchiveFault, LinesEdit};
use server::Door;

/// A running archive on a port of its own; it is gone when this is dropped.
#[derive(Debug)]
pub struct FakeArchive {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

#[derive(Debug)]
struct Shared {
    source: Arc<dyn CandleSource>,
    quote: Asset,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    fault: Option<ArchiveFault>,
    asked: Vec<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FakeArchive {
    /// Starts an archive of everything that `source` has, quoted in USDT.
    ///
    /// # Panics
    /// If no port of the loopback address is free.
    pub async fn start(source: Arc<dyn CandleSource>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let acceptor = TcpAcceptor::from_tokio(listener).expect("a bound socket has an address");
        let quote = "USDT".parse().expect("USDT is an asset");
        let shared = Arc::new(Shared { source, quote, state: Mutex::default() });
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(
            Door(Arc::clone(&shared)),
            // A dropped sender stops it as well.
            async move { drop(stopped.await) },
            Some(Duration::ZERO),
        ));
        Self { shared, address, stop: Some(stop), server }
    }

    /// Its base URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets every file go wrong in that way from now on, or none.
    pub fn spoil(&self, fault: Option<ArchiveFault>) {
        self.shared.state().fault = fault;
    }

    /// The paths that were asked for so far, in the order of arrival.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.shared.state().asked.clone()
    }

    /// Stops it and waits until its port is closed: from then on connections are refused.
    pub async fn stop(mut self) {
        self.stop = None;
        // The server ends by itself; whether it ended well is nothing a client can see.
        drop((&mut self.server).await);
    }
}
