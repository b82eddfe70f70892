//! Connections of clients: how many there are at once, and how long one may be kept without use.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::cutting::{Cut, OpenConnections};
use poem::web::LocalAddr;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, Sleep};

/// How long to wait when the system lets no connection in, such as for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLimits {
    /// Connections at once; whoever comes later waits in the system's queue.
    pub(crate) at_once: usize,
    /// How long a connection may rest before or between requests.
    pub(crate) idle: Duration,
    /// From the first byte of a request to the first of its answer.
    pub(crate) request: Duration,
    /// How long a client may take to fetch an answer that does not fit the system's buffers.
    pub(crate) taking: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self {
            // Half of what a process may usually have open.
            at_once: 512,
            idle: Duration::from_secs(60),
            // The time of an answer, and as much to send the request.
            request: Duration::from_secs(60),
            // 30 KB a second for the largest answer.
            taking: Duration::from_secs(120),
        }
    }
}

/// Lets connections in, as many at once as there is room for.
pub(crate) struct Connections {
    listener: TcpListener,
    room: Arc<Semaphore>,
    open: OpenConnections,
}

/// A connection that was let in and is with no thread yet.
pub(crate) struct Accepted {
    stream: std::net::TcpStream,
    client: SocketAddr,
    room: OwnedSemaphorePermit,
}

impl Connections {
    pub(crate) fn new(listener: TcpListener, at_once: usize) -> Self {
        Self { listener, room: Arc::new(Semaphore::new(at_once)), open: OpenConnections::default() }
    }

    /// Those that are open.
    pub(crate) fn open(&self) -> OpenConnections {
        self.open.clone()
    }

    pub(crate) fn local_addr(&self) -> io::Result<LocalAddr> {
        Ok(LocalAddr(self.listener.local_addr()?.into()))
    }

