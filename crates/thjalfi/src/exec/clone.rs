//! Bearing a child that shares our memory, on a stack of its own, while the calling thread sleeps.

use std::{
    ffi::{c_int, c_long, c_void},
    io,
    mem::MaybeUninit,
    os::fd::RawFd,
    ptr,
};

/// What the child is born into, and what it does.
pub(super) struct Birth {
    /// Never returns.
    pub(super) child: extern "C" fn(*mut c_void) -> c_int,
    pub(super) argument: *mut c_void,
    pub(super) cgroup: Option<RawFd>,
    /// Its table of descriptors is ours, until it takes a copy.
    pub(super) share_files: bool,
}

/// As the kernel defines `struct clone_args`.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Returns the pid or a negative errno. The libc has no wrapper, and only assembly can leave the
/// parent's stack alone.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub(super) fn clone3(birth: &Birth, stack: &mut [MaybeUninit<u8>], pidfd: &mut RawFd) -> c_long {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    let bottom = stack.as_mut_ptr() as u64;
    let aligned = bottom.next_multiple_of(16);
    let mut args = CloneArgs {
        flags: (libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD) as u64,
        pidfd: ptr::from_mut(pidfd) as u64,
        exit_signal: libc::SIGCHLD as u64,
        stack: aligned,
        stack_size: (stack.len() as u64 - (aligned - bottom)) & !15,
        ..CloneArgs::default()
    };
    if let Some(cgroup) = birth.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup as u64;
    }
    if birth.share_files {
        args.flags |= libc::CLONE_FILES as u64;
    }
    let result: c_long;
    // SAFETY: the child starts on `stack`, calls its function and never returns; it writes to nothing
    // but its stack and its argument, both alive until this thread, which sleeps as CLONE_VFORK says, goes on.
    #[cfg(target_arch = "x86_64")]
    unsafe {
        std::arch::asm!(
            "syscall",
            "test rax, rax",
            "jnz 2f",
            "xor ebp, ebp",
            "mov rdi, r12",
            "call r13",
            "ud2",
            "2:",
            inlateout("rax") libc::SYS_clone3 => result,
            in("rdi") &raw const args,
            in("rsi") size_of::<CloneArgs>(),
            in("r12") birth.argument,
            in("r13") birth.child,
            lateout("rcx") _,
            lateout("r11") _,
        );
    }
    // SAFETY: as above.
    #[cfg(target_arch = "aarch64")]
    unsafe {
        std::arch::asm!(
            "svc #0",
            "cbnz x0, 2f",
            "mov x29, xzr",
            "mov x0, x20",
            "blr x21",
            "brk #1",
            "2:",
            inlateout("x0") &raw const args => result,
            in("x1") size_of::<CloneArgs>(),
            in("x8") libc::SYS_clone3,
            in("x20") birth.argument,
            in("x21") birth.child,
        );
    }
    result
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub(super) fn clone3(_: &Birth, _: &mut [MaybeUninit<u8>], _: &mut RawFd) -> c_long {
    -c_long::from(libc::ENOSYS)
}

/// The same where `clone3` is unknown to this file, the kernel or a seccomp filter.
pub(super) fn clone(birth: &Birth, stack: &mut [MaybeUninit<u8>], pidfd: &mut RawFd) -> c_long {
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
    let top = stack.as_mut_ptr_range().end;
    let top = top.wrapping_byte_sub(top.addr() % 16);
    // SAFETY: as in `clone3`; the stack grows down from its aligned top.
    let pid = unsafe {
        libc::clone(
            birth.child,
            top.cast(),
            flags,
            birth.argument,
            ptr::from_mut(pidfd),
        )
    };
    if pid < 0 {
        -c_long::from(
            io::Error::last_os_error()
                .raw_os_error()
                .unwrap_or(libc::EINVAL),
        )
    } else {
        pid.into()
    }
}
