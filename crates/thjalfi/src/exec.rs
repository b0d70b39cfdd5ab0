//! From a prepared plan to a running program: `clone3`, the child's few system calls, `exec`.
//!
//! The child shares the parent's memory until `exec` (as after `vfork`), on a stack of its own, while
//! the calling thread sleeps with all signals blocked. So the child makes system calls only: it
//! allocates nothing, takes no lock and calls no libc function that keeps state (glibc's `setuid`
//! would change every thread of the daemon). A failure is written into the plan and read by the
//! parent when it wakes, with its stage and errno: nothing has to travel through a pipe.
#![expect(
    unsafe_code,
    reason = "clone3 and what follows it exist as system calls only"
)]

use std::{
    ffi::{CStr, CString, c_char, c_int, c_long, c_void},
    io,
    mem::MaybeUninit,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
    ptr,
};

use crate::{error::Stage, socket::FIRST, sys::Pidfd};

mod clone;
mod seat;

use clone::Birth;
use seat::Seated;

/// Room for the child's frames. (To free 64 KiB and more, the allocator would tidy up all it has.)
const STACK_SIZE: usize = 32 * 1024;
/// Highest signal number of the kernel.
const SIGNALS: c_int = 64;

/// The variable that tells whose the sockets are, with room for any pid.
type ListenPid = [u8; 24];
const LISTEN_PID: &ListenPid = b"LISTEN_PID=\0\0\0\0\0\0\0\0\0\0\0\0\0";

/// Everything that the child needs, prepared before it exists.
pub(crate) struct Plan<'a> {
    pub(crate) program: CString,
    /// Executed instead of `program`; `keep` leaves it open for a script's interpreter.
    pub(crate) executable: Option<(BorrowedFd<'a>, bool)>,
    pub(crate) args: Vec<CString>,
    pub(crate) env: Vec<CString>,
    pub(crate) stdio: [BorrowedFd<'a>; 3],
    /// Become the descriptors from 3; they and the executable have numbers above those.
    pub(crate) sockets: Vec<BorrowedFd<'a>>,
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
    pub(crate) working_dir: Option<CString>,
    pub(crate) umask: Option<u32>,
    pub(crate) nice: Option<i32>,
    pub(crate) oom_score_adj: Option<CString>,
    pub(crate) rlimits: Vec<(u32, libc::rlimit64)>,
    pub(crate) identity: Option<(u32, u32, Vec<u32>)>,
    /// Bit mask of the capabilities that are kept, and the highest capability of this kernel.
    pub(crate) capabilities: Option<(u64, u32)>,
    pub(crate) no_new_privs: bool,
}

/// What the child is told by pointer: the plan, C arrays, and where to leave its failure.
struct Brief<'a> {
    plan: &'a Plan<'a>,
    argv: &'a [*const c_char],
    envp: &'a [*const c_char],
    /// `LISTEN_PID=`, to which the child adds its own.
    listen_pid: *mut ListenPid,
    stdio: [RawFd; 3],
    executable: Option<RawFd>,
    /// The child shares our descriptors, and needs none from this number on.
    beyond: Option<usize>,
    /// Joined by the child itself where `clone3` could not do it.
    join: bool,
    stage: Stage,
    failure: Option<c_int>,
}

impl Brief<'_> {
    fn birth(&mut self) -> Birth {
        Birth {
            child,
            cgroup: self.plan.cgroup.map(|folder| folder.as_raw_fd()),
            share_files: self.beyond.is_some(),
            argument: ptr::from_mut(self).cast(),
        }
    }

    /// With what the child inherits in seats, which are cleared when this returns.
    fn clone_seated(
        &mut self,
        mut seated: Seated,
        stack: &mut [MaybeUninit<u8>],
        pidfd: &mut RawFd,
    ) -> io::Result<c_long> {
        let before = (self.stdio, self.executable);
        for (number, fd) in self.stdio.iter_mut().zip(self.plan.stdio).skip(1) {
            *number = seated.put(fd)?;
        }
        if let (Some(number), Some((fd, _))) = (&mut self.executable, self.plan.executable) {
            *number = seated.put(fd)?;
        }
        self.stdio[0] = seated.null();
        self.beyond = Some(seated.beyond());
        let result = clone::clone3(&self.birth(), stack, pidfd);
        self.beyond = None;
        (self.stdio, self.executable) = before;
        Ok(result)
    }
}

