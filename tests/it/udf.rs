//! Charts over the data feed: what TradingView's own client asks for, page by page, is what is stored.
#![expect(clippy::unwrap_used, reason = "what fails here is the test")]

use ohlcv_domain::{Candle, Interval, Ohlc, TimeRange};
use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::service::Service;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use crate::market::{HALF_DAY, Market, NOON, asset, at, candle, candles};

ohlcv_tests::on_each_database!(
    a_chart_that_is_dragged_back_to_its_beginning_shows_every_candle_once,
    numbers_are_written_digit_by_digit,
    holes_have_no_bars_and_lead_to_what_is_older,
);

/// How many pages a chart asks for before a test gives up.
const PAGES_MAX: usize = 1_000;

/// A bar as the client keeps it, its numbers as they were written.
type Bar = (i64, [String; 5]);

/// As `UDFCompatibleDatafeed` reads an answer: by what `s` says, whatever the status.
fn bars(text: &str) -> Vec<Bar> {
    let answer: std::collections::BTreeMap<String, Box<RawValue>> = serde_json::from_str(text).unwrap();
    assert_eq!(answer["s"].get(), "\"ok\"", "{text}");
    let column = |name: &str| -> Vec<String> {
        let values: Vec<Box<RawValue>> = serde_json::from_str(answer[name].get()).unwrap();
        values.iter().map(|value| value.get().to_owned()).collect()
    };
    let columns = ["o", "h", "l", "c", "v"].map(column);
    let times = column("t");
    assert!(columns.iter().all(|column| column.len() == times.len()), "{text}");
    let bar = |(number, time): (usize, &String)| {
        (time.parse().unwrap(), columns.each_ref().map(|column| column[number].clone()))
    };
    times.iter().enumerate().map(bar).collect()
}

/// The rows of the API as bars.
async fn rows(service: &Service, interval: &str) -> Vec<Bar> {
    let path = format!("/api/v1/ohlcv/BTC?start=2017-01-01T00:00:00Z&limit=1000&interval={interval}");
    let rows: Vec<Value> = service.follow(&path, "next").await.concat();
    let number = |row: &Value, name: &str| row[name].as_str().unwrap().to_owned();
    let bar = |row: &Value| {
        let time = at(row["timestamp"].as_str().unwrap()).millis() / 1_000;
        (time, ["open", "high", "low", "close", "volume"].map(|name| number(row, name)))
    };
    rows.iter().map(bar).collect()
}

async fn with_holes(backend: Backend) -> (Service, TestDatabase) {
    let market = Market::new(HALF_DAY, &["BTC"], NOON, 400).await;
    for (start, end) in
        [("2024-05-01T00:00:00Z", "2024-06-20T12:00:00Z"), ("2024-10-30T12:00:00Z", "2024-10-31T00:00:00Z")]
    {
        let gone = TimeRange::new(at(start), at(end)).unwrap();
        market.source.remove(asset("BTC"), Interval::H12, gone);
    }
    let database = TestDatabase::new(backend).await;
    let service =
        market.service(&database, &[("INITIAL_BACKFILL_DAYS", "395"), ("TRACKED_ASSETS", "BTC,ETH")]).await;
    service.backfill().await;
    (service, database)
}

