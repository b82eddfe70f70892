//! What of a file is asked of the exchange, and how the two are compared.

use std::collections::BTreeMap;
use std::num::NonZeroU32;

use ohlcv_domain::{Candle, Difference, SlotRange, differences, gaps, pages};

use super::super::archive::ArchiveFile;
use super::super::model::KlineRow;

/// What comparing a part of a file with the exchange showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Compared {
    /// The first slot of which the file says what the exchange does not, in words. A slot that it
    /// lacks contradicts nothing.
    pub(crate) contradiction: Option<String>,
    /// In how many slots the two are not the same.
    pub(crate) differing: usize,
}

/// Compares candles of a file with what the exchange answered for the same slots.
pub(crate) fn compare(file: &[Candle], exchange: &[KlineRow]) -> Compared {
    let exchange = exchange.iter().flatten().map(|candle| (candle.open_time(), *candle));
    let exchange: Vec<Candle> = exchange.collect::<BTreeMap<_, _>>().into_values().collect();
    let found = differences(file, &exchange);
    let contradiction = found.iter().find_map(|difference| match difference {
        Difference::MissingInStore { .. } => None,
        Difference::MissingAtSource { stored } => {
            Some(format!("{} is {stored:?} in the file and not there", stored.open_time()))
        }
        Difference::Differs { stored, source } => {
            Some(format!("{} is {stored:?} in the file and {source:?} there", stored.open_time()))
        }
    });
    Compared { contradiction, differing: found.len() }
}

/// The slots that the exchange is asked about: all that the file lacks, and a page of others. Few and
/// ascending: slots that lie so close together that one answer holds them are asked for together.
pub(crate) fn windows(file: &ArchiveFile, candles: &[Candle], slots_max: NonZeroU32) -> Vec<SlotRange> {
    let mut wanted: Vec<SlotRange> = gaps(file.slots, candles.iter().map(Candle::open_time)).collect();
    wanted.push(sample(file, slots_max));
    wanted.sort_by_key(|slots| slots.start());
    let mut windows: Vec<SlotRange> = Vec::new();
    for page in wanted.into_iter().flat_map(|slots| pages(slots, slots_max)) {
        let Some(last) = windows.last_mut() else {
            windows.push(page);
            continue;
        };
        let page = page.from(last.end());
        let both = page.grid().slots_in(last.time().hull(page.time()));
        if page.is_empty() {
            continue;
        } else if both.len() <= u64::from(slots_max.get()) {
            *last = both;
        } else {
            windows.push(page);
        }
    }
    windows
}

/// The part of a file that is compared whatever it holds: of one file the beginning, of the next the
/// end, of the others a place that differs from file to file but is the same every time.
fn sample(file: &ArchiveFile, slots_max: NonZeroU32) -> SlotRange {
    let slots = file.slots;
    let length = u64::from(slots_max.get()).min(slots.len());
    let latest = slots.len() - length;
    let at = match file.number() % 4 {
        0 => 0,
        1 => latest,
        _ => hash(&file.name()) % (latest + 1),
    };
    let step = |slot: u64| slots.grid().step(slots.start(), i64::try_from(slot).unwrap_or_default());
    slots.from(step(at)).before(step(at + length))
}

/// FNV-1a: the same on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests;
