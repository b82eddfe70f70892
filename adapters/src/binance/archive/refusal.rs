//! Why a file of the archive is not used as it is.

/// What stands against a file. In every case the exchange itself is asked instead.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such file")]
    Missing,
    #[error("the archive is left alone after failures")]
    LeftAlone,
    #[error("it cannot be had: {cause}")]
    Unavailable { cause: String },
    #[error("its {what} is longer than the {bytes_max} bytes that are accepted")]
    TooLong { what: &'static str, bytes_max: u64 },
    #[error("it cannot be read: {reason}")]
    Unreadable { reason: String },
}

impl Refusal {
    /// A word for it, for counting.
    pub(crate) const fn outcome(&self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::LeftAlone => "left_alone",
            Self::Unavailable { .. } => "unavailable",
            Self::TooLong { .. } | Self::Unreadable { .. } => "unreadable",
        }
    }

    /// Whether an operator should hear of it: what is not published yet, and what was told already,
    /// is no news.
    pub(crate) const fn is_news(&self) -> bool {
        !matches!(self, Self::Missing | Self::LeftAlone)
    }
}
