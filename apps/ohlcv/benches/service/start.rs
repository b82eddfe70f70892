//! The start on an existing database, and what the program holds while nothing happens.

use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use ohlcv_tests::database::Backend;

use crate::load::Client;
use crate::options::Options;
use crate::table::{Table, median, millis};
use crate::world;

/// How often the program is looked at while it starts.
const POLL_INTERVAL: Duration = Duration::from_millis(1);
const START_TIME_MAX: Duration = Duration::from_secs(30);
/// When a program that nobody asked is idle.
const IDLE_AFTER: Duration = Duration::from_secs(1);

pub(crate) async fn measure(options: &Options, backend: Backend, table: &mut Table) -> anyhow::Result<()> {
    let (database, store) = world::half_days(backend).await?;
    store.close().await;
    let path = format!("/api/v1/ohlcv/{}{}", world::ASSET, world::SEVEN_DAYS);
    let (mut took, mut idle) = (Vec::new(), Vec::new());
    // The first start binds the database to its settings; it is not counted.
    for round in 0..=options.rounds {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let program = world::program(&database).with("LISTEN_ADDRESS", &address);
        let started = Instant::now();
        let running = program.start(&["serve"]);
        let mut client = loop {
            if let Ok(client) = Client::connect(&address, &path).await {
                break client;
            }
            anyhow::ensure!(started.elapsed() < START_TIME_MAX, "it does not listen at {address}");
            tokio::time::sleep(POLL_INTERVAL).await;
        };
        client.ask().await?;
        let answered = started.elapsed();
        tokio::time::sleep(IDLE_AFTER).await;
        if round > 0 {
            took.push(answered.as_secs_f64());
            idle.push(f64::from(u32::try_from(running.memory_kib())?) / 1_024.0);
        }
    }
    let name = world::name_of(backend);
    table.row(
        format!("{name}, from the start to the first answer"),
        millis(median(took.clone())),
        "< 200 ms",
        format!("at most {}", millis(took.iter().copied().fold(0.0, f64::max))),
    );
    table.row(
        format!("{name}, resident memory while idle"),
        format!("{:.1} MiB", median(idle.clone())),
        "< 40 MB",
        format!("at most {:.1} MiB", idle.iter().copied().fold(0.0, f64::max)),
    );
    Ok(())
}
