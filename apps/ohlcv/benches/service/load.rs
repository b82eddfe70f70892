//! Load: so many connections that ask for the same again and again, from one thread of its own process.

use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::world::Helper;

/// How this program is called to make load.
pub(crate) const COMMAND: &str = "load";
/// How much of an answer is read at a time.
const READ_BYTES: usize = 64 * 1024;
/// The longest head of an answer.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What load has met.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Met {
    /// Answers in a second.
    pub(crate) per_second: f64,
    /// Half of all answers took at most that long, in seconds.
    pub(crate) p50: f64,
    /// 99 % did.
    pub(crate) p99: f64,
}

/// Asks `address` for `path` over so many connections for that long.
pub(crate) async fn on(
    address: &str,
    path: &str,
    connections: usize,
    lasting: Duration,
) -> anyhow::Result<Met> {
    let (connections, millis) = (connections.to_string(), lasting.as_millis().to_string());
    let arguments = [COMMAND, address, path, &connections, &millis].map(str::to_owned);
    // It speaks when it is done.
    let done = tokio::task::spawn_blocking(move || Helper::start(&arguments.each_ref().map(String::as_str)));
    let said = done.await??.said.clone();
    let numbers: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [per_second, p50, p99] = numbers[..] else { anyhow::bail!("the load said {said:?}") };
    Ok(Met { per_second, p50, p99 })
}

pub(crate) fn run(arguments: &[String]) -> anyhow::Result<()> {
    let [address, path, connections, millis] = arguments else { anyhow::bail!("ask, how often, how long?") };
    let (connections, lasting) = (connections.parse()?, Duration::from_millis(millis.parse()?));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!("{}", runtime.block_on(ask(address, path, connections, lasting))?);
    Ok(())
}

async fn ask(address: &str, path: &str, connections: usize, lasting: Duration) -> anyhow::Result<String> {
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = Client::connect(address, path).await?;
        // The first answer on a connection is not counted.
        client.ask().await?;
        clients.push(client);
    }
    let started = Instant::now();
    let deadline = started + lasting;
    let mut tasks = tokio::task::JoinSet::new();
    for mut client in clients {
        tasks.spawn(async move {
            let mut took = Vec::new();
            let mut asked = Instant::now();
            while asked < deadline {
                client.ask().await?;
                let answered = Instant::now();
                took.push(answered - asked);
                asked = answered;
            }
            anyhow::Ok(took)
        });
    }
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done??);
    }
    let lasted = started.elapsed();
    took.sort_unstable();
    let at = |percent: usize| took.get(took.len() * percent / 100).map_or(f64::NAN, Duration::as_secs_f64);
    let answers = f64::from(u32::try_from(took.len())?);
    Ok(format!("{} {} {}", answers / lasted.as_secs_f64(), at(50), at(99)))
}

/// One connection that is kept.
#[derive(Debug)]
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: &str, path: &str) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
        Ok(Self { stream, request, buffer: vec![0; READ_BYTES] })
    }

    /// Asks once and reads the answer to its end; returns the size of its body.
    pub(crate) async fn ask(&mut self) -> anyhow::Result<usize> {
        self.stream.write_all(&self.request).await?;
        let mut filled = 0;
        let head = loop {
            let read = self.stream.read(&mut self.buffer[filled..]).await?;
            anyhow::ensure!(read > 0, "the connection ended before its answer");
            filled += read;
            if let Some(end) = self.buffer[..filled].windows(4).position(|four| four == b"\r\n\r\n") {
                break end + 4;
            }
            anyhow::ensure!(filled < HEAD_BYTES_MAX, "no answer begins like this");
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        anyhow::ensure!(text.starts_with("HTTP/1.1 200"), "refused: {text}");
        let size = header(text, "content-length").map(str::parse::<usize>).transpose()?;
        match size {
            Some(size) => {
                let mut left = size.checked_sub(filled - head).context("more than was announced")?;
                while left > 0 {
                    let read = self.stream.read(&mut self.buffer).await?;
                    anyhow::ensure!(read > 0 && read <= left, "the answer has another length than announced");
                    left -= read;
                }
                Ok(size)
            }
            None => self.chunks(head, filled).await,
        }
    }

    /// Reads the chunks of an answer up to the empty one.
    async fn chunks(&mut self, head: usize, filled: usize) -> anyhow::Result<usize> {
        let mut raw = self.buffer[head..filled].to_vec();
        let (mut at, mut size) = (0, 0);
        loop {
            while let Some(line) = raw[at..].windows(2).position(|two| two == b"\r\n") {
                let text = std::str::from_utf8(&raw[at..at + line])?;
                let chunk = usize::from_str_radix(text.split(';').next().unwrap_or(text).trim(), 16)?;
                let next = at + line + 2 + chunk + 2;
                if next > raw.len() {
                    break;
                }
                if chunk == 0 {
                    return Ok(size);
                }
                (at, size) = (next, size + chunk);
            }
            let read = self.stream.read(&mut self.buffer).await?;
            anyhow::ensure!(read > 0, "the answer ended within a chunk");
            raw.extend_from_slice(&self.buffer[..read]);
        }
    }
}

/// What a header says.
fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let named = |line: &'a str| line.split_once(':').filter(|(known, _)| known.eq_ignore_ascii_case(name));
    head.lines().find_map(named).map(|(_, value)| value.trim())
}
