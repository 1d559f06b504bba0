//! How far an engine's process is confined, in words.

use secrethub_engine::wire::Sandbox;

/// What a full confinement has and this one does not.
///
/// Any version of Landlock will do: what the first ones leave open (listening, abstract sockets, signals, truncating) the filter
/// of system calls closes too.
#[must_use]
pub fn lacking(sandbox: &Sandbox) -> Vec<&'static str> {
    [
        (sandbox.no_new_privs, "way to give up privileges"),
        (sandbox.not_dumpable, "protection of its memory"),
        (sandbox.rlimits, "resource limits"),
        (sandbox.landlock > 0, "Landlock"),
        (sandbox.seccomp, "seccomp"),
    ]
    .into_iter()
    .filter_map(|(there, name)| (!there).then_some(name))
    .collect()
}

/// For operators: `full (Landlock 7)`, or what is missing.
#[must_use]
pub fn describe(sandbox: &Sandbox) -> String {
    let lacking = lacking(sandbox);
    if lacking.is_empty() {
        format!("full (Landlock {})", sandbox.landlock)
    } else {
        format!("partial: no {}", lacking.join(", no "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let full =
            Sandbox { no_new_privs: true, not_dumpable: true, rlimits: true, landlock: 7, seccomp: true };
        assert_eq!(describe(&full), "full (Landlock 7)");
        let partial = Sandbox { landlock: 0, seccomp: false, ..full };
        assert_eq!(describe(&partial), "partial: no Landlock, no seccomp");
        assert_eq!(lacking(&Sandbox::default()).len(), 5);
    }
}
