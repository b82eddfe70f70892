//! `ohlcv export`: stored candles as a table, for other programs and for other databases.

mod output;

use std::io::{self, IsTerminal};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context;
use ohlcv_domain::Asset;
use ohlcv_usecases::{CandleQuery, RowPages};
use tokio_util::sync::CancellationToken;

use self::output::{Output, Target};
use super::{End, unknown_asset};
use crate::cli::{ExportArgs, TableFormat};
use crate::console::Console;
use crate::formats::{Encoder, Format, Layout};
use crate::lifecycle::Lifecycle;
use crate::settings::{Settings, check_against_quote};
use crate::wiring::{App, Outside, Refused};

/// Rows that are read and written at a time.
const ROWS_PER_PAGE: NonZeroU32 = NonZeroU32::MIN.saturating_add(4_095);

pub(super) async fn execute(
    settings: Settings,
    outside: Outside,
    wanted: &ExportArgs,
    lifecycle: Lifecycle,
    console: Console,
) -> anyhow::Result<End> {
    let place = check(wanted, settings.quote_asset)?;
    let app = match lifecycle.one_shot(App::open_to_look(settings, outside)).await {
        Ok(opened) => opened?,
        Err(signal) => return Ok(End::Abandoned(signal)),
    };
    let export = Export { app: &app, wanted, stop: lifecycle.token(), console: console.clone() };
    let done = lifecycle.one_shot(export.run(&place)).await;
    lifecycle.within_stop_time(app.close()).await;
    console.clear();
    match done {
        Ok(done) => done.map(|()| End::Done),
        Err(signal) => Ok(End::Abandoned(signal)),
    }
}

/// Where rows go.
enum Place {
    StandardOutput,
    File(PathBuf),
    Folder(PathBuf),
}

/// Refuses what cannot be meant before anything is opened.
fn check(wanted: &ExportArgs, quote: Asset) -> anyhow::Result<Place> {
    for asset in wanted.assets() {
        check_against_quote(asset, quote)
            .map_err(|allowed| Refused::because(format!("--asset {asset}: {allowed}")))?;
    }
    if let (Some(start), Some(end)) = (wanted.start, wanted.end)
        && start >= end
    {
        return Err(Refused::because(format!(
            "--start {start} is not before --end {end}: nothing opens between"
        )));
    }
    let output = wanted.output.as_path();
    if output == Path::new("-") {
        if format_of(wanted) == Format::Arrow && io::stdout().is_terminal() {
            return Err(Refused::because(
                "Arrow is nothing to read on a terminal: name a file with --output".to_owned(),
            ));
        }
        return Ok(Place::StandardOutput);
    }
    if output.is_dir() {
        return Ok(Place::Folder(output.to_owned()));
    }
    if output.as_os_str().as_encoded_bytes().ends_with(b"/") {
        let shown = output.display();
        return Err(Refused::because(format!("--output {shown}: there is no such folder")));
    }
    check_file(output, wanted.force)?;
    Ok(Place::File(output.to_owned()))
}

fn check_file(path: &Path, force: bool) -> anyhow::Result<()> {
    let shown = path.display();
    let folder = output::folder_of(path);
    match path.symlink_metadata() {
        Ok(there) if !there.is_file() => Err(Refused::because(format!("--output {shown} is no file"))),
        Ok(_) if !force => Err(Refused::because(format!("--output {shown} is there: --force overwrites it"))),
        _ if path.file_name().is_none() || !folder.is_dir() => {
            Err(Refused::because(format!("--output {shown}: there is no folder {}", folder.display())))
        }
        _ => Ok(()),
    }
}

fn format_of(wanted: &ExportArgs) -> Format {
    match wanted.format {
        Some(TableFormat::Csv) => Format::Csv,
        Some(TableFormat::Arrow) => Format::Arrow,
        None => match wanted.output.extension().and_then(|extension| extension.to_str()) {
            Some("arrow" | "arrows") => Format::Arrow,
            _ => Format::Csv,
        },
    }
}

struct Export<'a> {
    app: &'a App,
    wanted: &'a ExportArgs,
    stop: CancellationToken,
    console: Console,
}

