//! `ohlcv import`: candles out of files.

mod input;
mod report;

use std::io;
use std::path::PathBuf;

use anyhow::Context;
use ohlcv_domain::{Asset, Interval};
use ohlcv_usecases::{ImportOptions, ImportReport, Outcome};
use tokio::sync::{mpsc, oneshot};

use self::input::{Input, read_all};
use super::{End, progress, say};
use crate::cli::{ImportArgs, TableFormat};
use crate::console::Console;
use crate::formats::Wanted;
use crate::lifecycle::Lifecycle;
use crate::settings::{Settings, check_against_quote};
use crate::wiring::{App, Outside, Refused};

/// Files of one import, all of which are open from the start.
const FILES_MAX: usize = 200;
/// Batches of rows that wait to be looked at.
const BATCHES_AHEAD_MAX: usize = 2;

/// What came of an import.
struct Found<'a> {
    wanted: &'a ImportArgs,
    /// How each input and its rows are called.
    inputs: Vec<(String, &'static str)>,
    report: ImportReport,
    /// Inputs that could not be read to their end.
    unread: Vec<String>,
}

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    wanted: &ImportArgs,
    lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    check(&settings, wanted)?;
    let opened = Wish::of(&settings, wanted).open_apart()?;
    let stop = lifecycle.token();
    let inputs = match lifecycle.one_shot(stop.run_until_cancelled(opened)).await {
        Ok(opened) => opened.context("stopped")?.context("the thread that opens files is gone")??,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    let names = inputs.iter().map(|input| (input.name().to_owned(), input.place_word())).collect();
    let opening = async {
        if wanted.dry_run {
            App::open_to_look(settings, outside).await
        } else {
            App::open(settings, outside).await
        }
    };
    let app = match lifecycle.one_shot(opening).await {
        Ok(opened) => opened?,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    let (sender, rows) = mpsc::channel(BATCHES_AHEAD_MAX);
    let (ended, done) = oneshot::channel();
    // No task of the runtime, which would wait at its end for an input that nobody closes.
    std::thread::Builder::new().name("input".to_owned()).spawn(move || {
        // Nobody waits for it if the program is to end.
        let _ = ended.send(read_all(inputs, &sender));
    })?;
    let options = ImportOptions { replace: wanted.replace, dry_run: wanted.dry_run };
    let import = app.import(options, lifecycle.token(), progress(&console));
    let report = lifecycle.one_shot(import.run(rows)).await;
    lifecycle.within_stop_time(app.close()).await;
    let report = match report {
        Ok(report) => report,
        Err(signal) => return Ok(End::Interrupted(signal)),
    };
    // If it failed the rest was not read.
    let unread = match report.outcome {
        Outcome::Done => done
            .await
            .unwrap_or_else(|_| vec!["the thread that reads is gone: rows may be missing".to_owned()]),
        _ => Vec::new(),
    };
    let found = Found { wanted, inputs: names, report, unread };
    for asset in &found.report.assets {
        console.asset_finished(asset.asset, &report::describe(asset));
    }
    console.clear();
    say(&match wanted.json {
        true => report::document(&app.settings, &found)?,
        false => report::table(&found),
    })?;
    Ok(if found.report.is_clean() && found.unread.is_empty() { End::Done } else { End::PartlyFailed })
}

/// Refuses what cannot be meant before anything is opened.
fn check(settings: &Settings, wanted: &ImportArgs) -> anyhow::Result<()> {
    if let Some(asset) = wanted.asset {
        check_against_quote(asset, settings.quote_asset)
            .map_err(|allowed| Refused::because(format!("--asset {asset}: {allowed}")))?;
    }
    if wanted.files.len() > FILES_MAX {
        return Err(Refused::because(format!(
            "{} files: at most {FILES_MAX} are imported at once",
            wanted.files.len()
        )));
    }
    if wanted.files.iter().filter(|file| input::is_standard_input(file)).count() > 1 {
        return Err(Refused::because("standard input (-) can be read only once".to_owned()));
    }
    Ok(())
}

/// The inputs that are wanted, and what their rows have to be.
struct Wish {
    files: Vec<PathBuf>,
    format: Option<TableFormat>,
    asset: Option<Asset>,
    interval: Interval,
    quote: Asset,
}

impl Wish {
    fn of(settings: &Settings, wanted: &ImportArgs) -> Self {
        Self {
            files: wanted.files.clone(),
            format: wanted.format,
            asset: wanted.asset,
            interval: settings.candle_interval,
            quote: settings.quote_asset,
        }
    }

    /// Opens them on a thread of their own: what a pipe begins with may be long in coming.
    fn open_apart(self) -> io::Result<oneshot::Receiver<anyhow::Result<Vec<Input>>>> {
        let (ended, opened) = oneshot::channel();
        std::thread::Builder::new().name("opening".to_owned()).spawn(move || {
            // Nobody waits for it if the program is to end.
            let _ = ended.send(self.open());
        })?;
        Ok(opened)
    }

    /// Opens all inputs, and refuses them together if one cannot be meant: nothing was stored then.
    fn open(self) -> anyhow::Result<Vec<Input>> {
        let mut inputs = Vec::with_capacity(self.files.len());
        let mut refused = Vec::new();
        for (file, path) in self.files.iter().enumerate() {
            let rows = Wanted { interval: self.interval, quote: self.quote, asset: self.asset, file };
            match Input::open(path, self.format, rows) {
                Ok(input) => inputs.push(input),
                Err(why) => refused.push(format!("{}: {why}", input::name_of(path))),
            }
        }
        if refused.is_empty() { Ok(inputs) } else { Err(Refused::because(refused.join("; "))) }
    }
}
