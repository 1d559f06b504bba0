//! The one source of randomness: a ChaCha generator per thread, seeded and reseeded by the operating system.

use data_encoding::BASE64URL_NOPAD;
use rand::{CryptoRng, Rng};
use zeroize::Zeroizing;

/// The generator itself, for libraries that ask for one.
#[must_use]
pub fn rng() -> impl CryptoRng {
    rand::rng()
}

pub fn fill(target: &mut [u8]) {
    rng().fill_bytes(target);
}

/// Random bytes for nonces and ids. Keys come from [`super::memory::Key32::generate`].
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    fill(&mut bytes);
    bytes
}

/// `prefix` and 256 random bits in base64url (43 characters, no padding).
#[must_use]
pub fn token_text(prefix: &str) -> Zeroizing<String> {
    let raw = Zeroizing::new(bytes::<32>());
    // With its full capacity from the start the text never moves, and so leaves no copy behind.
    let mut text = Zeroizing::new(String::with_capacity(prefix.len() + 43));
    text.push_str(prefix);
    BASE64URL_NOPAD.encode_append(raw.as_slice(), &mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_a_prefix_and_256_bits() {
        let token = token_text("shub_");
        assert_eq!(token.len(), 5 + 43);
        let raw = BASE64URL_NOPAD.decode(token.strip_prefix("shub_").unwrap().as_bytes()).unwrap();
        assert_eq!(raw.len(), 32);
        assert_ne!(*token, *token_text("shub_"));
    }

    #[test]
    fn bytes_differ() {
        assert_ne!(bytes::<16>(), bytes::<16>());
    }
}
