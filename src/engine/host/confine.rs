//! Each step of the confinement, in the order in which they have to come, and how far it went.

use super::{HostOptions, files, syscalls};
use rustix::fs::Mode;
use rustix::process::{
    DumpableBehavior, Resource, Rlimit, Signal, getrlimit, set_dumpable_behavior,
    set_parent_process_death_signal, setrlimit, umask,
};
use rustix::thread::{
    CapabilitySet, CapabilitySets, clear_ambient_capability_set, set_capabilities, set_no_new_privs,
};
use secrethub_engine::wire::Sandbox;

/// Address space of an engine's process: far more than any needs, far less than the machine has.
const MAX_MEMORY: u64 = 4 << 30;
const MAX_FILES: u64 = 1024;
/// The longest file that it may write, where it may write at all.
const MAX_FILE_SIZE: u64 = 1 << 30;

/// Confines this process. Nothing here stops at a step that fails: the result says which did.
pub(super) fn process(options: &HostOptions) -> Sandbox {
    umask(Mode::RWXG | Mode::RWXO);
    let rlimits = limits();
    // privileges of a server that runs as root are not passed on; without them there are none to gain either
    let no_privileges = drop_capabilities();
    let no_new_privs = set_no_new_privs(true).is_ok() && no_privileges;
    let not_dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok();
    // the server starts engines from a thread that ends with it; the watchdog does the same by the socket
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    let landlock = files::restrict(&options.read, &options.write);
    let seccomp = syscalls::restrict();
    Sandbox { no_new_privs, not_dumpable, rlimits, landlock, seccomp }
}

fn limits() -> bool {
    let wanted = [
        (Resource::Core, 0),
        (Resource::Nofile, MAX_FILES),
        (Resource::As, MAX_MEMORY),
        (Resource::Data, MAX_MEMORY),
        (Resource::Fsize, MAX_FILE_SIZE),
    ];
    wanted.into_iter().all(|(resource, most)| {
        // a lower limit that is there already stays
        let most = getrlimit(resource).maximum.map_or(most, |now| now.min(most));
        setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) }).is_ok()
    })
}

fn drop_capabilities() -> bool {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // kernels before 4.3 have no ambient set
    let _ = clear_ambient_capability_set();
    set_capabilities(None, none).is_ok()
}