async fn a_chart_that_is_dragged_back_to_its_beginning_shows_every_candle_once(backend: Backend) {
    let (service, _database) = with_holes(backend).await;
    let config = service.get("/udf/config").await.json();
    assert_eq!(
        (&config["supports_search"], &config["supports_group_request"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(config["supported_resolutions"], json!(["720", "1D", "3D", "1W", "1M"]));
    assert_eq!(service.get("/udf/time").await.text, (at(NOON).millis() / 1_000).to_string());
    let found = service.get("/udf/search?query=BT&type=crypto&exchange=BINANCE&limit=30").await.json();
    assert_eq!(found.as_array().unwrap().len(), 1, "{found}");
    let symbol =
        service.get(&format!("/udf/symbols?symbol={}", found[0]["full_name"].as_str().unwrap())).await.json();
    assert!(symbol.get("s").is_none(), "{symbol}");
    let resolutions = symbol["supported_resolutions"].as_array().unwrap();
    for (resolution, interval) in resolutions.iter().zip(["12h", "1d", "3d", "1w", "1M"]) {
        let (resolution, ticker) = (resolution.as_str().unwrap(), symbol["ticker"].as_str().unwrap());
        // The first question of a chart reaches into the future.
        let (mut to, mut shown) = (at(NOON).millis() / 1_000 + 86_400, Vec::<Bar>::new());
        for page in 0.. {
            assert!(page < PAGES_MAX, "it goes on for ever");
            let from = to - 40 * 43_200;
            let url = format!(
                "/udf/history?symbol={ticker}&resolution={resolution}&from={from}&to={to}&countback=37&currencyCode=USDT&firstDataRequest={}",
                page == 0
            );
            let answer = service.get(&url).await;
            assert_eq!(
                (answer.status, answer.content_type.as_str()),
                (200, "application/json"),
                "{}",
                answer.text
            );
            if answer.json()["s"] == "no_data" {
                assert_eq!(answer.json(), json!({"s": "no_data"}), "nothing is older");
                break;
            }
            let bars = bars(&answer.text);
            assert!(bars.len() <= 37 && bars.iter().all(|(time, _)| *time < to), "{url}");
            to = bars[0].0;
            shown.splice(0..0, bars);
        }
        assert_eq!(shown, rows(&service, interval).await, "{resolution}");
    }
}

async fn numbers_are_written_digit_by_digit(backend: Backend) {
    let open_time = HALF_DAY.floor(at("2024-11-05T00:00:00Z"));
    let price = |text: &str| text.parse().unwrap();
    let prices = Ohlc {
        open: price("0.1"),
        high: price("999999999999.99999999"),
        low: price("0.00000001"),
        close: price("0.3"),
    };
    let exact = Candle::new(open_time, prices, "1234567890123456789012.12345678".parse().unwrap()).unwrap();
    let mut series = candles(asset("BTC"), HALF_DAY, at("2024-11-04T00:00:00Z"), at(NOON));
    series.iter_mut().filter(|candle| candle.open_time() == open_time).for_each(|candle| *candle = exact);
    let market = Market::of(
        Interval::H12,
        vec![(asset("BTC"), series)],
        at(NOON),
        ohlcv_tests::fake_binance::Options::default(),
    )
    .await;
    let database = TestDatabase::new(backend).await;
    let service = market.service(&database, &[]).await;
    service.backfill().await;
    let to = open_time.millis() / 1_000 + 1;
    let answer = service.get(&format!("/udf/history?symbol=BTC&resolution=720&to={to}&countback=1")).await;
    let wanted = format!(
        "{{\"s\":\"ok\",\"t\":[{}],\"o\":[0.10000000],\"h\":[999999999999.99999999],\"l\":[0.00000001],\"c\":[0.30000000],\"v\":[1234567890123456789012.12345678]}}",
        to - 1
    );
    assert_eq!(answer.text, wanted);
    let symbol = service.get("/udf/symbols?symbol=BTCUSDT").await.json();
    assert_eq!((&symbol["pricescale"], &symbol["minmov"]), (&json!(100_000_000), &json!(1)));
    let usual = candle(asset("BTC"), open_time);
    assert_ne!(usual, exact);
}

async fn holes_have_no_bars_and_lead_to_what_is_older(backend: Backend) {
    let (service, _database) = with_holes(backend).await;
    let seconds = |text: &str| at(text).millis() / 1_000;
    let history = |from: &str, to: &str| {
        format!(
            "/udf/history?symbol=BINANCE:BTCUSDT&resolution=720&from={}&to={}",
            seconds(from),
            seconds(to)
        )
    };
    let hole = service.get(&history("2024-05-10T00:00:00Z", "2024-06-01T00:00:00Z")).await;
    assert_eq!(hole.json(), json!({"s": "no_data", "nextTime": seconds("2024-04-30T12:00:00Z")}));
    let around = service.get(&history("2024-10-30T00:00:00Z", "2024-10-31T12:00:00Z")).await;
    let times: Vec<i64> = bars(&around.text).into_iter().map(|(time, _)| time).collect();
    assert_eq!(
        times,
        ["2024-10-30T00:00:00Z", "2024-10-31T00:00:00Z"].map(seconds),
        "to is exclusive, from is not"
    );
    let before = service.get(&history("2015-01-01T00:00:00Z", "2016-01-01T00:00:00Z")).await;
    assert_eq!(before.json(), json!({"s": "no_data"}));
    let empty = service.get("/udf/history?symbol=ETH&resolution=1D&from=0&to=1730419200").await;
    assert_eq!(empty.json(), json!({"s": "no_data"}), "tracked, without data");
    // How many are wanted counts more than where they begin.
    let to = seconds("2024-10-31T12:00:00Z");
    let url = format!("/udf/history?symbol=BTC&resolution=720&from={}&to={to}&countback=5", to - 1);
    let times: Vec<i64> = bars(&service.get(&url).await.text).into_iter().map(|(time, _)| time).collect();
    assert_eq!((times.len(), times[0]), (5, seconds("2024-10-28T12:00:00Z")));
}
