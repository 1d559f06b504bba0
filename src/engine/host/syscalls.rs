//! seccomp: the system calls that no engine needs. A denied call fails with `EPERM`, so that a library that merely tries it goes on.
//!
//! A list of what is denied, not of what is allowed: an engine is any Rust program with any client library in it, on any C library.
//! What matters is closed off completely: other processes, new processes, other kinds of sockets, the kernel's configuration.

use seccompiler::{
    BackendError, BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter_all_threads, sock_filter,
};
use std::collections::BTreeMap;

#[cfg(target_arch = "x86_64")]
const ARCH: TargetArch = TargetArch::x86_64;
#[cfg(target_arch = "aarch64")]
const ARCH: TargetArch = TargetArch::aarch64;
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("the engine host knows the system calls of x86_64 and aarch64 only");

// calls of later kernels that the C library's headers do not have everywhere; the same number on every architecture
const FCHMODAT2: libc::c_long = 452;
const SETXATTRAT: libc::c_long = 463;
const REMOVEXATTRAT: libc::c_long = 466;
const OPEN_TREE_ATTR: libc::c_long = 467;
const FILE_SETATTR: libc::c_long = 469;

/// Never answered with anything but `EPERM`.
const DENIED: &[libc::c_long] = &[
    // other processes: their memory, descriptors, signals, priorities
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_process_mrelease,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    libc::SYS_move_pages,
    libc::SYS_migrate_pages,
    // new ones
    libc::SYS_execve,
    libc::SYS_execveat,
    // namespaces and mounts
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_move_mount,
    libc::SYS_mount_setattr,
    libc::SYS_open_tree,
    OPEN_TREE_ATTR,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_setns,
    libc::SYS_unshare,
    // large parts of the kernel that no engine needs
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_fanotify_init,
    libc::SYS_fanotify_mark,
    libc::SYS_inotify_add_watch,
    libc::SYS_personality,
    libc::SYS_syslog,
    libc::SYS_acct,
    libc::SYS_quotactl,
    // the user's keys, and memory shared with other processes
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_shmget,
    libc::SYS_shmat,
    libc::SYS_shmctl,
    libc::SYS_msgget,
    libc::SYS_msgsnd,
    libc::SYS_msgrcv,
    libc::SYS_semget,
    libc::SYS_semop,
    libc::SYS_semctl,
    libc::SYS_mq_open,
    libc::SYS_mq_unlink,
    // the machine
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    // files around their paths, and what Landlock leaves open: modes, owners, attributes, times
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_truncate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    FCHMODAT2,
    SETXATTRAT,
    REMOVEXATTRAT,
    FILE_SETATTR,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
    // an engine calls; nobody calls it
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

/// What only x86_64 has.
#[cfg(target_arch = "x86_64")]
const DENIED_HERE: &[libc::c_long] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_chmod,
    libc::SYS_chown,
    libc::SYS_lchown,
    libc::SYS_utime,
    libc::SYS_utimes,
    libc::SYS_futimesat,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_modify_ldt,
    libc::SYS_uselib,
];
#[cfg(not(target_arch = "x86_64"))]
const DENIED_HERE: &[libc::c_long] = &[];

/// Denies them to all threads of this process, those to come included.
pub(super) fn restrict() -> bool {
    let Ok(program) = filter(std::process::id().into()) else { return false };
    // the second filter first: setting one is not denied, but the order then does not matter
    apply_filter_all_threads(&numbers()).is_ok() && apply_filter_all_threads(&program).is_ok()
}

fn filter(own: u64) -> Result<BpfProgram, BackendError> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
        DENIED.iter().chain(DENIED_HERE).map(|call| (*call, Vec::new())).collect();
    rules.extend(conditional(own)?);
    SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno(libc::EPERM)), ARCH)?
        .try_into()
}

fn is(argument: u8, operator: SeccompCmpOp, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value)
}

/// Denied if the first argument is one of these.
fn any_of(argument: u8, values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    values.iter().map(|value| SeccompRule::new(vec![is(argument, SeccompCmpOp::Eq, *value)?])).collect()
}

/// Denied if the first argument is none of these.
fn none_of(values: &[u64]) -> Result<Vec<SeccompRule>, BackendError> {
    let conditions = values.iter().map(|value| is(0, SeccompCmpOp::Ne, *value)).collect::<Result<_, _>>()?;
    Ok(vec![SeccompRule::new(conditions)?])
}

