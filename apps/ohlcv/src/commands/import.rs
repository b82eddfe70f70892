//! `ohlcv import`: candles out of files.

mod input;
mod report;

use ohlcv_usecases::{ImportOptions, ImportReport, Outcome};
use tokio::sync::{mpsc, oneshot};

use self::input::{Input, read_all};
use super::{End, progress, say};
use crate::cli::ImportArgs;
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
    let inputs = open(&settings, wanted)?;
    let names = inputs.iter().map(|input| (input.name().to_owned(), input.place_word())).collect();
    let app = match lifecycle.one_shot(App::open(settings, outside)).await {
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
        Outcome::Done => done.await.unwrap_or_default(),
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

/// Opens all inputs, and refuses them together if one cannot be meant: nothing was stored then.
fn open(settings: &Settings, wanted: &ImportArgs) -> anyhow::Result<Vec<Input>> {
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
    let mut inputs = Vec::with_capacity(wanted.files.len());
    let mut refused = Vec::new();
    for (file, path) in wanted.files.iter().enumerate() {
        let rows = Wanted {
            interval: settings.candle_interval,
            quote: settings.quote_asset,
            asset: wanted.asset,
            file,
        };
        match Input::open(path, wanted.format, rows) {
            Ok(input) => inputs.push(input),
            Err(why) => refused.push(format!("{}: {why}", input::name_of(path))),
        }
    }
    if refused.is_empty() { Ok(inputs) } else { Err(Refused::because(refused.join("; "))) }
}
