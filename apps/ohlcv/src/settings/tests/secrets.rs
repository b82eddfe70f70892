//! Keys and addresses that stand in files.

use super::*;

/// A folder with one file in it.
fn given_file(name: &str, text: &str) -> Given {
    let given = Given::nothing();
    std::fs::write(given.dir.path().join(name), text).unwrap();
    given
}

#[test]
fn secrets_are_read_from_the_files_that_are_named() {
    let given = given_file("key", "first-key-of-sixteen,second-key-of-sixteen\n").env("API_KEY_FILE", "key");
    let settings = given.load().unwrap();
    assert!(settings.api_keys.contains(b"second-key-of-sixteen"));
    let given = given_file("url", "postgresql://me:s3cret@db/x\n").env("DATABASE_URL_FILE", "url");
    assert_eq!(given.load().unwrap().database_url.expose(), "postgresql://me:s3cret@db/x");
}

#[test]
fn a_secret_has_one_place() {
    let given = given_file("key", "first-key-of-sixteen").env("API_KEY_FILE", "key");
    let told = given.env("API_KEY", "other-key-of-sixteen").problems();
    assert_eq!(told, "API_KEY and API_KEY_FILE are both set: set one of them");
}

#[test]
fn nothing_of_a_bad_secret_is_shown() {
    let told = Given::nothing().env("API_KEY", "s3cret").problems();
    assert!(told.contains("API_KEY=\"***\"") && !told.contains("s3cret"), "{told}");
    let told = given_file("key", "s3cret\n").env("API_KEY_FILE", "key").problems();
    assert!(told.contains("from API_KEY_FILE=key") && !told.contains("s3cret"), "{told}");
    let told = given_file("url", "mysql://me:s3cret@db/x").env("DATABASE_URL_FILE", "url").problems();
    assert!(told.contains("DATABASE_URL=") && !told.contains("s3cret"), "{told}");
    let large = "k".repeat(20_000);
    assert!(given_file("key", &large).env("API_KEY_FILE", "key").problems().contains("larger than 16 KiB"));
}
