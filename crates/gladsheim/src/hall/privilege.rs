//! Names that the kernel knows: capabilities and resource limits.

use super::{name, reader::Field};

/// Resource limits by the names of `setrlimit(2)`.
const RLIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// Capabilities by the names of `capabilities(7)`, without `CAP_`, in the order of their numbers.
const CAPABILITIES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Whether `CAP_NET_BIND_SERVICE`, say, is a capability.
pub(crate) fn is_capability(text: &str) -> bool {
    let short = text.strip_prefix("CAP_").unwrap_or_default();
    CAPABILITIES.contains(&short)
}

/// Reads `CAP_NET_BIND_SERVICE`.
pub(super) fn capability(text: &str) -> Result<String, String> {
    if is_capability(text) {
        return Ok(text.to_owned());
    }
    let meant = text.to_ascii_uppercase();
    let hint = match name::nearest(meant.trim_start_matches("CAP_"), CAPABILITIES) {
        Some(nearest) => format!("; did you mean `CAP_{nearest}`?"),
        None => String::new(),
    };
    Err(format!("{text:?} is no capability{hint}"))
}

/// Reads `{ nofile = 4096, core = 0, stack = "unlimited" }`.
pub(super) fn rlimits(field: Field<'_>) -> Vec<(String, u64)> {
    let limits = field.entries().into_iter().filter_map(|entry| {
        entry.check_name(|name| {
            let known = RLIMITS.contains(&name);
            known.then_some(()).ok_or_else(|| {
                let hint = name::hint(name, RLIMITS);
                format!("`{name}` is no resource limit{hint}")
            })
        });
        let value = match entry.field.is_text() {
            true => entry.field.one_of(&[("unlimited", u64::MAX)]),
            false => entry.field.integer(0..=u64::MAX),
        };
        Some((entry.name.to_owned(), value.optional()?))
    });
    limits.collect()
}