impl Export<'_> {
    async fn run(&self, place: &Place) -> anyhow::Result<()> {
        let assets = self.assets().await?;
        match place {
            Place::StandardOutput => self.table(assets, Target::StandardOutput).await,
            Place::File(path) => {
                self.table(assets, Target::File { path: path.clone(), force: self.wanted.force }).await
            }
            Place::Folder(folder) => {
                let path_of = |asset: Asset| {
                    let extension = format_of(self.wanted).file_extension().unwrap_or_default();
                    folder.join(self.layout(vec![asset]).file_stem()).with_extension(extension)
                };
                for &(asset, _) in &assets {
                    check_file(&path_of(asset), self.wanted.force)?;
                }
                for (asset, expected) in assets {
                    let target = Target::File { path: path_of(asset), force: self.wanted.force };
                    self.table(vec![(asset, expected)], target).await?;
                }
                Ok(())
            }
        }
    }

    /// Whose candles are wanted, and how many there are.
    async fn assets(&self) -> anyhow::Result<Vec<(Asset, u64)>> {
        let stored = self.app.list_assets().run().await.context("cannot read what is stored")?;
        let named = self.wanted.assets();
        if let Some(unknown) = named.iter().find(|named| stored.iter().all(|known| known.asset != **named)) {
            return Err(unknown_asset(self.app, *unknown).await);
        }
        let mut stored: Vec<(Asset, u64)> = stored
            .into_iter()
            .map(|known| (known.asset, known.summary.map_or(0, |summary| summary.candles)))
            .filter(|(_, candles)| *candles > 0)
            .collect();
        if named.is_empty() {
            // The order of the settings is no part of what is stored.
            stored.sort_by_key(|(asset, _)| *asset);
            if stored.is_empty() {
                tracing::warn!("nothing is stored");
            }
            return Ok(stored);
        }
        let count_of =
            |asset| stored.iter().find(|(known, _)| *known == asset).map_or(0, |(_, count)| *count);
        Ok(named.into_iter().map(|asset| (asset, count_of(asset))).collect())
    }

    fn layout(&self, assets: Vec<Asset>) -> Layout {
        Layout::of_stored(assets, self.app.settings.candle_interval, self.app.settings.quote_asset)
    }

    /// Writes the candles of these assets, one asset behind the other, a page at a time.
    async fn table(&self, assets: Vec<(Asset, u64)>, target: Target) -> anyhow::Result<()> {
        let layout = self.layout(assets.iter().map(|(asset, _)| *asset).collect());
        let begun = Encoder::begin(format_of(self.wanted), layout)?;
        let mut encoder = begun.context("this format has no rows")?;
        let mut output = Output::begin(target)?;
        match self.fill(assets, &mut encoder, &mut output).await {
            Ok(()) => output.finish().await,
            Err(error) => {
                output.abandon().await;
                Err(error)
            }
        }
    }

    async fn fill(
        &self,
        assets: Vec<(Asset, u64)>,
        encoder: &mut Encoder,
        output: &mut Output,
    ) -> anyhow::Result<()> {
        for (asset, expected) in assets {
            let Some(written) = self.rows(asset, expected, encoder, output).await? else { return Ok(()) };
            self.console.asset_finished(asset, &format!("{written} candles written"));
        }
        encoder.finish()?;
        if self.unless_stopped(output.write(encoder.take())).await? {
            output.whole().await;
        }
        Ok(())
    }

    /// Writes the rows of an asset; returns how many there were, or none if nobody takes them.
    async fn rows(
        &self,
        asset: Asset,
        expected: u64,
        encoder: &mut Encoder,
        output: &mut Output,
    ) -> anyhow::Result<Option<u64>> {
        let query = CandleQuery {
            asset,
            interval: None,
            start: self.wanted.start,
            end: self.wanted.end,
            limit: ROWS_PER_PAGE,
            fill: false,
            as_of: None,
        };
        let mut pages = RowPages::of(self.app.query_candles(), query);
        let mut written: u64 = 0;
        while let Some(rows) = self.unless_stopped(pages.next()).await?.context("cannot read candles")? {
            encoder.push(asset, &rows)?;
            if !self.unless_stopped(output.write(encoder.take())).await? {
                return Ok(None);
            }
            written = written.saturating_add(rows.len() as u64);
            self.console.advanced(asset, written, expected.max(written));
        }
        Ok(Some(written))
    }

    async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> anyhow::Result<T> {
        self.stop.run_until_cancelled(work).await.context("stopped")
    }
}
