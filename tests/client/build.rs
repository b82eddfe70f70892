//! Generates the client out of the pinned document.

use std::error::Error;
use std::path::Path;

use openapiv3::OpenAPI;
use progenitor_impl::{GenerationSettings, Generator, HooksMode, InterfaceStyle};
use serde_json::{Map, Value};

/// The document as the service has it, behind a head of its own.
const SNAPSHOT: &str = "../it/snapshots/openapi.snap";
/// Where the head ends.
const HEAD_END: &str = "\n---\n";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={SNAPSHOT}");
    let pinned = std::fs::read_to_string(SNAPSHOT)?;
    let (_, document) = pinned.split_once(HEAD_END).ok_or("the snapshot has no head")?;
    let mut document: Value = serde_json::from_str(document)?;
    as_progenitor_reads_it(&mut document);
    let document: OpenAPI = serde_json::from_value(document)?;
    let mut settings = GenerationSettings::default();
    settings.with_interface(InterfaceStyle::Builder);
    settings.with_inner_type("crate::Used".parse()?).with_hooks(HooksMode::Expected);
    let code = Generator::new(&settings).generate_tokens(&document)?;
    std::fs::write(Path::new(&std::env::var("OUT_DIR")?).join("client.rs"), code.to_string())?;
    Ok(())
}

/// What progenitor cannot read yet is said more simply.
fn as_progenitor_reads_it(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|operations| operations.values_mut());
    for operation in operations {
        operation["responses"].as_object_mut().into_iter().for_each(one_success_and_one_error);
        let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
        parameters.into_iter().flatten().for_each(text_for_words_of_the_same_letters);
    }
}

/// It knows one type of success and one of errors for an operation, and JSON by one name alone. So errors are
/// given that name, and answers go that are neither of the two: 304, which has no body, and the 503 of
/// `/api/v1/health`, which has the body of the 200.
fn one_success_and_one_error(responses: &mut Map<String, Value>) {
    responses.retain(|status, response| {
        let Some(problem) = response.pointer_mut("/content/application~1problem+json").map(Value::take)
        else {
            return status.starts_with('2');
        };
        response["content"] = serde_json::json!({ "application/json": problem });
        true
    });
}

/// It makes variants of an enum out of words, in which `1m` and `1M` are the same.
fn text_for_words_of_the_same_letters(parameter: &mut Value) {
    let words = parameter["schema"]["enum"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut words: Vec<String> = words.map(str::to_lowercase).collect();
    let all = words.len();
    words.sort();
    words.dedup();
    if words.len() < all
        && let Some(schema) = parameter["schema"].as_object_mut()
    {
        schema.remove("enum");
    }
}
