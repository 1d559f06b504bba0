//! What an engine's process must not get: each attempt says `denied: ...`, or what it got.

use serde_json::{Map, Value};
use std::ffi::CString;
use std::fs;
use std::io;
use std::net::ToSocketAddrs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

/// Tries everything. `with` is a file that the server may read and this process may not.
pub fn all(with: &str) -> Value {
    let server = std::os::unix::process::parent_id();
    let pid = libc::pid_t::try_from(server).unwrap_or(-1);
    let mut got = Map::new();
    let mut tried = |name: &str, outcome: String| {
        got.insert(name.to_owned(), Value::String(outcome));
    };
    for file in ["mem", "environ", "maps", "cmdline", "status", "root/etc/hostname", "fd/0"] {
        tried(&format!("server's {file}"), read(&format!("/proc/{server}/{file}")));
    }
    for file in ["/etc/passwd", "/etc/shadow", "/proc/self/environ", "/proc/self/mem", "/root", "/home", with]
    {
        tried(file, read(file));
    }
    // where servers have the keys of their certificates; which there is depends on the system
    for folder in ["/etc/ssl", "/etc/ssl/private", "/etc/pki", "/etc/pki/tls", "/etc/pki/tls/private"] {
        if fs::metadata(folder).is_ok() {
            tried(folder, read(folder));
        }
    }
    tried("write a file", denied(fs::write("/tmp/secrethub-hostile", "x")));
    tried("write the store", denied(fs::OpenOptions::new().append(true).open(with)));
    tried("remove the store", denied(fs::remove_file(with)));
    tried("make it readable", errno(chmod(with)));
    tried("cut it off", errno(truncate(with)));
    tried("read memory", errno(read_memory(pid)));
    // SAFETY: plain system calls without pointers
    unsafe {
        tried("trace", errno(libc::ptrace(libc::PTRACE_ATTACH, pid, 0, 0)));
        tried("signal the server", errno(libc::kill(pid, 0).into()));
        tried("signal its group", errno(libc::kill(-pid, 0).into()));
        tried("signal everyone", errno(libc::kill(-1, 0).into()));
        tried("take a descriptor", errno(libc::syscall(libc::SYS_pidfd_open, pid, 0)));
        tried("fork", errno(libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0)));
        tried("io_uring", errno(libc::syscall(libc::SYS_io_uring_setup, 1, 0)));
        tried("unshare", errno(libc::unshare(libc::CLONE_NEWUSER).into()));
        tried("packet socket", errno(libc::socket(libc::AF_PACKET, libc::SOCK_RAW, 0).into()));
        tried("raw socket", errno(libc::socket(libc::AF_INET, libc::SOCK_RAW, libc::IPPROTO_ICMP).into()));
        tried(
            "audit socket",
            errno(libc::socket(libc::AF_NETLINK, libc::SOCK_RAW, libc::NETLINK_AUDIT).into()),
        );
        tried("become dumpable", errno(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0).into()));
        tried("outlive the server", errno(libc::prctl(libc::PR_SET_PDEATHSIG, 0, 0, 0, 0).into()));
        tried("raise a limit", errno(raise_limit()));
        tried(
            "change the server's limit",
            errno(libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), std::ptr::null_mut()).into()),
        );
    }
    tried("run a program", denied(std::process::Command::new("/bin/true").status()));
    tried("listen", denied(std::net::TcpListener::bind("127.0.0.1:0")));
    tried("listen on a Unix socket", denied(UnixListener::bind("/tmp/secrethub-hostile.sock")));
    tried("Unix socket", denied(UnixDatagram::unbound()));
    let address = SocketAddr::from_abstract_name("secrethub-hostile-target");
    tried("abstract socket", denied(address.and_then(|address| UnixStream::connect_addr(&address))));
    got.insert("descriptors".to_owned(), descriptors());
    got.insert("environment".to_owned(), std::env::vars().map(|(name, _)| Value::String(name)).collect());
    Value::Object(got)
}

/// What the C library says of a name.
pub fn resolve(name: &str) -> String {
    match (name, 80).to_socket_addrs() {
        Ok(found) => found.map(|address| address.ip().to_string()).collect::<Vec<_>>().join(" "),
        Err(error) => format!("denied: {error}"),
    }
}

fn denied<T>(outcome: io::Result<T>) -> String {
    outcome.map_or_else(|error| format!("denied: {error}"), |_| "got it".to_owned())
}

fn read(path: &str) -> String {
    // a folder counts as well
    match fs::read_dir(path) {
        Ok(entries) => format!("got {} names", entries.count()),
        Err(_) => match fs::File::open(path) {
            Ok(_) => "got it".to_owned(),
            Err(error) => format!("denied: {error}"),
        },
    }
}

fn errno(returned: libc::c_long) -> String {
    if returned < 0 { format!("denied: {}", io::Error::last_os_error()) } else { "got it".to_owned() }
}

fn chmod(path: &str) -> libc::c_long {
    let path = CString::new(path).unwrap();
    // SAFETY: the text ends with a zero
    unsafe { libc::chmod(path.as_ptr(), 0o666).into() }
}

fn truncate(path: &str) -> libc::c_long {
    let path = CString::new(path).unwrap();
    // SAFETY: the text ends with a zero
    unsafe { libc::truncate(path.as_ptr(), 0).into() }
}

fn read_memory(pid: libc::pid_t) -> libc::c_long {
    let mut buffer = [0u8; 64];
    let local = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // an address that programs have: the server has the same program as this process
    let remote =
        libc::iovec { iov_base: (raise_limit as *const ()).cast_mut().cast(), iov_len: buffer.len() };
    // SAFETY: both descriptions outlive the call, and the local one is a buffer of its length
    unsafe { libc::process_vm_readv(pid, &raw const local, 1, &raw const remote, 1, 0) as libc::c_long }
}

fn raise_limit() -> libc::c_long {
    let more = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
    // SAFETY: the limit outlives the call
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const more).into() }
}

/// Those that are open, by number, with what the kernel says of their type.
fn descriptors() -> Value {
    (0..64)
        .filter_map(|number| {
            let mut stat = std::mem::MaybeUninit::<libc::stat>::zeroed();
            // SAFETY: the buffer is one `stat`
            let (found, stat) = unsafe { (libc::fstat(number, stat.as_mut_ptr()), stat.assume_init()) };
            (found == 0).then(|| Value::String(format!("{number}: {:o}", stat.st_mode & libc::S_IFMT)))
        })
        .collect()
}
