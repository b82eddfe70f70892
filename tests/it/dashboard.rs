//! The dashboard in a real browser: what it shows is what the API answers.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

mod looks;
mod working;

use std::time::{Duration, Instant};

use ohlcv_domain::Timestamp;
use ohlcv_tests::browser::{Browser, pair};
use ohlcv_tests::http_client;
use ohlcv_tests::process::{Program, Running};
use ohlcv_tests::service::get;
use serde_json::{Value, json};

const WIDE: (u32, u32) = (1280, 900);
const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;
/// All that a reader is shown of a slot: one label.
const LABEL: &str = "document.querySelector('#chart .hoverlayer .hovertext')?.textContent";
/// Whether everything is drawn, and nothing is on its way.
const DRAWN: &str = "document.querySelector('#chart').dataset.drawn && \
    document.querySelector('#chart').getAttribute('aria-busy') === 'false' && \
    document.querySelector('#coverage.js-plotly-plot')";

/// The demo with its history complete.
struct Demo {
    url: String,
    client: reqwest::Client,
    _running: Running,
    _program: Program,
}

impl Demo {
    async fn start() -> Self {
        let program = Program::new(env!("CARGO_BIN_EXE_ohlcv")).with("LISTEN_ADDRESS", "127.0.0.1:0");
        let mut running = program.start(&["demo"]);
        let url = running.url();
        let demo = Self { url, client: http_client(), _running: running, _program: program };
        let started = Instant::now();
        while !demo.assets().await.iter().all(|row| row["backfill_completed"] == true) {
            assert!(started.elapsed() < Duration::from_secs(60), "the demo's backfill takes too long");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        demo
    }

    async fn assets(&self) -> Vec<Value> {
        get(&self.client, &self.url, "/api/v1/assets").await.json()["assets"].as_array().unwrap().clone()
    }

    /// Filled rows of BTC that open between two times, both included.
    async fn rows(&self, interval: &str, (from, to): (i64, i64)) -> Vec<Value> {
        let query = format!("interval={interval}&start={from}&end={}&fill=true&limit=10000", to + 1);
        get(&self.client, &self.url, &format!("/api/v1/ohlcv/BTC?{query}")).await.rows()
    }

    /// The newest hole of BTC that the exchange does not know, from and to.
    async fn hole(&self) -> (i64, i64) {
        let path = "/api/v1/assets/BTC/gaps?cause=source_empty&limit=1";
        let hole = get(&self.client, &self.url, path).await.json()["gaps"][0].clone();
        (millis(&hole["start"]), millis(&hole["end"]))
    }

    /// A browser that looks at BTC between two times, or at the page as it comes.
    async fn browser(&self, view: Option<(i64, i64)>) -> Browser {
        let browser = Browser::start(WIDE.0, WIDE.1).await;
        let hash = view.map(|(from, to)| format!("#asset=BTC&from={}&to={}", text(from), text(to)));
        browser.open(&format!("{}/{}", self.url, hash.unwrap_or_default())).await;
        browser.until(DRAWN).await;
        browser
    }
}

fn millis(time: &Value) -> i64 {
    time.as_str().unwrap().parse::<Timestamp>().unwrap().millis()
}

fn text(millis: i64) -> String {
    Timestamp::from_millis(millis).unwrap().to_string()
}

/// What the address says is in view.
async fn view(browser: &Browser) -> (i64, i64) {
    let hash =
        browser.value("[...new URLSearchParams(location.hash.slice(1))].map(([, value]) => value)").await;
    assert_eq!(hash[0], "BTC", "{hash}");
    (millis(&hash[1]), millis(&hash[2]))
}

/// Where in the window the middle of a slot is.
async fn place(browser: &Browser, time: i64) -> (f64, f64) {
    let place = format!(
        "((chart) => {{ const {{xaxis, yaxis}} = chart._fullLayout, {{x, y}} = chart.getBoundingClientRect(); \
         return [x + xaxis._offset + xaxis.d2p({time}), y + yaxis._offset + yaxis._length / 2]; }})\
         (document.querySelector('#chart'))"
    );
    pair(&browser.value(&place).await)
}

/// Moves the mouse to a slot as a hand does, and reads the one label.
async fn label(browser: &Browser, time: i64) -> String {
    let (x, y) = place(browser, time).await;
    browser.point((x - 30.0, y + 10.0)).await;
    browser.point((x + 1.0, y)).await;
    let opened = Timestamp::from_millis(time).unwrap().to_string();
    let begins = format!("BTC {} {} UTC", &opened[..10], &opened[11..16]);
    let label = browser.until(&format!("{LABEL}?.startsWith({}) && {LABEL}", json!(begins))).await;
    let labels = browser.value("document.querySelectorAll('#chart .hoverlayer .hovertext').length").await;
    assert_eq!(labels, 1, "one label for one slot");
    label.as_str().unwrap().to_owned()
}

/// How many candles and how many filled ones the page says are in view.
async fn counted(browser: &Browser) -> (usize, usize) {
    let said = browser.text("#shown").await;
    let (_, counts) = said.split_once("): ").unwrap_or_else(|| panic!("{said}"));
    let mut numbers = counts.split(", ").map(|part| part.split(' ').next().unwrap().parse().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap_or(0))
}

/// That nothing went wrong in the page, and that it asked nobody but the service.
async fn assert_clean(browser: &Browser, url: &str) {
    let noted = browser.noted().await;
    assert!(noted.complaints.is_empty(), "{:#?}", noted.complaints);
    assert_eq!(noted.violations, json!([]), "the page's policy forbids what it does");
    let elsewhere = noted
        .requests
        .iter()
        .filter(|request| !request.starts_with(&format!("{url}/")) && !request.starts_with("data:"));
    assert_eq!(elsewhere.collect::<Vec<_>>(), Vec::<&String>::new());
    assert!(noted.requests.len() > 10, "the requests are noted: {:?}", noted.requests);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chart_shows_the_candles_of_the_api_with_all_their_digits() {
    let demo = Demo::start().await;
    let browser = demo.browser(None).await;
    let shown = view(&browser).await;
    let rows = demo.rows("12h", shown).await;
    let real: Vec<&Value> = rows.iter().filter(|row| row["filled"] == false).collect();
    assert!(real.len() > 50, "{}", real.len());
    assert_eq!(counted(&browser).await, (real.len(), rows.len() - real.len()));
    // What is drawn, not what was handed over.
    let boxes = "[...document.querySelectorAll('#chart .boxlayer path.box')].filter((box) => { \
        const {left, right} = box.getBoundingClientRect(), middle = (left + right) / 2, \
        drag = document.querySelector('#chart .nsewdrag').getBoundingClientRect(); \
        return middle >= drag.left - 0.5 && middle <= drag.right + 0.5; }).length";
    assert_eq!(browser.value(boxes).await, real.len());
    for row in [real[real.len() - 1], real[real.len() / 2], real[10]] {
        let label = label(&browser, millis(&row["timestamp"])).await;
        for (name, field) in
            [("Open", "open"), ("High", "high"), ("Low", "low"), ("Close", "close"), ("Volume", "volume")]
        {
            let digits = row[field].as_str().unwrap();
            assert!(label.contains(&format!("{name} {digits}")), "{name} {digits}: {label}");
        }
        let line = browser.text("#readout").await;
        assert!(line.contains(row["close"].as_str().unwrap()), "for screen readers too: {line}");
    }
    let standing = browser.text("#standing").await;
    assert!(standing.contains("complete") && standing.contains("lag: none"), "{standing}");
    assert_clean(&browser, &demo.url).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hole_is_marked_and_its_cause_can_be_read() {
    let demo = Demo::start().await;
    let (start, end) = demo.hole().await;
    let browser = demo.browser(Some((start - 20 * DAY_MILLIS, end + 20 * DAY_MILLIS))).await;
    let shown = view(&browser).await;
    let rows = demo.rows("12h", shown).await;
    let filled: Vec<&Value> = rows.iter().filter(|row| row["filled"] == true).collect();
    assert!(!filled.is_empty() && filled.len() < rows.len());
    assert_eq!(counted(&browser).await, (rows.len() - filled.len(), filled.len()));
    // Beside them are those that are not seen, which have the labels.
    let seen = "[...document.querySelectorAll('#chart .scatterlayer path.point')]\
        .filter((point) => getComputedStyle(point).opacity !== '0').length";
    assert_eq!(browser.value(seen).await, filled.len(), "each filled row is marked as such");
    let legend = browser.text("#legend").await;
    assert!(legend.contains("filled") && legend.contains("source empty"), "{legend}");
    for row in [filled[0], filled[filled.len() - 1]] {
        let label = label(&browser, millis(&row["timestamp"])).await;
        let carried = row["close"].as_str().unwrap();
        assert!(label.contains(&format!("filled: no candle, carries the close {carried}")), "{label}");
        assert!(label.contains("Cause: source empty: the exchange has nothing there"), "{label}");
        assert!(label.contains("Outage: "), "{label}");
    }
    browser.screenshot("hole").await;
    // A band of the hole's own width, in the colour of its cause.
    let bands = "[...document.querySelectorAll('#chart path.pattern_filled')].map((band) => \
        (({left, right}) => [left, right])(band.getBoundingClientRect()))";
    let bands = browser.value(bands).await;
    let ((first, _), (last, _)) = (place(&browser, start).await, place(&browser, end).await);
    let slot = (last - first) / f64::from(u32::try_from((end - start) / (DAY_MILLIS / 2)).unwrap());
    let is_there = |band: &Value| {
        let (left, right) = pair(band);
        (left - (first - slot / 2.0)).abs() < 4.0 && (right - (last - slot / 2.0)).abs() < 4.0
    };
    assert!(bands.as_array().unwrap().iter().any(is_there), "from {first} to {last}, by {slot}: {bands}");
    assert_clean(&browser, &demo.url).await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn panning_loads_earlier_candles_and_the_whole_history_comes_in_coarser_ones() {
    let demo = Demo::start().await;
    let browser = demo.browser(None).await;
    let begun = view(&browser).await;
    let drawn = "document.querySelector('#chart').dataset.drawn";
    assert!(browser.value(drawn).await.as_str().unwrap().parse::<u32>().unwrap() < 500, "not all at once");
    for _ in 0..4 {
        let before = view(&browser).await;
        let (x, y) = place(&browser, before.0 + (before.1 - before.0) / 10).await;
        browser.drag((x, y), (x + 900.0, y + 5.0)).await;
        let moved =
            format!("Date.parse(new URLSearchParams(location.hash.slice(1)).get('from')) < {}", before.0);
        browser.until(&moved).await;
        browser.until(DRAWN).await;
    }
    let shown = view(&browser).await;
    assert!(shown.1 < begun.0, "{} is wholly before {}", text(shown.1), text(begun.0));
    let rows = demo.rows("12h", shown).await;
    let all = format!("document.querySelector('#shown').innerText.includes('{} candles of 12h')", {
        rows.iter().filter(|row| row["filled"] == false).count()
    });
    browser.until(&all).await;
    let row = &rows[rows.len() / 2];
    assert!(label(&browser, millis(&row["timestamp"])).await.contains(row["close"].as_str().unwrap()));

    browser.click_on("[data-do=whole]").await;
    browser.until("document.querySelector('#chart').dataset.interval === '3d'").await;
    browser.until(DRAWN).await;
    let shown = view(&browser).await;
    let assets = demo.assets().await;
    let (first, last) = (millis(&assets[0]["earliest_timestamp"]), millis(&assets[0]["latest_timestamp"]));
    assert!(shown.0 <= first && shown.1 >= last, "the whole history");
    let rows = demo.rows("3d", shown).await;
    let real = rows.iter().filter(|row| row["filled"] == false).count();
    assert_eq!(counted(&browser).await, (real, rows.len() - real));
    assert!(real > 200 && real < 500, "{real}");
    let row = rows.iter().find(|row| row["complete"] == true).unwrap();
    assert!(label(&browser, millis(&row["timestamp"])).await.contains(row["volume"].as_str().unwrap()));
    assert_clean(&browser, &demo.url).await;
    browser.close().await;
}
