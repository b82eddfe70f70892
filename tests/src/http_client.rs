//! Clients of the servers under test.

/// What clients are built from: the cryptography that every one of them asks for is in place.
pub fn http_client_builder() -> reqwest::ClientBuilder {
    // Fails only if it is in place already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
}

/// A client as it comes.
#[must_use]
pub fn http_client() -> reqwest::Client {
    http_client_builder().build().expect("a client without settings can be built")
}
