//! What the program says about itself: log lines on standard error.

use anyhow::Context;
use tracing::Subscriber;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::colours;
use crate::console::Console;
use crate::settings::{LogFormat, LogLevel};

/// Starts logging for the whole process, through the console so that no bar is torn.
///
/// # Errors
/// If logging was started before.
pub(crate) fn init(level: &LogLevel, format: LogFormat, console: &Console) -> anyhow::Result<()> {
    subscriber(level, format, colours::on_stderr(), console.log_writer())?
        .try_init()
        .context("logging was started twice")
}

fn subscriber<W>(
    level: &LogLevel,
    format: LogFormat,
    colours: bool,
    writer: W,
) -> anyhow::Result<impl Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filters(level)).context("LOG_LEVEL cannot be used as a filter")?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    Ok(tracing_subscriber::registry().with(filter).with(lines))
}

/// A plain level is meant for this program; from libraries it takes warnings, and fewer if it is
/// stricter than that. SQL statements, which sqlx logs at DEBUG, show only where a filter names it.
fn filters(level: &LogLevel) -> String {
    match level {
        // Targets begin with the crate's name: this one covers ohlcv_adapters and the others.
        LogLevel::Level(level) => format!("{},ohlcv={level}", (*level).min(LevelFilter::WARN)),
        LogLevel::Filter(filters) => filters.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of a handful of events.
    fn logged(level: &LogLevel, format: LogFormat) -> String {
        let paper = Paper::default();
        let writer = paper.clone();
        let subscriber = subscriber(level, format, false, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::debug!(target: "ohlcv_adapters::binance", "our debug");
            tracing::info!(target: "ohlcv::http", candles = 3, "our info");
            tracing::error!(target: "ohlcv", "our error");
            tracing::debug!(target: "sqlx::query", "their debug");
            tracing::info!(target: "sqlx::query", "their info");
            tracing::warn!(target: "hyper", "their warning");
            tracing::error!(target: "hyper", "their error");
        });
        String::from_utf8(paper.0.lock().unwrap().clone()).unwrap()
    }

    fn check(level: LogLevel, expected: &[&str]) {
        let all = [
            "our debug",
            "our info",
            "our error",
            "their debug",
            "their info",
            "their warning",
            "their error",
        ];
        let text = logged(&level, LogFormat::Text);
        for line in all {
            assert_eq!(text.contains(line), expected.contains(&line), "{level:?}: {line} in\n{text}");
        }
    }

    #[test]
    fn a_plain_level_is_for_our_own_crates() {
        check(LogLevel::Level(LevelFilter::OFF), &[]);
        check(LogLevel::Level(LevelFilter::ERROR), &["our error", "their error"]);
        check(LogLevel::Level(LevelFilter::INFO), &["our info", "our error", "their warning", "their error"]);
        check(
            LogLevel::Level(LevelFilter::DEBUG),
            &["our debug", "our info", "our error", "their warning", "their error"],
        );
    }

    #[test]
    fn a_filter_is_taken_as_it_is() {
        check(LogLevel::Filter("off,sqlx=debug".to_owned()), &["their debug", "their info"]);
    }

    #[test]
    fn json_is_one_object_per_line() {
        let text = logged(&LogLevel::Level(LevelFilter::INFO), LogFormat::Json);
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 4);
        assert_eq!(lines[0]["message"], "our info");
        assert_eq!(lines[0]["candles"], 3);
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["target"], "ohlcv::http");
    }
}
