//! What was measured, as a table in Markdown: ratios first.

use std::time::Duration;

/// The rows so far.
#[derive(Debug, Default)]
pub(crate) struct Table(Vec<[String; 4]>);

impl Table {
    /// A row; also told at once, for the whole takes its time.
    pub(crate) fn row(&mut self, what: String, ratio: String, wanted: &str, figures: String) {
        eprintln!("  {what}: {ratio} ({wanted}); {figures}");
        self.0.push([what, ratio, wanted.to_owned(), figures]);
    }

    pub(crate) fn print(&self) {
        println!("| what | ratio | wanted | figures |\n| --- | --- | --- | --- |");
        for cells in &self.0 {
            println!("| {} |", cells.join(" | "));
        }
    }
}

/// The middle one, or the upper of the two in the middle.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The median of what each round's pair is to each other: what the machine did meanwhile met both.
pub(crate) fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    median(ours.iter().zip(theirs).map(|(one, other)| one / other).collect())
}

pub(crate) fn times(ratio: f64) -> String {
    if ratio < 0.1 { format!("{ratio:.3} ×") } else { format!("{ratio:.2} ×") }
}

/// Milliseconds, so many that three digits say something.
pub(crate) fn millis(seconds: f64) -> String {
    let millis = seconds * 1_000.0;
    if millis < 10.0 { format!("{millis:.2} ms") } else { format!("{millis:.0} ms") }
}

pub(crate) fn seconds(durations: &[Duration]) -> Vec<f64> {
    durations.iter().map(Duration::as_secs_f64).collect()
}
