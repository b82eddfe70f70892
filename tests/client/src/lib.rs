//! A client of the API, generated out of its OpenAPI document.
//!
//! It notes which operations it was used for: what it was never used for is not tested.
#![expect(missing_docs, clippy::all, reason = "generated")]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use progenitor_client::{ClientHooks, OperationInfo};

include!(concat!(env!("OUT_DIR"), "/client.rs"));

/// The operations that a client was used for.
#[derive(Debug, Default)]
pub struct Used(Mutex<BTreeSet<String>>);

impl Used {
    /// Their names in the document.
    pub fn operations(&self) -> BTreeSet<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientHooks<Used> for Client {
    async fn pre<E>(&self, _: &mut reqwest::Request, operation: &OperationInfo) -> Result<(), Error<E>> {
        let mut used = self.inner.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.insert(operation.operation_id.to_owned());
        Ok(())
    }
}
