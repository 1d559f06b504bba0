//! Floor 2: keys and what is done with them. Bytes in, bytes out; no storage, no network.
//!
//! shares → unseal key → root key → keyring of versioned data keys → records:
//!
//! * [`memory`]: where keys live, and what is done to keep them there;
//! * [`random`]: the one source of randomness;
//! * [`primitives`]: AES-256-GCM, HKDF, HMAC and SHA-256, as the modules above them use them;
//! * [`shares`]: the unseal key, split among people;
//! * [`keyring`]: root key and data keys, wrapped and unwrapped;
//! * [`barrier`]: records sealed and opened;
//! * [`audit`]: the hash chain and its signatures, and the check of both;
//! * [`export`]: the audit log as JSON lines or CSV, and back;
//! * [`x509`]: keys, certificates and what is said about their revocation.

pub mod audit;
pub mod barrier;
pub mod export;
pub mod keyring;
pub mod memory;
pub mod primitives;
pub mod random;
pub mod shares;
pub mod x509;

#[cfg(test)]
mod tests {
    use std::fmt::{Debug, Display};
    use std::marker::PhantomData;

    struct Probe<T>(PhantomData<T>);

    // An inherent constant wins over a trait's, so these are true exactly for types that implement the trait.
    trait Otherwise {
        const DEBUG: bool = false;
        const CLONE: bool = false;
    }
    impl<T> Otherwise for Probe<T> {}
    impl<T: Debug> Probe<T> {
        const DEBUG: bool = true;
    }
    impl<T: Clone> Probe<T> {
        const CLONE: bool = true;
    }

    struct Shown<T>(PhantomData<T>);
    trait NotShown {
        const DISPLAY: bool = false;
    }
    impl<T> NotShown for Shown<T> {}
    impl<T: Display> Shown<T> {
        const DISPLAY: bool = true;
    }

    macro_rules! silent {
        ($($type:ty),* $(,)?) => {$(
            assert!(!Probe::<$type>::DEBUG, "{} has Debug", stringify!($type));
            assert!(!Shown::<$type>::DISPLAY, "{} has Display", stringify!($type));
        )*};
    }

    #[test]
    #[allow(clippy::assertions_on_constants, reason = "the constants differ by type")]
    fn key_material_cannot_be_printed_or_cloned_by_accident() {
        assert!(Probe::<u8>::DEBUG && Probe::<u8>::CLONE && Shown::<u8>::DISPLAY, "the probe itself works");
        silent!(
            super::memory::Key32,
            super::keyring::RootKey,
            super::keyring::DataKey,
            super::keyring::Keyring,
            super::barrier::Barrier,
            super::shares::Share,
            super::shares::ShareText,
            super::shares::ShareCollector,
            super::audit::AuditSigner,
            super::x509::keys::SigningKey,
            super::x509::issuer::Issuer,
            super::x509::pem::Block,
        );
        assert!(!Probe::<super::memory::Key32>::CLONE);
        assert!(!Probe::<super::keyring::RootKey>::CLONE);
        assert!(!Probe::<super::shares::Share>::CLONE);
        assert!(!Probe::<super::audit::AuditSigner>::CLONE);
        assert!(!Probe::<super::x509::keys::SigningKey>::CLONE);
        assert!(!Probe::<super::x509::issuer::Issuer>::CLONE);
    }
}
