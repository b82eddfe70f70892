//! Long answers of the program: all rows, in little memory, and never a part that looks like the whole.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use std::time::{Duration, Instant};

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, Running};
use ohlcv_tests::{http_client, http_client_builder, service, stalled_reader};
use reqwest::{Response, Version};

use crate::many_candles::with_candles;
use crate::market::{HALF_DAY, Market, NOON};

ohlcv_tests::on_each_database!(a_failure_in_the_middle_of_a_long_answer_is_seen_by_its_reader);

/// Too many for what the system keeps between two ends of a connection, in any format.
const MANY: u64 = 400_000;
/// What memory may grow by when an answer grows by all of these rows, in KiB: caches fill, and threads take
/// memory they keep. As bytes alone the rows take more, and as values several times that.
const GROWTH_KIB_MAX: u64 = 30 * 1024;
/// Long answers at once, as ARCHITECTURE.md tells it.
const LONG_ANSWERS_MAX: usize = 16;
/// What a test waits for at most.
const PATIENCE: Duration = Duration::from_secs(30);

const FORMATS: [&str; 3] = ["ndjson", "csv", "arrow"];

/// The program, serving so many candles of BTC.
async fn serving(candles: u64) -> (Program, Running, String, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(Backend::Sqlite).await;
    drop(with_candles(&market, &database, Backend::Sqlite, candles).await);
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"))
        .with("LISTEN_ADDRESS", "127.0.0.1:0")
        .with("DATABASE_URL", database.url())
        .with("CANDLE_INTERVAL", "1m");
    let mut running = program.start(&["serve"]);
    let url = running.url();
    (program, running, url, database)
}

async fn begin(url: &str, query: &str) -> Response {
    let answer = http_client().get(format!("{url}/api/v1/ohlcv/BTC?{query}")).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{query}");
    answer
}

/// Takes the rest of an answer, and counts its bytes and its lines.
async fn taken(mut answer: Response) -> Result<(u64, u64), reqwest::Error> {
    let (mut bytes, mut lines) = (0, 0);
    while let Some(chunk) = answer.chunk().await? {
        bytes += chunk.len() as u64;
        lines += chunk.iter().filter(|byte| **byte == b'\n').count() as u64;
    }
    Ok((bytes, lines))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_answer_takes_no_more_memory_than_a_short_one() {
    let (_program, running, url, _database) = serving(MANY).await;
    // As much as it takes at once, of each.
    let short = NOON.replace("2024-11-06", "2024-10-23");
    for format in FORMATS {
        taken(begin(&url, &format!("start={short}&format={format}")).await).await.unwrap();
    }
    for format in FORMATS {
        let before = running.memory_peak_kib();
        let (bytes, lines) = taken(begin(&url, &format!("format={format}")).await).await.unwrap();
        // The system counts for each core by itself, so that a later peak may be told as a little less.
        let grown = running.memory_peak_kib().saturating_sub(before);
        println!("{format}: {bytes} bytes, memory grew by {grown} KiB to {}", running.memory_peak_kib());
        assert!(bytes > GROWTH_KIB_MAX * 1024, "{format}: {bytes}");
        match format {
            "ndjson" => assert_eq!(lines, MANY),
            "csv" => assert_eq!(lines, MANY + 1),
            _ => {}
        }
        assert!(grown < GROWTH_KIB_MAX, "{format}: {grown} KiB for {bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_that_take_nothing_cost_little_and_hold_nobody_up() {
    let (_program, running, url, database) = serving(MANY).await;
    taken(begin(&url, "format=csv").await).await.unwrap();
    let before = running.memory_kib();
    let mut stalled = Vec::new();
    for _ in 0..LONG_ANSWERS_MAX {
        stalled.push(stalled_reader(&url, "/api/v1/ohlcv/BTC?format=csv").await);
    }
    let asked = Instant::now();
    let refused = service::get(&http_client(), &url, "/api/v1/ohlcv/BTC?format=csv").await;
    assert_eq!((refused.status, refused.json()["code"].as_str()), (503, Some("overloaded")));
    assert!(asked.elapsed() < PATIENCE);
    // Short answers and writes go on: nothing of the database is held.
    assert_eq!(service::get(&http_client(), &url, "/api/v1/ohlcv/BTC").await.rows().len(), 1000);
    assert_eq!(
        database.execute("UPDATE spot_ohlcv SET volume = '2.00000000' WHERE asset = 'BTC'").await,
        MANY
    );
    let grown = running.memory_kib().saturating_sub(before);
    println!("{LONG_ANSWERS_MAX} stalled readers: {grown} KiB");
    assert!(grown < 10 * 1024 * LONG_ANSWERS_MAX as u64, "{grown} KiB");
    // Whoever goes away makes room.
    drop(stalled);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let again =
            service::get(&http_client(), &url, "/api/v1/ohlcv/BTC?format=csv&end=2024-11-06T00:00:00Z").await;
        if again.status == 200 {
            return;
        }
        assert!(Instant::now() < deadline, "{}", again.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_question_about_the_head_of_a_long_answer_is_answered_at_once() {
    let (_program, _running, url, _database) = serving(5_000).await;
    let head = http_client().head(format!("{url}/api/v1/ohlcv/BTC?format=csv")).send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(!head.headers().contains_key("content-length"), "{head:?}");
    assert_eq!(head.headers()["content-type"], "text/csv; charset=utf-8; header=present");
    assert_eq!(taken(begin(&url, "format=csv").await).await.unwrap().1, 5_001);
}

async fn a_failure_in_the_middle_of_a_long_answer_is_seen_by_its_reader(backend: Backend) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 1).await;
    let database = TestDatabase::new(backend).await;
    let service = with_candles(&market, &database, backend, MANY).await;
    let (one, two) = (http_client(), http_client_builder().http2_prior_knowledge().build().unwrap());
    let mut answers = Vec::new();
    for (client, version) in [(one, Version::HTTP_11), (two, Version::HTTP_2)] {
        for format in FORMATS {
            let url = format!("{}/api/v1/ohlcv/BTC?format={format}", service.url());
            let mut answer = client.get(url).send().await.unwrap();
            assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
            assert!(!answer.chunk().await.unwrap().unwrap().is_empty());
            answers.push((format, answer));
        }
    }
    // Nobody holds the table between two pages.
    database.execute("ALTER TABLE spot_ohlcv RENAME TO away").await;
    for (format, answer) in answers {
        let version = answer.version();
        let taken = tokio::time::timeout(PATIENCE, taken(answer)).await.unwrap();
        assert!(taken.is_err(), "{format} over {version:?}: a part looks like the whole: {taken:?}");
    }
    let late = service.get("/api/v1/ohlcv/BTC?format=csv").await;
    assert_eq!((late.status, late.content_type.as_str()), (500, "application/problem+json"));
}
