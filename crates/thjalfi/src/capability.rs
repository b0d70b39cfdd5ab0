//! Linux capabilities by name.

use std::fs;

use crate::error::{SpawnError, Stage};

/// In the order of their numbers.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

/// The bit mask of the named capabilities, and the highest capability of this kernel.
pub(crate) fn mask(names: &[String]) -> Result<(u64, u32), SpawnError> {
    let mut mask = 0;
    for name in names {
        let lower = name.to_ascii_lowercase();
        let short = lower.strip_prefix("cap_").unwrap_or(&lower);
        match NAMES.iter().position(|known| *known == short) {
            Some(bit) => mask |= 1 << bit,
            None => {
                return Err(SpawnError::invalid(
                    Stage::Capabilities,
                    name,
                    "no such capability",
                ));
            }
        }
    }
    let path = "/proc/sys/kernel/cap_last_cap";
    let text = fs::read_to_string(path)
        .map_err(|source| SpawnError::new(Stage::Capabilities, path.to_owned(), source))?;
    let last = text.trim().parse().unwrap_or(NAMES.len() as u32 - 1);
    Ok((mask, last.min(63)))
}

#[cfg(test)]
mod tests {
    use super::mask;

    #[test]
    fn names_become_bits() {
        let names = ["CAP_CHOWN".to_owned(), "net_bind_service".to_owned()];
        assert_eq!(mask(&names).unwrap().0, 1 | 1 << 10);
        assert!(mask(&["CAP_NONSENSE".to_owned()]).is_err());
    }
}
