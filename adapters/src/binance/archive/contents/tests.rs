//! Files as bytes, good and bad, and what is read of them.

use std::io::Write;

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use super::*;

const TABLE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const NAME: &str = "BTCUSDT-5m-2024-10.csv";

fn file() -> ArchiveFile {
    let grid = ohlcv_domain::Grid::new(ohlcv_domain::Interval::M5);
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let asked = SlotRange::new(grid, at("2024-10-01T00:00:00Z"), at("2024-11-01T00:00:00Z")).unwrap();
    let [asset, quote] = ["BTC", "USDT"].map(|name| name.parse().unwrap());
    ArchiveFile::at_start_of(asset, quote, asked, at("2025-01-01T00:00:00Z")).unwrap()
}

/// The line of a slot, counted from the start of the file.
fn line(slot: u64) -> String {
    let open_time = 1_727_740_800_000 + slot * 300_000;
    format!("{open_time},2,3,1,2,{slot},{},4,5,6,7,0\n", open_time + 299_999)
}

fn zip_of(tables: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, table) in tables {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(table.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn sum_of(zip: &[u8]) -> String {
    let digest: String = Sha256::digest(zip).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{digest}  BTCUSDT-5m-2024-10.zip\n")
}

fn slots_of(table: &str) -> Vec<u128> {
    let zip = zip_of(&[(NAME, table)]);
    let contents = read(&zip, Some(&sum_of(&zip)), &file(), TABLE_BYTES_MAX).unwrap();
    assert_eq!(contents.sum, Sum::Right);
    contents.candles.iter().map(|candle| candle.volume().units() / 100_000_000).collect()
}

#[test]
fn good_lines_are_candles_and_the_slots_of_others_stay_empty() {
    let off_grid = line(3).replacen("00000,", "14789,", 1);
    let table = ["open_time,open\n", &line(0), &line(1), &line(1), "x\n", &off_grid, &line(9_999), &line(4)];
    assert_eq!(slots_of(&table.concat()), [0, 1, 4]);
}

#[test]
fn of_lines_that_contradict_each_other_or_stand_in_the_wrong_place_none_counts() {
    let other = line(1).replacen(",1,", ",0.5,", 1);
    let table = [line(0), line(1), other, line(4), line(3), line(5)];
    assert_eq!(slots_of(&table.concat()), [0, 4, 5]);
}

#[test]
fn a_checksum_is_the_digest_and_the_name_of_the_file() {
    let zip = zip_of(&[(NAME, &line(0))]);
    let sum = sum_of(&zip);
    let right = |text: Option<&str>| read(&zip, text, &file(), TABLE_BYTES_MAX).unwrap().sum == Sum::Right;
    assert!(right(Some(&sum)));
    assert!(right(Some(&format!("{}{}", sum[..64].to_uppercase(), &sum[64..]))));
    for wrong in ["", "<html>", &sum[..64], &sum.replace("2024-10", "2024-09"), &sum_of(b"another file")] {
        assert!(!right(Some(wrong)), "{wrong}");
    }
    assert!(!right(None));
}

#[test]
fn what_is_no_table_of_the_period_is_refused() {
    let refused = |zip: &[u8]| match read(zip, None, &file(), 1_000) {
        Err(refusal) => refusal.to_string(),
        Ok(contents) => panic!("{contents:?}"),
    };
    let good = zip_of(&[(NAME, &line(0))]);
    assert!(refused(b"<html>").starts_with("it cannot be read: "));
    assert!(refused(&good[..good.len() / 2]).starts_with("it cannot be read: "));
    assert!(refused(&zip_of(&[(NAME, ""), ("b", "")])).contains("2 files instead of one"));
    assert!(refused(&zip_of(&[("other.csv", &line(0))])).contains("does not hold BTCUSDT-5m-2024-10.csv"));
    assert!(refused(&zip_of(&[(NAME, "nothing\n")])).contains("no line of it"));
    assert!(refused(&zip_of(&[(NAME, &"0".repeat(1_001))])).contains("1000 bytes"));
}