/// Calls that depend on what they are about.
fn conditional(own: u64) -> Result<Vec<(i64, Vec<SeccompRule>)>, BackendError> {
    const INET: u64 = libc::AF_INET as u64;
    const INET6: u64 = libc::AF_INET6 as u64;
    const NETLINK: u64 = libc::AF_NETLINK as u64;
    let thread = libc::CLONE_THREAD as u64;
    // name resolution asks the kernel for its addresses and routes, by NETLINK_ROUTE (0); Unix sockets would reach whatever else
    // runs here as this user
    let mut sockets = none_of(&[INET, INET6, NETLINK])?;
    sockets.push(SeccompRule::new(vec![is(0, SeccompCmpOp::Eq, NETLINK)?, is(2, SeccompCmpOp::Ne, 0)?])?);
    Ok(vec![
        (libc::SYS_socket, sockets),
        // threads, no processes
        (libc::SYS_clone, vec![SeccompRule::new(vec![is(0, SeccompCmpOp::MaskedEq(thread), 0)?])?]),
        // a process may end itself: abort does
        (libc::SYS_kill, none_of(&[own])?),
        (libc::SYS_tgkill, none_of(&[own])?),
        (libc::SYS_prlimit64, none_of(&[0, own])?),
        (libc::SYS_sched_setaffinity, none_of(&[0])?),
        (libc::SYS_sched_setscheduler, none_of(&[0])?),
        (libc::SYS_sched_setparam, none_of(&[0])?),
        (libc::SYS_sched_setattr, none_of(&[0])?),
        (libc::SYS_prctl, any_of(0, PRCTL)?),
        // signals by way of a descriptor's owner
        (libc::SYS_fcntl, any_of(1, FCNTL)?),
        (libc::SYS_ioctl, any_of(1, IOCTL)?),
    ])
}

/// `PR_SET_PDEATHSIG`, `PR_SET_DUMPABLE`, `PR_SET_SECUREBITS`, `PR_SET_MM`, `PR_SET_CHILD_SUBREAPER`, `PR_SET_PTRACER`.
const PRCTL: &[u64] = &[1, 4, 28, 35, 36, 0x5961_6d61];
/// `F_SETOWN`, `F_SETSIG`, `F_SETOWN_EX`.
const FCNTL: &[u64] = &[8, 10, 15];
/// `TIOCSTI`, `TIOCLINUX`, `FIOSETOWN`, `SIOCSPGRP`, `FS_IOC_SETFLAGS`, `FS_IOC_FSSETXATTR`.
const IOCTL: &[u64] = &[0x5412, 0x541c, 0x8901, 0x8902, 0x4008_6602, 0x401c_5820];

/// What depends on the number alone: `clone3`, whose flags a filter cannot see, does not exist, and the C library falls back to
/// `clone`; nor do the calls of the x32 interface, which have other numbers than those above.
fn numbers() -> BpfProgram {
    // BPF_LD | BPF_W | BPF_ABS, BPF_JMP | BPF_JGE | BPF_K, BPF_JMP | BPF_JEQ | BPF_K, BPF_RET | BPF_K
    const LOAD: u16 = 0x20;
    const IF_AT_LEAST: u16 = 0x35;
    const IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const X32: u32 = 0x4000_0000;
    let clone3 = u32::try_from(libc::SYS_clone3).unwrap_or(u32::MAX);
    let absent = u32::from(SeccompAction::Errno(errno(libc::ENOSYS)));
    let step = |code, jt, jf, k| sock_filter { code, jt, jf, k };
    vec![
        step(LOAD, 0, 0, 0),
        step(IF_AT_LEAST, 2, 0, X32),
        step(IF_EQUAL, 1, 0, clone3),
        step(RETURN, 0, 0, SeccompAction::Allow.into()),
        step(RETURN, 0, 0, absent),
    ]
}

fn errno(number: i32) -> u32 {
    number.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_compiles_and_no_call_is_in_it_twice() {
        let program = filter(1234).unwrap();
        assert!(program.len() > 300 && program.len() < 4096, "{}", program.len());
        let mut calls: Vec<_> = DENIED.iter().chain(DENIED_HERE).copied().collect();
        calls.extend(conditional(1).unwrap().iter().map(|(call, _)| *call as libc::c_long));
        let all = calls.len();
        calls.sort_unstable();
        calls.dedup();
        assert_eq!(calls.len(), all, "a call that is denied always is not denied conditionally");
    }

    #[test]
    fn every_rule_of_a_number_jumps_to_a_return() {
        let program = numbers();
        for (at, step) in program.iter().enumerate().filter(|(_, step)| step.code & 0x07 == 0x05) {
            for jump in [step.jt, step.jf] {
                assert!(at + 1 + usize::from(jump) < program.len());
            }
        }
    }
}
