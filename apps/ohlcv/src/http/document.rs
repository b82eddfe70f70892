//! The OpenAPI document, as generators of clients can read it.

use poem_openapi::registry::{MetaSchemaRef, Registry};

/// What is said of a field whose type has a name stands beside the reference to that type.
///
/// The framework says it a second time, as if it were a type of its own that the field has to be as
/// well. Generators look for a common value of an enumeration and of nothing, and give up.
pub(super) fn say_fields_once(registry: &mut Registry) {
    let fields = registry.schemas.values_mut().flat_map(|schema| &mut schema.properties);
    for (_, field) in fields {
        if let MetaSchemaRef::Inline(field) = field
            && matches!(field.all_of[..], [MetaSchemaRef::Reference(_), MetaSchemaRef::Inline(_)])
        {
            field.all_of.truncate(1);
        }
    }
}
