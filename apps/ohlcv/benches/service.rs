//! How fast the program is beside the least that the same work could cost, in ratios of one run.
//!
//! `cargo bench -p ohlcv --bench service`, or with `-- --quick`, or with the names of sections. The real
//! program runs as a process of its own, on SQLite and on PostgreSQL; whatever it is measured
//! against runs in turn with it, five times or more, and medians are compared.

#[path = "service/archives.rs"]
mod archives;
#[path = "service/backfill.rs"]
mod backfill;
#[path = "service/bare.rs"]
mod bare;
#[path = "service/candles.rs"]
mod candles;
#[path = "service/changed.rs"]
mod changed;
#[path = "service/derived.rs"]
mod derived;
#[path = "service/disk.rs"]
mod disk;
#[path = "service/load.rs"]
mod load;
#[path = "service/options.rs"]
mod options;
#[path = "service/raw_writes.rs"]
mod raw_writes;
#[path = "service/reads.rs"]
mod reads;
#[path = "service/start.rs"]
mod start;
#[path = "service/table.rs"]
mod table;
#[path = "service/world.rs"]
mod world;
#[path = "service/writes.rs"]
mod writes;

use anyhow::Context;
use ohlcv_tests::database::Backend;
use options::{Options, Section};
use table::Table;

/// The program that is measured.
const PROGRAM: &str = env!("CARGO_BIN_EXE_ohlcv");

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // The bare server and the load are processes of their own: this program, called otherwise.
    match arguments.first().map(String::as_str) {
        Some(bare::COMMAND) => return bare::run(&arguments[1..]),
        Some(load::COMMAND) => return load::run(&arguments[1..]),
        _ => {}
    }
    let options = Options::read(&arguments)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(measure(&options))
}

async fn measure(options: &Options) -> anyhow::Result<()> {
    let mut table = Table::default();
    for backend in [Backend::Postgres, Backend::Sqlite] {
        for section in &options.sections {
            eprintln!("{}: {section:?}", world::name_of(backend));
            let measured = match section {
                Section::Read => reads::measure(options, backend, &mut table).await,
                Section::Changed => changed::measure(options, backend, &mut table).await,
                Section::Derived => derived::measure(options, backend, &mut table).await,
                Section::Write => writes::measure(options, backend, &mut table).await,
                Section::Backfill => backfill::measure(options, backend, &mut table).await,
                Section::Archive => archives::measure(options, backend, &mut table).await,
                Section::Start => start::measure(options, backend, &mut table).await,
            };
            measured.with_context(|| format!("{section:?} on {}", world::name_of(backend)))?;
        }
    }
    table.print();
    Ok(())
}