/// Starts the program and returns once `exec` has succeeded.
///
/// # Errors
///
/// The stage that failed and its errno; no process is left then.
pub(crate) fn run(plan: &Plan<'_>) -> Result<(u32, Pidfd), (Stage, io::Error)> {
    let argv = pointers(&plan.args);
    let mut listen_pid = *LISTEN_PID;
    let listen_pid = &raw mut listen_pid;
    let mut envp = pointers(&plan.env);
    if !plan.sockets.is_empty() {
        envp.insert(0, listen_pid.cast());
    }
    let mut brief = Brief {
        plan,
        argv: &argv,
        envp: &envp,
        listen_pid,
        stdio: plan.stdio.map(|fd| fd.as_raw_fd()),
        executable: plan.executable.map(|(fd, _)| fd.as_raw_fd()),
        beyond: None,
        join: false,
        stage: Stage::Clone,
        failure: None,
    };
    let spawned = with_signals_blocked(|| clone_child(&mut brief));
    let (pid, pidfd) = spawned.map_err(|error| (Stage::Clone, error))?;
    // SAFETY: the child wrote through a pointer while this thread slept; a volatile read sees it.
    let (failure, stage) = unsafe {
        (
            ptr::read_volatile(&raw const brief.failure),
            ptr::read_volatile(&raw const brief.stage),
        )
    };
    // Without a failure, it came as far as `exec`, or somebody has killed it before.
    let failure = failure.or((stage != Stage::Exec).then_some(libc::EINTR));
    match failure {
        None => Ok((pid, pidfd)),
        Some(errno) => {
            // It has called _exit already; a failure to reap it leaves nothing to be done here.
            let _ = pidfd.reap(true);
            Err((stage, io::Error::from_raw_os_error(errno)))
        }
    }
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let terminated = strings.iter().map(|string| string.as_ptr());
    terminated.chain([ptr::null()]).collect()
}

/// Signals stay away from the child until its handlers, which are the daemon's, have been reset.
fn with_signals_blocked<T>(run: impl FnOnce() -> T) -> T {
    let mut before = 0;
    set_signal_mask(!0, &mut before);
    let result = run();
    set_signal_mask(before, &mut 0);
    result
}

/// Not the libc's function, which leaves its own two signals out.
fn set_signal_mask(mask: u64, before: &mut u64) {
    // SAFETY: both point to a kernel signal set, which is eight bytes long.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const mask,
            ptr::from_mut(before),
            size_of::<u64>(),
        );
    }
}

fn clone_child(brief: &mut Brief<'_>) -> io::Result<(u32, Pidfd)> {
    let mut stack = Box::<[u8]>::new_uninit_slice(STACK_SIZE);
    let mut pidfd: RawFd = -1;
    // Sockets get low numbers of their own.
    let seated = if brief.plan.sockets.is_empty() {
        Seated::take()
    } else {
        None
    };
    let mut result = match seated {
        Some(seated) => brief.clone_seated(seated, &mut stack, &mut pidfd)?,
        None => clone::clone3(&brief.birth(), &mut stack, &mut pidfd),
    };
    if result == -c_long::from(libc::ENOSYS) {
        brief.join = brief.plan.cgroup.is_some();
        result = clone::clone(&brief.birth(), &mut stack, &mut pidfd);
    }
    let pid = u32::try_from(result).map_err(|_| {
        io::Error::from_raw_os_error(i32::try_from(-result).unwrap_or(libc::EINVAL))
    })?;
    // SAFETY: CLONE_PIDFD has stored a new descriptor that nobody else owns.
    Ok((pid, Pidfd::new(unsafe { OwnedFd::from_raw_fd(pidfd) })))
}

