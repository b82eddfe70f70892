//! `ohlcv healthcheck`: asks the service on this machine whether it is up.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::End;
use crate::settings::Settings;

/// The longest that all of it may take.
const TIME_MAX: Duration = Duration::from_secs(3);
/// As much of an answer as is read: its first line says all.
const ANSWER_BYTES_MAX: u64 = 64;

/// # Errors
/// If nobody listens, or what listens does not say in time that it is up.
pub(super) async fn execute(settings: &Settings) -> anyhow::Result<End> {
    let listens_at = settings.metrics_listen_address.unwrap_or(settings.listen_address);
    ask(reachable(listens_at)).await?;
    Ok(End::Done)
}

/// Where a service that listens at an address is reached from this machine.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// Whether `/livez` at an address answers 200.
async fn ask(address: SocketAddr) -> anyhow::Result<()> {
    let url = format!("http://{address}/livez");
    let answer = tokio::time::timeout(TIME_MAX, first_line(address))
        .await
        .map_err(|_| anyhow::anyhow!("{url} did not answer within {TIME_MAX:?}"))?
        .with_context(|| format!("{url} cannot be asked"))?;
    let mut words = answer.split(' ');
    let is_http = words.next().is_some_and(|version| version.starts_with("HTTP/1."));
    if !is_http || words.next() != Some("200") {
        bail!("{url} answered {answer:?}, not 200");
    }
    Ok(())
}

/// The first line of the answer, as far as it is read.
async fn first_line(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /livez HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES_MAX).read_to_end(&mut answer).await?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    /// Asks somebody who accepts, says this, and keeps the connection open.
    async fn ask_one_who_says(answer: &'static [u8]) -> anyhow::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let answering = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(answer).await.unwrap();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            asked = ask(address) => asked,
            () = answering => unreachable!("it never ends"),
        }
    }

    #[tokio::test]
    async fn a_service_that_answers_200_is_up_however_long_the_answer_goes_on() {
        let answer =
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 99999999\r\n\r\n{";
        ask_one_who_says(answer).await.unwrap();
    }

    #[tokio::test]
    async fn any_other_answer_is_told_and_is_a_failure() {
        let padded =
            b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nx: xxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n";
        let error = ask_one_who_says(padded).await.unwrap_err().to_string();
        assert!(error.contains("/livez answered \"HTTP/1.1 503 Service Unavailable\", not 200"), "{error}");
        let other = b"SSH-2.0-OpenSSH_9.2 200 ........................................................";
        let error = ask_one_who_says(other).await.unwrap_err().to_string();
        assert!(error.contains("not 200"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_says_nothing_is_given_up_after_three_seconds() {
        let error = ask_one_who_says(b"").await.unwrap_err().to_string();
        assert!(error.contains("did not answer within 3s"), "{error}");
    }

    #[test]
    fn an_address_that_means_every_network_is_asked_on_this_machine() {
        let asked = |listens_at: &str| reachable(listens_at.parse().unwrap()).to_string();
        assert_eq!(asked("0.0.0.0:8000"), "127.0.0.1:8000");
        assert_eq!(asked("[::]:8000"), "[::1]:8000");
        assert_eq!(asked("10.1.2.3:9000"), "10.1.2.3:9000");
    }
}
