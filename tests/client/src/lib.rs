//! A client of the API, generated out of its OpenAPI document.
//!
//! It notes which operations it was used for: what it was never used for is not tested.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use progenitor_client::{ClientHooks, OperationInfo};

pub use self::generated::{Client, Error, types};

#[expect(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::unwrap_used,
    reason = "this is how it is generated"
)]
pub mod generated {
    //! What was generated.

    include!(concat!(env!("OUT_DIR"), "/client.rs"));
}

/// The operations that a client was used for.
#[derive(Clone, Debug, Default)]
pub struct Used(Arc<Mutex<BTreeSet<&'static str>>>);

impl Used {
    /// Their names in the document.
    #[must_use]
    pub fn operations(&self) -> BTreeSet<&'static str> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientHooks<Used> for Client {
    async fn pre<E>(&self, _: &mut reqwest::Request, operation: &OperationInfo) -> Result<(), Error<E>> {
        self.inner.0.lock().unwrap_or_else(PoisonError::into_inner).insert(operation.operation_id);
        Ok(())
    }
}