/// The child's whole life in this program.
extern "C" fn child(brief: *mut c_void) -> c_int {
    // SAFETY: `clone_child` passes its brief, which nobody else touches while the parent sleeps.
    let brief = unsafe { &mut *brief.cast::<Brief<'_>>() };
    let Err(errno) = prepare_and_exec(brief);
    brief.failure = Some(errno);
    // SAFETY: ends this process at once, without the daemon's exit handlers.
    unsafe { libc::_exit(127) }
}

/// Never returns without an errno: `exec` replaces the program.
fn prepare_and_exec(brief: &mut Brief<'_>) -> Result<std::convert::Infallible, c_int> {
    let plan = brief.plan;
    // SAFETY: every pointer comes from the plan or from this frame, strings end in NUL, arrays in a
    // null pointer, and the numbers are what the call takes.
    unsafe {
        if let Some(beyond) = brief.beyond {
            let unshare = libc::CLOSE_RANGE_UNSHARE as usize;
            let all = u32::MAX as usize;
            call(libc::SYS_close_range, [beyond, all, unshare, 0, 0])?;
        }
        reset_signal_handlers();
        brief.stage = Stage::Session;
        call(libc::SYS_setsid, [0; 5])?;
        if let Some(cgroup) = plan.cgroup.as_ref().filter(|_| brief.join) {
            brief.stage = Stage::Cgroup;
            write_file(cgroup.as_raw_fd(), c"cgroup.procs", c"0")?;
        }
        brief.stage = Stage::Output;
        for (target, fd) in brief.stdio.iter().enumerate() {
            call(libc::SYS_dup3, [*fd as usize, target, 0, 0, 0])?;
        }
        brief.stage = Stage::Socket;
        for (index, fd) in plan.sockets.iter().enumerate() {
            let target = FIRST as usize + index;
            call(libc::SYS_dup3, [fd.as_raw_fd() as usize, target, 0, 0, 0])?;
        }
        if !plan.sockets.is_empty() {
            let pid = call(libc::SYS_getpid, [0; 5])?;
            write_pid(&mut *brief.listen_pid, pid as u64);
        }
        if let Some(umask) = plan.umask {
            call(libc::SYS_umask, [umask as usize, 0, 0, 0, 0])?;
        }
        if let Some(nice) = plan.nice {
            brief.stage = Stage::Nice;
            let process = libc::PRIO_PROCESS as usize;
            call(libc::SYS_setpriority, [process, 0, nice as usize, 0, 0])?;
        }
        if let Some(adjustment) = &plan.oom_score_adj {
            brief.stage = Stage::OomScoreAdj;
            write_file(libc::AT_FDCWD, c"/proc/self/oom_score_adj", adjustment)?;
        }
        brief.stage = Stage::Rlimit;
        for (resource, limit) in &plan.rlimits {
            let limit = ptr::from_ref(limit) as usize;
            call(libc::SYS_prlimit64, [0, *resource as usize, limit, 0, 0])?;
        }
        if let Some(working_dir) = &plan.working_dir {
            brief.stage = Stage::Chdir;
            call(libc::SYS_chdir, [working_dir.as_ptr() as usize, 0, 0, 0, 0])?;
        }
        if let Some((keep, last)) = plan.capabilities {
            brief.stage = Stage::Capabilities;
            limit_bounding_set(keep, last)?;
        }
        if let Some((uid, gid, groups)) = &plan.identity {
            let (uid, gid) = (*uid as usize, *gid as usize);
            brief.stage = Stage::Initgroups;
            call(
                libc::SYS_setgroups,
                [groups.len(), groups.as_ptr() as usize, 0, 0, 0],
            )?;
            brief.stage = Stage::Setgid;
            call(libc::SYS_setresgid, [gid, gid, gid, 0, 0])?;
            brief.stage = Stage::Setuid;
            call(libc::SYS_setresuid, [uid, uid, uid, 0, 0])?;
        }
        if let Some((keep, last)) = plan.capabilities {
            brief.stage = Stage::Capabilities;
            keep_capabilities(keep, last)?;
        }
        if plan.no_new_privs {
            brief.stage = Stage::NoNewPrivs;
            prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0)?;
        }
        exec(brief)
    }
}

/// # Safety
///
/// Only in the child, whose table of handlers is its own.
unsafe fn reset_signal_handlers() {
    // Handler, flags, restorer and mask of the kernel's `struct sigaction`: all default.
    let default = [0u64; 4];
    for signal in 1..=SIGNALS {
        if signal != libc::SIGKILL && signal != libc::SIGSTOP {
            // SAFETY: `default` has the size of the kernel's structure.
            // It cannot fail for these signals.
            let _ = unsafe {
                call(
                    libc::SYS_rt_sigaction,
                    [
                        signal as usize,
                        default.as_ptr() as usize,
                        0,
                        size_of::<u64>(),
                        0,
                    ],
                )
            };
        }
    }
}

