//! Rows of coarser intervals: repeated reads and first ones, against those of stored candles.

use std::time::{Duration, Instant};

use anyhow::Context;
use ohlcv_ports::CandleStore;
use ohlcv_tests::database::Backend;
use ohlcv_tests::http_client;

use crate::options::Options;
use crate::table::{Table, median, millis, ratio, times};
use crate::{candles, load, world};

const CONNECTIONS: usize = 64;
/// Rows of the answers that are compared.
const ROWS: i64 = 1_000;
/// Ranges that were not asked for before, in each round.
const RANGES: i64 = 50;
/// How many days of minutes there are at most: what comes of more is no different.
const DAYS_MAX: i64 = 365;

pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let days = options.days.min(DAYS_MAX);
    let (database, store) = world::empty(backend).await?;
    let months = candles::months(days)?;
    let minutes = months.iter().map(|month| month.len()).sum::<u64>();
    for slots in &months {
        store.apply(candles::commit(world::asset()?, *slots, candles::with_holes(*slots)?)?).await?;
    }
    store.close().await;
    let program = world::program(&database).with("CANDLE_INTERVAL", "1m");
    let (mut derived, mut stored) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        // Each time a program that has read nothing.
        let (_running, address) = world::serve(&program);
        derived.push(followed(&address, "interval=1d&start=0&limit=10000").await?);
        let (_running, address) = world::serve(&program);
        stored.push(followed(&address, "start=0&limit=10000").await?);
    }
    let name = world::name_of(backend);
    table.row(
        format!("{name}, {days} days out of {minutes} minutes: first read against one of the minutes"),
        times(ratio(&derived, &stored)),
        "",
        format!("{} against {}", millis(median(derived.clone())), millis(median(stored))),
    );
    let (_running, address) = world::serve(&program);
    let end = months.last().context("there are minutes")?.end();
    let of = |interval: &str| format!("/api/v1/ohlcv/{}?limit={ROWS}{interval}", world::ASSET);
    let (mut hours, mut plain) = (Vec::new(), Vec::new());
    let client = http_client();
    let (mut ranges, mut plain_ranges) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        hours.push(load::on(&address, &of("&interval=1h"), CONNECTIONS, options.lasting).await?.per_second);
        plain.push(load::on(&address, &of(""), CONNECTIONS, options.lasting).await?.per_second);
        let mut took = [Vec::new(), Vec::new()];
        for range in 1..=RANGES {
            // The same rows, and a URL that nobody has asked for.
            let until = i64::try_from(round)? * RANGES + range;
            let until = end.saturating_add(Duration::from_millis(until.unsigned_abs()));
            for (took, interval) in took.iter_mut().zip(["&interval=1h", ""]) {
                took.push(timed(&client, &address, &format!("{}&end={until}", of(interval))).await?);
            }
        }
        let [of_hours, of_minutes] = took.map(median);
        ranges.push(of_hours);
        plain_ranges.push(of_minutes);
    }
    table.row(
        format!("{name}, {ROWS} hours out of minutes, {CONNECTIONS} connections: requests/s against as many minutes"),
        times(ratio(&hours, &plain)),
        "about 1",
        format!("{:.0} against {:.0}", median(hours.clone()), median(plain)),
    );
    table.row(
        format!("{name}, {ROWS} hours out of minutes, another range each time: against as many minutes"),
        times(ratio(&ranges, &plain_ranges)),
        "about 1",
        format!("{} against {}", millis(median(ranges.clone())), millis(median(plain_ranges))),
    );
    Ok(())
}

async fn timed(client: &reqwest::Client, address: &str, path: &str) -> anyhow::Result<f64> {
    let started = Instant::now();
    let answer = client.get(format!("http://{address}{path}")).send().await?.error_for_status()?;
    anyhow::ensure!(answer.bytes().await?.len() > 10_000, "{path} has few rows");
    Ok(started.elapsed().as_secs_f64())
}

/// How long it takes to read everything, page by page.
async fn followed(address: &str, options: &str) -> anyhow::Result<f64> {
    let client = http_client();
    let started = Instant::now();
    let mut next = Some(format!("/api/v1/ohlcv/{}?{options}", world::ASSET));
    while let Some(path) = next {
        let answer = client.get(format!("http://{address}{path}")).send().await?.error_for_status()?;
        let link = answer.headers().get("link").and_then(|link| link.to_str().ok()).unwrap_or_default();
        next = link
            .split(", ")
            .find_map(|link| link.strip_suffix(">; rel=\"next\"")?.strip_prefix('<').map(str::to_owned));
        answer.bytes().await?;
    }
    Ok(started.elapsed().as_secs_f64())
}
