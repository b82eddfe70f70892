//! Whatever a source does, the store holds nothing that an honest one would not have said.
