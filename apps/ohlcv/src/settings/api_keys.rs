//! The keys of protected endpoints, which are never shown.

use std::fmt;

use subtle::ConstantTimeEq;

/// A shorter key can be guessed.
const KEY_CHARS_MIN: usize = 16;
/// A longer one is a file pasted by mistake.
const KEY_CHARS_MAX: usize = 256;
/// More keys than anybody rotates at once.
const KEYS_MAX: usize = 16;
/// The key in the documents of the service that this one re-creates: everybody knows it.
const PLACEHOLDER: &str = "your-secret-key-here";

/// The keys of `API_KEY`, checked; any of them opens the protected endpoints, none means that these
/// are off. Printing them shows how many there are.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ApiKeys(Vec<String>);

impl ApiKeys {
    /// Whether there is no key at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `given` is one of the keys. How long that takes tells nothing but lengths.
    #[must_use]
    pub fn contains(&self, given: &[u8]) -> bool {
        // Not `any`, which would stop at the first that fits.
        let fits = self.0.iter().map(|key| key.as_bytes().ct_eq(given));
        fits.fold(subtle::Choice::from(0), |found, fits| found | fits).into()
    }

    #[cfg(test)]
    pub(crate) fn of(keys: &[&str]) -> Self {
        Self(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<String> = Vec::new();
        if text.is_empty() {
            return Ok(Self(keys));
        }
        for key in text.split(',').map(str::trim) {
            let chars = key.chars().count();
            if key == PLACEHOLDER {
                return Err(
                    "is the placeholder of the documents, which everybody knows: make up a key of your own"
                        .to_owned(),
                );
            }
            if !(KEY_CHARS_MIN..=KEY_CHARS_MAX).contains(&chars) {
                return Err(format!(
                    "holds a key of {chars} characters: allowed are {KEY_CHARS_MIN} to {KEY_CHARS_MAX}; \
                     several keys are separated by single commas"
                ));
            }
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("holds a key with blanks or other than ASCII characters".to_owned());
            }
            keys.push(key.to_owned());
        }
        if keys.len() > KEYS_MAX {
            return Err(format!("lists {} keys: at most {KEYS_MAX} are allowed", keys.len()));
        }
        Ok(Self(keys))
    }
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKeys({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_several_keys_opens_and_nothing_else_does() {
        let keys = ApiKeys::parse("first-key-of-sixteen, second-key-of-sixteen").unwrap();
        assert!(keys.contains(b"first-key-of-sixteen") && keys.contains(b"second-key-of-sixteen"));
        for wrong in ["", "first-key-of-sixtee", "first-key-of-sixteen,", "FIRST-KEY-OF-SIXTEEN"] {
            assert!(!keys.contains(wrong.as_bytes()), "{wrong}");
        }
        assert!(!ApiKeys::default().contains(b""), "no key opens nothing");
    }

    #[test]
    fn keys_that_can_be_guessed_are_refused_without_being_shown() {
        for (text, told) in [
            ("short", "5 characters"),
            ("fifteen-letters", "15 characters"),
            ("your-secret-key-here", "placeholder"),
            ("a-key-that-is-long-enough,", "0 characters"),
            ("a key that is long enough", "blanks"),
            ("ein-schlüssel-mit-umlaut", "ASCII"),
        ] {
            let refused = ApiKeys::parse(text).unwrap_err();
            assert!(refused.contains(told) && !refused.contains(text), "{text}: {refused}");
        }
        assert!(ApiKeys::parse(&vec!["a-key-of-sixteen"; 17].join(",")).is_err());
    }

    #[test]
    fn printing_keys_does_not_show_them() {
        let keys = ApiKeys::parse("first-key-of-sixteen").unwrap();
        assert_eq!(format!("{keys:?}"), "ApiKeys(1)");
    }
}