    /// The next one.
    pub(crate) async fn accept(&mut self) -> io::Result<Accepted> {
        let room = Arc::clone(&self.room).acquire_owned().await.map_err(io::Error::other)?;
        loop {
            let accepted = self.listener.accept().await.and_then(|(stream, client)| {
                // An answer is written whole, so there is nothing to gather. Without it it only comes later.
                let _ = stream.set_nodelay(true);
                Ok((stream.into_std()?, client))
            });
            match accepted {
                Ok((stream, client)) => return Ok(Accepted { stream, client, room }),
                Err(error) => {
                    tracing::warn!(%error, "cannot let a connection in");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// What a connection is doing, as far as its bytes tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    /// Nothing was received since the last answer.
    Resting,
    /// Something was received that is not answered yet.
    Asking,
    /// An answer waits for the client to take what was sent of it.
    Sending,
}

/// What a connection takes of the process; given back when it closes.
struct Place {
    client: SocketAddr,
    cut: Cut,
    open: OpenConnections,
    _room: OwnedSemaphorePermit,
    _share: Arc<()>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.open.closed(self.client, &self.cut);
    }
}

/// A client's connection, which fails when it takes too long, or an answer over it cannot be finished.
pub(crate) struct Connection {
    stream: TcpStream,
    place: Place,
    limits: ConnectionLimits,
    doing: Doing,
    // Something was sent since the last time everything was.
    sent: bool,
    deadline: Instant,
    // Set to the deadline or to an earlier one: to set it anew twice for each request would cost more.
    alarm: Pin<Box<Sleep>>,
    expired: bool,
}

impl Connection {
    /// On the runtime that this is called in; `share` is held as long as it is open.
    pub(crate) fn of(
        Accepted { stream, client, room }: Accepted,
        share: Arc<()>,
        open: OpenConnections,
        limits: ConnectionLimits,
    ) -> io::Result<Self> {
        let stream = TcpStream::from_std(stream)?;
        let place = Place { client, cut: open.opened(client), open, _room: room, _share: share };
        Ok(Self::new(stream, place, limits))
    }

    /// Where it comes from.
    pub(crate) const fn client(&self) -> SocketAddr {
        self.place.client
    }

    fn new(stream: TcpStream, place: Place, limits: ConnectionLimits) -> Self {
        let deadline = Instant::now() + limits.idle;
        let alarm = Box::pin(tokio::time::sleep_until(deadline));
        let doing = Doing::Resting;
        Self { stream, place, limits, doing, sent: false, deadline, alarm, expired: false }
    }

    fn turn_to(&mut self, doing: Doing) {
        let time_max = match doing {
            Doing::Resting => self.limits.idle,
            Doing::Asking => self.limits.request,
            Doing::Sending => self.limits.taking,
        };
        self.doing = doing;
        self.deadline = Instant::now() + time_max;
        if self.deadline < self.alarm.deadline() {
            self.alarm.as_mut().reset(self.deadline);
        }
    }

    /// Whether nothing goes over it any more.
    fn has_failed(&mut self) -> bool {
        self.expired |= self.place.cut.is_cut();
        self.expired
    }

    /// Fails when the time for what the connection is doing is over; else wakes the task then.
    fn check(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.expired {
            if self.alarm.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            // Ends: an alarm at the deadline is the last one.
            self.expired = Instant::now() >= self.deadline;
            if !self.expired {
                let deadline = self.deadline;
                self.alarm.as_mut().reset(deadline);
            }
        }
        // From now on everything fails: the server may ask again.
        self.expired = true;
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// What a write that came to `written` means.
    fn after_write(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.sent = true;
            return written;
        }
        if self.doing != Doing::Sending {
            self.turn_to(Doing::Sending);
        }
        self.check(context).map_ok(|()| 0)
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.has_failed() {
            return self.check(context);
        }
        let before = buffer.filled().len();
        match Pin::new(&mut self.stream).poll_read(context, buffer) {
            Poll::Pending => self.check(context),
            ready => {
                if self.doing == Doing::Resting && buffer.filled().len() > before {
                    self.turn_to(Doing::Asking);
                }
                ready
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.has_failed() {
            return self.check(context).map_ok(|()| 0);
        }
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.after_write(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.has_failed() {
            return self.check(context).map_ok(|()| 0);
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.after_write(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// The server flushes when it has handed over everything.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.has_failed() {
            return self.check(context);
        }
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        if flushed.is_ready() && self.sent {
            self.sent = false;
            self.turn_to(Doing::Resting);
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use poem::{Endpoint, EndpointExt, Response, Route};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio_util::sync::CancellationToken;

    use super::super::server::serve_within;
    use super::*;

    const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    /// More than the system keeps for a client that does not read.
    const ANSWER_BYTES: usize = 32 * 1024 * 1024;
    /// What a test waits for at most.
    const PATIENCE: Duration = Duration::from_secs(10);

    const SHORT: ConnectionLimits = ConnectionLimits {
        at_once: 2,
        idle: Duration::from_millis(300),
        request: Duration::from_millis(400),
        taking: Duration::from_millis(500),
    };

    async fn served(limits: ConnectionLimits, answer: impl Endpoint + 'static) -> std::net::SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let endpoint = Arc::new(Route::new().at("/", answer).boxed());
        tokio::spawn(serve_within(listener, move || Arc::clone(&endpoint), CancellationToken::new(), limits));
        address
    }

    async fn small(limits: ConnectionLimits) -> std::net::SocketAddr {
        served(limits, poem::endpoint::make_sync(|_| Response::builder().body("answer"))).await
    }

    /// What arrives until the server closes, or the time is over.
    async fn until_closed(client: &mut TcpStream) -> Option<usize> {
        let mut received = Vec::new();
        let read = tokio::time::timeout(PATIENCE, client.read_to_end(&mut received)).await.ok()?;
        // A connection may be reset instead of closed.
        Some(read.unwrap_or(received.len()))
    }

    async fn asks(address: std::net::SocketAddr) -> (TcpStream, String) {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut answer = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, client.read(&mut answer)).await.unwrap().unwrap();
        (client, String::from_utf8_lossy(&answer[..read]).into_owned())
    }

    #[tokio::test]
    async fn whoever_comes_when_there_is_no_room_waits_until_somebody_leaves() {
        let limits = ConnectionLimits { at_once: 2, ..ConnectionLimits::default() };
        let address = small(limits).await;
        let (first, _) = asks(address).await;
        let (_second, _) = asks(address).await;
        let mut third = TcpStream::connect(address).await.unwrap();
        third.write_all(REQUEST).await.unwrap();
        let mut byte = [0];
        let early = tokio::time::timeout(Duration::from_millis(200), third.read(&mut byte)).await;
        assert!(early.is_err(), "two are in already");
        drop(first);
        let read = tokio::time::timeout(PATIENCE, third.read(&mut byte)).await.unwrap().unwrap();
        assert_eq!((read, byte), (1, *b"H"));
    }

    #[tokio::test]
    async fn connections_that_rest_too_long_are_closed() {
        let address = small(SHORT).await;
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(until_closed(&mut silent).await, Some(0));
        let (mut kept_alive, answer) = asks(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert_eq!(until_closed(&mut kept_alive).await, Some(0));
    }

    #[tokio::test]
    async fn a_connection_in_use_is_kept() {
        let address = small(SHORT).await;
        let (mut client, _) = asks(address).await;
        for _ in 0..5 {
            tokio::time::sleep(SHORT.idle / 2).await;
            client.write_all(REQUEST).await.unwrap();
            let mut answer = [0; 1024];
            assert!(client.read(&mut answer).await.unwrap() > 0);
        }
    }

    #[tokio::test]
    async fn a_request_that_trickles_in_is_given_up() {
        let address = small(SHORT).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        let started = Instant::now();
        for byte in REQUEST {
            if client.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(until_closed(&mut client).await, Some(0), "no answer");
        assert!(started.elapsed() < PATIENCE);
    }

    #[tokio::test]
    async fn a_client_that_never_takes_its_answer_loses_its_place() {
        let limits = ConnectionLimits { at_once: 1, ..SHORT };
        let large = poem::endpoint::make_sync(|_| Response::builder().body(vec![b'x'; ANSWER_BYTES]));
        let address = served(limits, large).await;
        let mut never_reads = TcpStream::connect(address).await.unwrap();
        never_reads.write_all(REQUEST).await.unwrap();
        let (_client, answer) = asks(address).await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let received = until_closed(&mut never_reads).await.unwrap();
        assert!(received < ANSWER_BYTES, "{received}");
    }

    #[tokio::test]
    async fn a_client_that_takes_a_long_answer_slowly_gets_all_of_it() {
        const PARTS: usize = 64;
        const PART_BYTES: usize = ANSWER_BYTES / PARTS;
        let parts = || futures::stream::iter((0..PARTS).map(|_| std::io::Result::Ok(vec![b'x'; PART_BYTES])));
        let long = poem::endpoint::make_sync(move |_| poem::Body::from_bytes_stream(parts()));
        let address = served(SHORT, long).await;
        let mut slow = TcpStream::connect(address).await.unwrap();
        slow.write_all(REQUEST).await.unwrap();
        let (started, mut received) = (Instant::now(), 0);
        let mut bytes = vec![0; 2 * PART_BYTES];
        while received < ANSWER_BYTES {
            let read = slow.read(&mut bytes).await.unwrap();
            assert!(read > 0, "cut after {received} bytes");
            received += read;
            if received % (8 * PART_BYTES) < read {
                tokio::time::sleep(SHORT.taking / 2).await;
            }
        }
        assert!(started.elapsed() > SHORT.taking * 2, "{:?}", started.elapsed());
    }
}
