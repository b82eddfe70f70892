//! The program under load: connections, requests, slow clients, names of requests, coding.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::{Duration, Instant};

use ohlcv_tests::process::{Program, Running};
use ohlcv_tests::service::get;
use ohlcv_tests::{http_client, http_client_builder};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections at once, as ARCHITECTURE.md tells it.
const CONNECTIONS_MAX: usize = 512;
/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(30);

fn serving() -> (Program, Running, String) {
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("LOG_LEVEL", "DEBUG")
        .with("LOG_FORMAT", "json");
    let mut running = program.start(&["serve"]);
    let url = running.url();
    (program, running, url.trim_end_matches("\"}").trim_end_matches('"').to_owned())
}

/// Sends a request of these bytes; returns the connection.
async fn asks(url: &str, path: &str) -> TcpStream {
    let mut client = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    client.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
    client
}

async fn first_bytes(client: &mut TcpStream) -> String {
    let mut bytes = [0; 15];
    tokio::time::timeout(PATIENCE, client.read_exact(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_connections_are_let_in_and_the_next_one_waits() {
    let (_program, _running, url) = serving();
    let mut inside = Vec::with_capacity(CONNECTIONS_MAX);
    for _ in 0..CONNECTIONS_MAX {
        let mut client = asks(&url, "/livez").await;
        assert_eq!(first_bytes(&mut client).await, "HTTP/1.1 200 OK");
        inside.push(client);
    }
    let mut waiting = asks(&url, "/livez").await;
    let early = tokio::time::timeout(Duration::from_millis(300), waiting.read_u8()).await;
    assert!(early.is_err(), "there is no room");
    inside.pop();
    assert_eq!(first_bytes(&mut waiting).await, "HTTP/1.1 200 OK");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_do_not_read_do_not_hold_up_a_stop() {
    let (_program, mut running, url) = serving();
    let mut stalled = Vec::new();
    for _ in 0..4 {
        // More pages than the system keeps for somebody who does not read.
        let mut client = asks(&url, "/docs").await;
        for _ in 0..20 {
            client.write_all(b"GET /docs HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
        }
        stalled.push(client);
    }
    let mut trickling = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
    trickling.write_all(b"GET /livez HTT").await.unwrap();
    assert_eq!(get(&http_client(), &url, "/livez").await.status, 200, "others are served");
    let asked = Instant::now();
    running.signal("TERM");
    assert_eq!(running.wait(), Some(0));
    assert!(asked.elapsed() < Duration::from_secs(9), "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_request_is_one_line_at_debug_under_its_name() {
    let (_program, mut running, url) = serving();
    let request = http_client().get(format!("{url}/api/v1/ohlcv/BTC?limit=0"));
    let answer = request.header("x-request-id", "from-the-proxy-7").send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], "from-the-proxy-7");
    let bytes = answer.bytes().await.unwrap().len();
    let line: Value = serde_json::from_str(&running.wait_for("from-the-proxy-7")).unwrap();
    assert_eq!((&line["level"], &line["message"]), (&"DEBUG".into(), &"answered".into()));
    assert_eq!((&line["method"], &line["path"]), (&"GET".into(), &"/api/v1/ohlcv/BTC".into()));
    assert_eq!((&line["status"], &line["bytes"]), (&400.into(), &bytes.into()));
    assert!(line["duration_ms"].is_u64(), "{line}");
    assert!(line["client"].as_str().unwrap().starts_with("127.0.0.1:"), "{line}");
    assert_eq!(line["span"]["id"], "from-the-proxy-7");
    assert!(!line.to_string().contains("limit"), "no values of parameters: {line}");
    let unnamed = http_client().get(format!("{url}/livez")).send().await.unwrap();
    let id = unnamed.headers()["x-request-id"].to_str().unwrap().to_owned();
    assert!(running.wait_for(&id).contains("/livez"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_can_read_it_gets_less_to_read() {
    let (_program, _running, url) = serving();
    let plain = http_client_builder().gzip(false).build().unwrap();
    let document = |accept: &'static str| {
        plain.get(format!("{url}/openapi.json")).header("accept-encoding", accept).send()
    };
    let whole = document("identity").await.unwrap();
    assert!(!whole.headers().contains_key("content-encoding"));
    let whole = whole.text().await.unwrap();
    let small = document("gzip").await.unwrap();
    assert_eq!(small.headers()["content-encoding"], "gzip");
    assert_eq!(small.headers()["vary"], "Accept-Encoding");
    let length: usize = small.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let small = small.bytes().await.unwrap();
    assert_eq!(small.len(), length);
    assert!(length * 3 < whole.len(), "{length} of {}", whole.len());
    // This client decodes by itself.
    assert_eq!(get(&http_client(), &url, "/openapi.json").await.text, whole);
}

ohlcv_tests::on_postgres! {
    use ohlcv_tests::Samples;
    use ohlcv_tests::database::{Backend, TestDatabase};
    use sea_orm::{ConnectionTrait, TransactionTrait};

    /// Requests that may use the database at once, as ARCHITECTURE.md tells it.
    const DATABASE_REQUESTS_MAX: usize = 128;
    const TOO_MANY: usize = DATABASE_REQUESTS_MAX + 40;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn more_requests_than_the_database_can_take_are_turned_away_and_it_recovers() {
        let database = TestDatabase::new(Backend::Postgres).await;
        let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
            .with("LISTEN_ADDRESS", "127.0.0.1:0")
            .with("DATABASE_URL", database.url());
        let mut running = program.start(&["serve"]);
        let url = running.url();
        let db = database.connect().await;
        let lock = db.begin().await.unwrap();
        lock.execute_unprepared("LOCK TABLE series IN ACCESS EXCLUSIVE MODE").await.unwrap();

        let client = http_client();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..TOO_MANY {
            let request = client.get(format!("{url}/api/v1/assets"));
            asking.spawn(async move { request.send().await.unwrap() });
        }
        for _ in DATABASE_REQUESTS_MAX..TOO_MANY {
            let answer = tokio::time::timeout(PATIENCE, asking.join_next()).await.unwrap().unwrap().unwrap();
            assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
            assert!(answer.text().await.unwrap().contains("\"overloaded\""));
        }
        for (path, within) in [("/livez", 1), ("/api/v1/health", 3), ("/readyz", 3), ("/metrics", 3)] {
            let asked = Instant::now();
            let answer = get(&client, &url, path).await;
            assert!(asked.elapsed() < Duration::from_secs(within), "{path}: {:?}", asked.elapsed());
            if ["/livez", "/metrics"].contains(&path) {
                assert_eq!(answer.status, 200, "{path}");
            }
        }
        lock.rollback().await.unwrap();
        while let Some(answer) = tokio::time::timeout(PATIENCE, asking.join_next()).await.unwrap() {
            // Some have waited so long for a connection that they were given up.
            assert!([200, 503].contains(&answer.unwrap().status().as_u16()));
        }
        assert_eq!(get(&client, &url, "/api/v1/assets").await.status, 200);
        assert_eq!(get(&client, &url, "/readyz").await.status, 200);
        let samples = Samples::of(&get(&client, &url, "/metrics").await.text);
        let shed = samples.sum("ohlcv_http_requests_shed_total", &[]).unwrap();
        assert!(shed >= (TOO_MANY - DATABASE_REQUESTS_MAX) as f64, "{shed}");
    }
}
