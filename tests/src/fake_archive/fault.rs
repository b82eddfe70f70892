//! What goes wrong with the files of an archive.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Changes the lines of a table before it is packed.
pub type LinesEdit = Arc<dyn Fn(&mut Vec<String>) + Send + Sync>;

/// How every file goes wrong.
#[derive(Clone)]
pub enum ArchiveFault {
    /// 404, as for a file that is not published.
    Missing,
    /// The firewall's answer.
    Forbidden,
    /// A redirect to another host.
    Moved,
    /// Nothing is sent for that long.
    Slow(Duration),
    /// The file is there, its CHECKSUM is not.
    NoChecksum,
    /// The CHECKSUM is that of another file.
    StaleChecksum,
    /// The CHECKSUM is an error page.
    GarbledChecksum,
    /// Another table, with a CHECKSUM that is right for it: a file that was replaced or never right.
    Replaced(LinesEdit),
    /// Another table, with the CHECKSUM of the right one.
    ReplacedWithoutChecksum(LinesEdit),
    /// Some bytes in the middle are others; the CHECKSUM is right for them.
    Damaged,
    /// The first half of the file; the CHECKSUM is right for it.
    Cut,
    /// A small file that unpacks to so many bytes.
    Bomb(usize),
    /// A file of so many bytes.
    Huge(usize),
    /// A web page under the name of the file.
    Page,
}

impl fmt::Debug for ArchiveFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Missing => "Missing",
            Self::Forbidden => "Forbidden",
            Self::Moved => "Moved",
            Self::Slow(_) => "Slow",
            Self::NoChecksum => "NoChecksum",
            Self::StaleChecksum => "StaleChecksum",
            Self::GarbledChecksum => "GarbledChecksum",
            Self::Replaced(_) => "Replaced",
            Self::ReplacedWithoutChecksum(_) => "ReplacedWithoutChecksum",
            Self::Damaged => "Damaged",
            Self::Cut => "Cut",
            Self::Bomb(_) => "Bomb",
            Self::Huge(_) => "Huge",
            Self::Page => "Page",
        };
        f.write_str(name)
    }
}
