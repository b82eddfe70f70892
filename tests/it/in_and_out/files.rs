//! Where an export goes: a pipe, a file that is there whole or not at all, a folder.

use std::fs::{self, File};
use std::io::Read;
use std::process::{Command, Stdio};

use ohlcv_tests::database::{Backend, TestDatabase};
use ohlcv_tests::process::{Program, said};

use super::{done, imported, minutes, program};

/// A program whose database has so many minutes of BTC.
async fn filled(rows: u64) -> (Program, TestDatabase) {
    let database = TestDatabase::new(Backend::Sqlite).await;
    let program = program(&database).with("CANDLE_INTERVAL", "1m");
    assert_eq!(imported(&program, &["--asset", "BTC"], minutes(rows).as_bytes()).0, Some(0));
    (program, database)
}

fn files_of(program: &Program) -> Vec<String> {
    let files = fs::read_dir(program.folder()).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_says_all_that_an_import_has_to_know_and_a_spreadsheet_can_show() {
    let (program, _database) = filled(3).await;
    let table = String::from_utf8(done(&program, &["export"])).unwrap();
    assert_eq!(
        table,
        "asset,interval,quote,timestamp,open,high,low,close,volume,quote_volume,trades,taker_buy_volume,taker_buy_quote_volume\n\
         BTC,1m,USDT,2024-01-01T00:00:00Z,1000.50000000,1000.75000000,1000.25000000,1000.50000000,0.00000001,,,,\n\
         BTC,1m,USDT,2024-01-01T00:01:00Z,1001.50000000,1001.75000000,1001.25000000,1001.50000000,1.00000001,,,,\n\
         BTC,1m,USDT,2024-01-01T00:02:00Z,1002.50000000,1002.75000000,1002.25000000,1002.50000000,2.00000001,,,,\n"
    );
    let part = ["export", "--start", "2024-01-01T00:01:00Z", "--end", "1704067320000"];
    assert_eq!(done(&program, &part).iter().filter(|byte| **byte == b'\n').count(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_written_whole_and_nothing_is_overwritten_unasked() {
    let (program, _database) = filled(10).await;
    let table = done(&program, &["export"]);
    done(&program, &["export", "-o", "btc.csv"]);
    assert_eq!(fs::read(program.folder().join("btc.csv")).unwrap(), table);
    fs::write(program.folder().join("btc.csv"), "mine").unwrap();
    let refused = program.run(&["export", "-o", "btc.csv"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(said(&refused).contains("btc.csv is there: --force overwrites it"), "{}", said(&refused));
    assert_eq!(fs::read(program.folder().join("btc.csv")).unwrap(), b"mine");
    done(&program, &["export", "-o", "btc.csv", "--force"]);
    assert_eq!(fs::read(program.folder().join("btc.csv")).unwrap(), table);
    fs::create_dir(program.folder().join("out")).unwrap();
    done(&program, &["export", "-o", "out"]);
    assert_eq!(fs::read(program.folder().join("out/BTC-1m.csv")).unwrap(), table);
    assert_eq!(program.run(&["export", "-o", "out"]).status.code(), Some(2));
    done(&program, &["export", "-o", "out/btc.arrow"]);
    assert!(fs::read(program.folder().join("out/btc.arrow")).unwrap().starts_with(&[0xff; 4]));
    for (output, told) in [
        ("no/btc.csv", "there is no folder no"),
        ("no/", "there is no such folder"),
        ("/dev/null", "is no file"),
    ] {
        let refused = program.run(&["export", "-o", output, "--force"]);
        assert_eq!(refused.status.code(), Some(2));
        assert!(said(&refused).contains(told), "{}", said(&refused));
    }
    assert_eq!(files_of(&program), ["btc.csv", "out"]);
    let unknown = program.run(&["export", "--asset", "SOL", "-o", "sol.csv"]);
    assert_eq!(unknown.status.code(), Some(1), "{}", said(&unknown));
    assert!(
        said(&unknown).contains("SOL is not tracked and nothing is stored of it: there is BTC"),
        "{}",
        said(&unknown)
    );
    let mistyped = program.run(&["export", "--asset", "BCT"]);
    assert!(said(&mistyped).contains("is BTC meant?") && mistyped.stdout.is_empty(), "{}", said(&mistyped));
    assert_eq!(files_of(&program), ["btc.csv", "out"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_and_leaves_no_half_file() {
    let (program, database) = filled(10_000).await;
    fs::write(program.folder().join("btc.csv"), "mine").unwrap();
    // No file may be longer than some KiB: what a full disk says, without filling one.
    let script = "trap '' XFSZ; ulimit -f 200; exec \"$0\" export --force -o btc.csv";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_ohlcv")])
        .env_clear()
        .env("DATABASE_URL", database.url())
        .env("CANDLE_INTERVAL", "1m")
        .current_dir(program.folder())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        said(&output).contains("cannot write btc.csv; what was there before is as it was"),
        "{}",
        said(&output)
    );
    assert_eq!(files_of(&program), ["btc.csv"]);
    assert_eq!(fs::read(program.folder().join("btc.csv")).unwrap(), b"mine");

    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = program.command(&["export"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cannot write to standard output: No space left"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_has_seen_enough_ends_an_export_quietly() {
    let (program, _database) = filled(100_000).await;
    let mut exporting =
        program.command(&["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 100];
    exporting.stdout.take().unwrap().read_exact(&mut some).unwrap();
    let output = exporting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!said(&output).contains("rror"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_export_that_nobody_takes_ends_when_it_is_asked_to() {
    let (program, _database) = filled(100_000).await;
    let mut exporting =
        program.command(&["export"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut some = [0; 100];
    let mut kept = exporting.stdout.take().unwrap();
    kept.read_exact(&mut some).unwrap();
    let signalled = Command::new("kill").args(["-TERM", &exporting.id().to_string()]).status().unwrap();
    assert!(signalled.success());
    let output = exporting.wait_with_output().unwrap();
    drop(kept);
    assert_eq!(output.status.code(), Some(143), "{}", said(&output));
    assert!(said(&output).contains("a file is written whole or not at all"), "{}", said(&output));
}
