//! A service at work: no candles yet, a fetch under way, an API that is away.

use std::collections::BTreeSet;

use ohlcv_domain::{Grid, Interval};
use ohlcv_ports::Clock;
use ohlcv_tests::fake_binance::Options;

use super::*;
use crate::market::{Market, asset, at, candles};

const KEY: &str = "a-key-of-more-than-sixteen-characters";
/// The days that are fetched: ten pages of hours.
const DAYS: u32 = 400;
const HOURS: Grid = Grid::new(Interval::H1);

/// The program with hours of BTC, few at first, one page at a time, and a key.
fn program_with_a_key(market: &Market) -> Program {
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv"));
    let settings = [
        ("LISTEN_ADDRESS", "127.0.0.1:0"),
        ("BINANCE_API_BASE_URL", &market.exchange.url()),
        ("BINANCE_REQUEST_DELAY_MS", "0"),
        ("BINANCE_MAX_CONCURRENT_REQUESTS", "1"),
        ("TRACKED_ASSETS", "BTC"),
        ("CANDLE_INTERVAL", "1h"),
        ("INITIAL_BACKFILL_DAYS", "2"),
        ("API_KEY", KEY),
    ];
    settings.into_iter().fold(program, |program, (name, value)| program.with(name, value))
}

/// How far the newest job was whenever it was looked at, until it has succeeded.
async fn percents_until_done(browser: &Browser) -> BTreeSet<u64> {
    let mut seen = BTreeSet::new();
    let started = Instant::now();
    loop {
        let job = browser
            .value("((job) => job && [job.querySelector('.word').innerText, job.querySelector('progress').value])\
                (document.querySelector('#jobs li'))")
            .await;
        seen.extend(job[1].as_u64());
        if job[0] == "succeeded" {
            return seen;
        }
        assert!(started.elapsed() < Duration::from_secs(120), "{job}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fetch_that_is_started_in_the_page_is_followed_to_its_end() {
    let now = ohlcv_adapters::SystemClock.now();
    let first = now.saturating_sub(Duration::from_secs(86_400) * DAYS);
    let series = vec![(asset("BTC"), candles(asset("BTC"), HOURS, first, now))];
    let slow = Options { latency: Duration::from_millis(700), ..Options::default() };
    let market = Market::of(Interval::H1, series, now, slow).await;
    let program = program_with_a_key(&market);
    let mut running = program.start(&["run"]);
    let url = running.url();
    running.wait_for("BTC: ");
    let browser = Browser::start(WIDE.0, WIDE.1).await;
    browser.open(&format!("{url}/dashboard")).await;
    browser.until(DRAWN).await;
    let note = browser.text("#jobs-note").await;
    assert!(note.contains("API_KEY"), "it says what needs a key: {note}");

    browser.click_on("#key").await;
    browser.press(&KEY.chars().collect::<Vec<_>>(), false).await;
    let days = |days| text(now.saturating_sub(Duration::from_secs(86_400) * days).millis())[..16].to_owned();
    for (name, value) in [("start", days(DAYS - 5)), ("end", days(5))] {
        browser.value(&format!("document.querySelector('[name={name}]').value = {}", json!(value))).await;
    }
    browser.click_on("#trigger [type=submit]").await;
    browser.until("document.querySelector('#said').innerText.includes('queued')").await;
    let seen = percents_until_done(&browser).await;
    let between: Vec<_> = seen.iter().filter(|percent| (1..100).contains(*percent)).collect();
    assert!(between.len() >= 2 && seen.contains(&100), "the bar moves: {seen:?}");
    // What was fetched is drawn without anybody loading the page anew.
    let since = format!(
        "document.querySelector('#assets tbody td:nth-child(6)').innerText < {}",
        json!(days(DAYS - 6).replace('T', " "))
    );
    browser.until(&since).await;
    browser.click_on("[data-do=whole]").await;
    browser
        .until(&format!(
            "Date.parse(new URLSearchParams(location.hash.slice(1)).get('from')) < {}",
            at(&format!("{}:00Z", days(DAYS - 6))).millis()
        ))
        .await;
    browser.until("document.querySelector('#chart').dataset.interval === '3d'").await;
    browser.until(DRAWN).await;
    browser.value("document.querySelector('#jobs').scrollIntoView({block: 'end'})").await;
    browser.screenshot("jobs").await;
    let kept =
        browser.value("[Object.values(sessionStorage), Object.values(localStorage), document.cookie]").await;
    assert_eq!(kept, json!([[KEY], [], ""]), "the key stays in the tab");
    assert_clean(&browser, &url).await;

    browser.click_on("#forget").await;
    browser.until("document.querySelector('#jobs').children.length === 0").await;
    assert_eq!(browser.value("sessionStorage.length").await, 0);
    browser.click_on("#key").await;
    browser.press(&"no-such-key-but-long-enough\u{e007}".chars().collect::<Vec<_>>(), false).await;
    browser.until("document.querySelector('#said').innerText.includes('wrong key')").await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_waits_for_the_first_candles_and_for_an_api_that_is_away() {
    let program = Program::new(env!("CARGO_BIN_EXE_ohlcv")).with("TRACKED_ASSETS", "BTC");
    let mut serving = program.start(&["serve", "--listen-address", "127.0.0.1:0"]);
    let url = serving.url();
    let address = url.trim_start_matches("http://").to_owned();
    let browser = Browser::start(WIDE.0, WIDE.1).await;
    browser.open(&format!("{url}/dashboard")).await;
    browser
        .until("document.querySelector('#empty').innerText.includes('No candle of BTC is stored yet')")
        .await;
    browser.screenshot("empty").await;
    assert_clean(&browser, &url).await;

    serving.signal("TERM");
    serving.wait();
    browser.until("!document.querySelector('#trouble').hidden").await;
    let said = browser.text("#trouble").await;
    assert!(said.contains("does not answer") && said.contains("Asked again in"), "{said}");
    browser.screenshot("away").await;

    // Candles come meanwhile, and the API is back.
    let now = ohlcv_adapters::SystemClock.now();
    let market = Market::new(crate::market::HALF_DAY, &["BTC"], &now.to_string(), 200).await;
    let program =
        program.with("BINANCE_API_BASE_URL", &market.exchange.url()).with("INITIAL_BACKFILL_DAYS", "100");
    let mut running = program.start(&["run", "--listen-address", &address]);
    running.wait_for("BTC: 200 new candles");
    browser
        .until("document.querySelector('#trouble').hidden && document.querySelector('#empty').hidden")
        .await;
    browser.until(DRAWN).await;
    browser.close().await;
}
