//! The page at `/`: built from `playground/`, embedded in its compressed form, and served as it is.
//!
//! Nothing of it is secret and it needs no token. What it may do in a browser is bounded by [`POLICY`]: only scripts of
//! this server run, and it talks to nobody else.

use super::respond;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use std::sync::OnceLock;

/// One file of the page.
pub(super) struct File {
    path: &'static str,
    content_type: &'static str,
    /// Compressed with brotli.
    packed: &'static [u8],
}

const fn file(path: &'static str, content_type: &'static str, packed: &'static [u8]) -> File {
    File { path, content_type, packed }
}

const FILES: &[File] = &include!("../../playground/dist/files.rs");

/// The operations that the page sends, by the hashes of their texts: a manifest of persisted documents.
pub const DOCUMENTS: &[u8] = include_bytes!("../../playground/dist/documents.json");

/// The same files for clients that cannot read brotli, each unpacked when it is first asked for.
static PLAIN: [OnceLock<Bytes>; FILES.len()] = [const { OnceLock::new() }; FILES.len()];

/// What a browser lets the page do. Scripts are files of this server: none stands in the page, none is made from text.
/// Only styles may be: the editor (Monaco) measures its text and writes positions, colours and rules while it runs, and
/// takes no nonce for them. A style can send nothing away, since images and fonts come from here as well.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; worker-src 'self'; \
    connect-src 'self'; img-src 'self' data:; font-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HEADERS: &[(&str, &str)] = &[
    ("content-security-policy", POLICY),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("vary", "accept-encoding"),
];

/// The file at a path.
pub(super) fn find(path: &str) -> Option<&'static File> {
    FILES.iter().find(|file| file.path == path)
}

/// Answers with a file. Names under `/assets/` change with their content.
pub(super) fn serve(file: &'static File, asked: &HeaderMap, request_id: &str) -> Response<Body> {
    let packed = takes_brotli(asked);
    let body = if packed { Bytes::from_static(file.packed) } else { plain(file) };
    let mut response = respond::answer(StatusCode::OK, file.content_type, request_id, body);
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    if packed {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("br"));
    }
    let kept =
        if file.path.starts_with("/assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(kept));
    response
}

fn takes_brotli(asked: &HeaderMap) -> bool {
    let offers = asked.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    offers.flat_map(|value| value.split(',')).any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        let coding = parts.next().unwrap_or_default();
        let refused = parts
            .filter_map(|part| part.strip_prefix("q="))
            .any(|quality| quality.parse::<f32>().is_ok_and(|quality| quality <= 0.0));
        coding.eq_ignore_ascii_case("br") && !refused
    })
}

fn plain(file: &'static File) -> Bytes {
    let unpack = || {
        let mut bytes = Vec::with_capacity(file.packed.len() * 4);
        // what is embedded was packed by the build, and a test unpacks all of it
        match brotli_decompressor::BrotliDecompress(&mut &file.packed[..], &mut bytes) {
            Ok(()) => Bytes::from(bytes),
            Err(_) => Bytes::new(),
        }
    };
    match FILES.iter().position(|other| other.path == file.path).and_then(|at| PLAIN.get(at)) {
        Some(kept) => kept.get_or_init(unpack).clone(),
        None => unpack(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(encodings: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(encodings))])
    }

    #[test]
    fn every_file_can_be_unpacked() {
        assert!(find("/").is_some());
        for file in FILES {
            let bytes = plain(file);
            assert!(bytes.len() > 100, "{} is unpacked", file.path);
            assert_eq!(bytes, plain(file));
        }
    }

    #[test]
    fn brotli_goes_to_those_who_take_it() {
        for (encodings, takes) in [
            ("gzip, deflate, br, zstd", true),
            ("BR;q=0.5", true),
            ("br;q=0", false),
            ("br; q=0.000", false),
            ("gzip", false),
            ("", false),
            ("brotli", false),
        ] {
            assert_eq!(takes_brotli(&asking(encodings)), takes, "{encodings}");
        }
        assert!(!takes_brotli(&HeaderMap::new()));
    }

    #[test]
    fn what_may_change_under_its_name_is_asked_for_again() {
        let page = serve(find("/").unwrap(), &asking("br"), "id");
        assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
        assert_eq!(page.headers()[header::CONTENT_ENCODING], "br");
        let asset = FILES.iter().find(|file| file.path.starts_with("/assets/")).unwrap();
        let asset = serve(asset, &HeaderMap::new(), "id");
        assert_eq!(asset.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        assert!(!asset.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(asset.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    }

    #[test]
    fn the_page_has_no_script_of_its_own() {
        let page = plain(find("/").unwrap());
        let page = std::str::from_utf8(&page).unwrap();
        for script in page.match_indices("<script") {
            let rest = &page[script.0..];
            assert!(rest[..rest.find('>').unwrap()].contains(" src=\"./assets/"), "{rest}");
            assert!(rest[rest.find('>').unwrap()..].starts_with("></script>"), "{rest}");
        }
        assert!(!page.contains("<style") && !page.contains("http://") && !page.contains("https://"));
    }
}
