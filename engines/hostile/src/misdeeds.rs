//! What an engine must not do to its server by what it says or by ending.

use serde_json::{Value, json};
use std::os::raw::c_int;
use std::time::Duration;

/// Does it; comes back only from deeds that can.
pub fn commit(deed: &str, socket: c_int) -> Value {
    match deed {
        "panic" => panic!("on purpose"),
        "exit" => std::process::exit(0),
        "abort" => std::process::abort(),
        "crash" => {
            // SAFETY: none; this is what it is about
            unsafe { std::ptr::null_mut::<u8>().write_volatile(1) }
        }
        // keeps one of the two threads of its runtime for good
        "hang" => hang(),
        "garbage" => frame(socket, b"this is no message"),
        "gigabyte" => gigabyte(socket),
        "wrong-id" => frame(socket, br#"{"answer":{"id":999999999,"outcome":{"ok":null}}}"#),
        "hello-again" => frame(
            socket,
            br#"{"hello":{"protocol":1,"kind":"other","version":"1","config_schema":{},"role_schema":{}}}"#,
        ),
        "close" => {
            // SAFETY: the descriptor is closed under the runtime, on purpose
            unsafe { libc::shutdown(socket, libc::SHUT_RDWR) };
            hang();
        }
        "memory" => {
            let mut kept: Vec<Vec<u8>> = Vec::new();
            // never touched: it is the address space that ends first
            loop {
                kept.push(Vec::with_capacity(256 << 20));
            }
        }
        _ => {}
    }
    json!({ "did": deed })
}

/// What is said first, wrongly.
pub fn greet(mode: &str, socket: c_int) -> c_int {
    match mode {
        "version" => frame(
            socket,
            br#"{"hello":{"protocol":99,"kind":"hostile","version":"1","config_schema":{},"role_schema":{}}}"#,
        ),
        "kind" => frame(
            socket,
            br#"{"hello":{"protocol":1,"kind":"../../x","version":"1","config_schema":{},"role_schema":{}}}"#,
        ),
        "garbage" => frame(socket, b"\xff\xff"),
        "exit" => return 7,
        _ => {}
    }
    hang()
}

fn hang() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn frame(socket: c_int, bytes: &[u8]) {
    let mut frame = u32::try_from(bytes.len()).unwrap_or(0).to_be_bytes().to_vec();
    frame.extend_from_slice(bytes);
    send(socket, &frame);
}

fn gigabyte(socket: c_int) {
    send(socket, &(1u32 << 30).to_be_bytes());
    let chunk = vec![b' '; 1 << 20];
    for _ in 0..1024 {
        if !send(socket, &chunk) {
            return;
        }
    }
}

/// Whether all of it went.
fn send(socket: c_int, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the pointer and the length are those of a slice
        let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        match usize::try_from(sent) {
            Ok(sent) => bytes = &bytes[sent..],
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return false,
        }
    }
    true
}
