//! Clients of the servers under test.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What clients are built from: the cryptography that every one of them asks for is in place.
pub fn http_client_builder() -> reqwest::ClientBuilder {
    // Fails only if it is in place already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// A client as it comes.
#[must_use]
pub fn http_client() -> reqwest::Client {
    http_client_builder().build().expect("a client without settings can be built")
}

/// A reader who asks for a path, sees that he is answered, and takes nothing of it. He goes when dropped.
///
/// # Panics
/// If he is not answered with 200.
pub async fn stalled_reader(url: &str, path: &str) -> TcpStream {
    const ANSWERED: &[u8] = b"HTTP/1.1 200 OK";
    let mut client =
        TcpStream::connect(url.trim_start_matches("http://")).await.expect("the service listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n");
    client.write_all(request.as_bytes()).await.expect("the service reads");
    let mut begun = [0; ANSWERED.len()];
    client.read_exact(&mut begun).await.expect("the service answers");
    assert_eq!(begun, ANSWERED, "{path}");
    client
}