/// Behind the sign of equality, in decimal digits.
fn write_pid(variable: &mut ListenPid, pid: u64) {
    let digits = pid.checked_ilog10().unwrap_or(0) as usize + 1;
    let mut rest = pid;
    for place in variable.iter_mut().skip(11).take(digits).rev() {
        *place = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

/// # Safety
///
/// Only in the child, as its last act.
unsafe fn exec(brief: &mut Brief<'_>) -> Result<std::convert::Infallible, c_int> {
    let (argv, envp) = (brief.argv.as_ptr() as usize, brief.envp.as_ptr() as usize);
    // SAFETY: as in `prepare_and_exec`.
    unsafe {
        // A belt: all of the daemon's descriptors are close-on-exec. Old kernels do not know it.
        let first = FIRST as usize + brief.plan.sockets.len();
        let close_on_exec = libc::CLOSE_RANGE_CLOEXEC as usize;
        let _ = call(
            libc::SYS_close_range,
            [first, u32::MAX as usize, close_on_exec, 0, 0],
        );
        set_signal_mask(0, &mut 0);
        brief.stage = Stage::Exec;
        match brief.executable {
            None => {
                let program = brief.plan.program.as_ptr() as usize;
                call(libc::SYS_execve, [program, argv, envp, 0, 0])?;
            }
            Some(fd) => {
                let fd = fd as usize;
                if brief.plan.executable.is_some_and(|(_, keep)| keep) {
                    call(libc::SYS_fcntl, [fd, libc::F_SETFD as usize, 0, 0, 0])?;
                }
                let flags = libc::AT_EMPTY_PATH as usize;
                call(
                    libc::SYS_execveat,
                    [fd, c"".as_ptr() as usize, argv, envp, flags],
                )?;
            }
        }
    }
    Err(libc::ENOEXEC)
}

/// Nothing outside of `keep` can ever be gained again; what is kept survives the change of user.
///
/// # Safety
///
/// Only in the child.
unsafe fn limit_bounding_set(keep: u64, last: u32) -> Result<(), c_int> {
    for capability in (0..=last).filter(|bit| keep & (1 << bit) == 0) {
        // SAFETY: integers only.
        unsafe { prctl(libc::PR_CAPBSET_DROP, capability as usize, 0)? };
    }
    // SAFETY: integers only.
    unsafe { prctl(libc::PR_SET_KEEPCAPS, 1, 0) }
}

/// # Safety
///
/// Only in the child.
unsafe fn keep_capabilities(keep: u64, last: u32) -> Result<(), c_int> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let (low, high) = (keep as u32, (keep >> 32) as u32);
    let data = [low, low, low, high, high, high];
    // SAFETY: both have the layout of the third version of the capability structures.
    unsafe {
        call(
            libc::SYS_capset,
            [header.as_ptr() as usize, data.as_ptr() as usize, 0, 0, 0],
        )?;
        for capability in (0..=last).filter(|bit| keep & (1 << bit) != 0) {
            let raise = libc::PR_CAP_AMBIENT_RAISE as usize;
            prctl(libc::PR_CAP_AMBIENT, raise, capability as usize)?;
        }
    }
    Ok(())
}

/// # Safety
///
/// As of `prctl`.
unsafe fn prctl(option: c_int, first: usize, second: usize) -> Result<(), c_int> {
    // SAFETY: left to the caller.
    unsafe { call(libc::SYS_prctl, [option as usize, first, second, 0, 0]).map(drop) }
}

/// # Safety
///
/// Only in the child.
unsafe fn write_file(folder: RawFd, path: &CStr, text: &CStr) -> Result<(), c_int> {
    let flags = (libc::O_WRONLY | libc::O_CLOEXEC) as usize;
    let bytes = text.to_bytes();
    // SAFETY: the path ends in NUL, and the bytes are as long as said.
    unsafe {
        let path = path.as_ptr() as usize;
        let fd = call(libc::SYS_openat, [folder as usize, path, flags, 0, 0])?;
        call(
            libc::SYS_write,
            [fd as usize, bytes.as_ptr() as usize, bytes.len(), 0, 0],
        )
        .map(drop)
    }
}

/// One raw system call: no cancellation points, no broadcast to other threads.
///
/// # Safety
///
/// As of the system call.
unsafe fn call(number: c_long, args: [usize; 5]) -> Result<c_long, c_int> {
    // SAFETY: left to the caller; errno is this thread's, which the sleeping parent does not read.
    unsafe {
        let result = libc::syscall(number, args[0], args[1], args[2], args[3], args[4]);
        if result < 0 {
            Err(*libc::__errno_location())
        } else {
            Ok(result)
        }
    }
}
