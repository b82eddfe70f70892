//! Repeated reads against a bare handler of the same framework that returns the same bytes.

use std::process::Command;

use ohlcv_tests::database::Backend;
use ohlcv_tests::http_client;

use crate::options::Options;
use crate::table::{Table, median, millis, ratio, times};
use crate::{bare, load, world};

const CONNECTIONS: [usize; 3] = [64, 16, 1];

pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let (database, store) = world::half_days(backend).await?;
    store.close().await;
    let program = world::program(&database);
    let (_running, address) = world::serve(&program);
    let reads = [
        ("14 candles", format!("/api/v1/ohlcv/{}{}", world::ASSET, world::SEVEN_DAYS)),
        ("two years filled", world::two_years_path()?),
    ];
    let mut bodies = Vec::new();
    for (_, path) in &reads {
        let answer = http_client().get(format!("http://{address}{path}")).send().await?.error_for_status()?;
        bodies.push(answer.bytes().await?);
    }
    let bare = bare::start([&bodies[0], &bodies[1]])?;
    for (index, (name, path)) in reads.iter().enumerate() {
        for connections in CONNECTIONS {
            let (mut ours, mut theirs) = (Vec::new(), Vec::new());
            for _ in 0..options.rounds {
                ours.push(load::on(&address, path, connections, options.lasting).await?);
                theirs.push(load::on(&bare.said, &bare::path(index), connections, options.lasting).await?);
            }
            let of =
                |met: &[load::Met], figure: fn(&load::Met) -> f64| met.iter().map(figure).collect::<Vec<_>>();
            let speeds = [of(&ours, |met| met.per_second), of(&theirs, |met| met.per_second)];
            let slowest = [of(&ours, |met| met.p99), of(&theirs, |met| met.p99)];
            let what = format!("{}, {name}, {connections} connections", world::name_of(backend));
            let wanted = if connections == 64 { ["≥ 0.8", "≤ 2"] } else { ["", ""] };
            table.row(
                format!("{what}: requests/s against a bare handler"),
                times(ratio(&speeds[0], &speeds[1])),
                wanted[0],
                format!("{:.0} against {:.0}", median(speeds[0].clone()), median(speeds[1].clone())),
            );
            table.row(
                format!("{what}: p99 against a bare handler"),
                times(ratio(&slowest[0], &slowest[1])),
                wanted[1],
                format!(
                    "{} against {}; p50 {} against {}",
                    millis(median(slowest[0].clone())),
                    millis(median(slowest[1].clone())),
                    millis(median(of(&ours, |met| met.p50))),
                    millis(median(of(&theirs, |met| met.p50))),
                ),
            );
        }
        check_load(options, &bare, index, name).await?;
    }
    Ok(())
}

/// Whether the load can ask as often as wrk, where that is installed, or says how far it is from it.
async fn check_load(options: &Options, bare: &world::Helper, index: usize, name: &str) -> anyhow::Result<()> {
    let (mut ours, mut wrks) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        ours.push(load::on(&bare.said, &bare::path(index), 64, options.lasting).await?.per_second);
        let url = format!("http://{}{}", bare.said, bare::path(index));
        let duration = format!("-d{}s", options.lasting.as_secs().max(1));
        let wrk = tokio::task::spawn_blocking(move || {
            Command::new("wrk").args(["-t1", "-c64", &duration, &url]).output()
        });
        let Ok(done) = wrk.await? else { return Ok(()) };
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        let figure = said.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
        wrks.push(figure.map_or(Ok(f64::NAN), |figure| figure.trim().parse())?);
    }
    eprintln!(
        "  the load asks the bare handler for {name} {:.0} times a second, wrk {:.0} times: {}",
        median(ours.clone()),
        median(wrks.clone()),
        times(ratio(&ours, &wrks)),
    );
    Ok(())
}
