//! Reads after the series has changed: the first one, against a warm one and against a peer.

use std::time::{Duration, Instant};

use ohlcv_adapters::store::SqlStore;
use ohlcv_domain::{Asset, Grid, Interval, SlotRange, Timestamp};
use ohlcv_ports::CandleStore;
use ohlcv_tests::database::Backend;

use crate::load::{self, Client};
use crate::options::Options;
use crate::table::{Table, median, millis, ratio, seconds, times};
use crate::{candles, world};

/// Changes in each round: one alone is too short to tell.
const CHANGES: u64 = 10;

pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let (database, store) = world::half_days(backend).await?;
    let program = world::program(&database);
    let (_running, address) = world::serve(&program);
    let slots = candles::half_days()?;
    let grid = slots.grid();
    let middle = grid.step(slots.start(), candles::HALF_DAYS / 2);
    // Reaches on, so that candles that come later are in it.
    let until = grid.step(slots.end(), 500);
    let path =
        format!("/api/v1/ohlcv/{}?start={}&end={until}&fill=true&limit=2000", world::ASSET, slots.start(),);
    let mut client = Client::connect(&address, &path).await?;
    client.ask().await?;
    let (mut revised, mut appended, mut warm, mut elsewhere) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let [own, other] = [world::asset()?, "ELSEWHERE".parse()?];
    let mut next = slots.end();
    for round in 0..u64::try_from(options.rounds)? {
        let mut took = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        for change in 0..CHANGES {
            write(&store, own, middle, 1 + round * CHANGES + change).await?;
            took[0].push(ask(&mut client).await?);
            write(&store, own, next, 0).await?;
            took[1].push(ask(&mut client).await?);
            // Another process may have been told later than this one.
            ask(&mut client).await?;
            took[2].push(ask(&mut client).await?);
            write(&store, other, next, 0).await?;
            took[3].push(ask(&mut client).await?);
            next = grid.next(next);
        }
        let [first, second, third, fourth] = took.map(|took| median(seconds(&took)));
        revised.push(first);
        appended.push(second);
        warm.push(third);
        elsewhere.push(fourth);
    }
    let name = world::name_of(backend);
    // While something is written the program rests, and a rested one is slower: so also beside a repeated
    // read after as long a rest.
    for (repeated, rival) in
        [(&warm, "a repeated one"), (&elsewhere, "a repeated one after a write elsewhere")]
    {
        for (what, took, wanted) in
            [("a candle was revised", &revised, ""), ("a candle came", &appended, "about 1")]
        {
            table.row(
                format!("{name}, two years filled: first read after {what} against {rival}"),
                times(ratio(took, repeated)),
                wanted,
                format!("{} against {}", millis(median(took.clone())), millis(median(repeated.clone()))),
            );
        }
    }
    match &options.peer {
        Some(peer) => against(options, peer, name, &revised, table).await,
        None => Ok(()),
    }
}

/// The reads above, each the first after a change, against what a peer does.
async fn against(
    options: &Options,
    peer: &str,
    name: &str,
    revised: &[f64],
    table: &mut Table,
) -> anyhow::Result<()> {
    let address = peer.trim_start_matches("http://").trim_end_matches('/');
    let path = world::two_years_path()?;
    for connections in [1, 16] {
        let mut theirs = Vec::new();
        for _ in 0..options.rounds {
            let lasting = options.lasting.max(Duration::from_secs(1));
            theirs.push(load::on(address, &path, connections, lasting).await?);
        }
        let speeds: Vec<f64> = theirs.iter().map(|met| met.per_second).collect();
        let ours: Vec<f64> = revised.iter().map(|took| 1.0 / took).collect();
        table.row(
            format!("{name}, two years filled: first reads after a change, one after the other, against the peer's repeated ones on {connections} connections, per second"),
            times(ratio(&ours, &speeds)),
            "≥ 5",
            format!(
                "{:.0}/s against {:.0}/s; the peer's p50 {}",
                median(ours.clone()),
                median(speeds.clone()),
                millis(median(theirs.iter().map(|met| met.p50).collect())),
            ),
        );
    }
    Ok(())
}

async fn write(store: &SqlStore, asset: Asset, open_time: Timestamp, turn: u64) -> anyhow::Result<()> {
    let grid = Grid::new(Interval::H12);
    let slot = SlotRange::new(grid, open_time, grid.next(open_time))?;
    store.apply(candles::commit(asset, slot, vec![candles::candle(open_time, turn)?])?).await?;
    Ok(())
}

async fn ask(client: &mut Client) -> anyhow::Result<Duration> {
    let asked = Instant::now();
    client.ask().await?;
    Ok(asked.elapsed())
}
