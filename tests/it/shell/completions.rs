//! Completions of shells.

use std::process::{Command, Stdio};

use ohlcv_tests::process::said;

use super::program;

fn script(shell: &str) -> String {
    let output = program().run(&["completions", shell]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(output.stderr.is_empty(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn every_shell_has_a_script_that_knows_the_commands_and_flags() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let script = script(shell);
        for word in ["backfill", "candles", "since", "database-url"] {
            assert!(script.contains(word), "{shell}: no {word} in {script}");
        }
    }
}

/// What bash offers behind words of which the last one is begun.
fn offered(folder: &std::path::Path, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let (last, before) = (words[words.len() - 1], words[words.len() - 2]);
    let asked = format!(
        "source ./ohlcv.bash; COMP_WORDS=({line}); COMP_CWORD={}; _ohlcv ohlcv '{last}' '{before}'; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.len() - 1
    );
    let output = Command::new("bash")
        .args(["--noprofile", "--norc", "-c", &asked])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{line}: {}", said(&output));
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_flags_and_values() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ohlcv.bash"), script("bash")).unwrap();
    let checked =
        Command::new("bash").args(["-n", "ohlcv.bash"]).current_dir(folder.path()).output().unwrap();
    assert!(checked.status.success(), "{}", said(&checked));
    for (line, expected) in [
        ("ohlcv back", "backfill"),
        ("ohlcv can", "candles"),
        ("ohlcv candles BTC --si", "--since"),
        ("ohlcv backfill --for", "--force"),
        ("ohlcv --database-u", "--database-url"),
        ("ohlcv migrate st", "status"),
        ("ohlcv completions po", "powershell"),
    ] {
        let offered = offered(folder.path(), line);
        assert!(offered.contains(&expected.to_owned()), "{line}: {offered:?}");
        let begun = line.rsplit(' ').next().unwrap();
        assert!(offered.iter().all(|word| word.starts_with(begun)), "{line}: {offered:?}");
    }
}
