//! Port: how short of resources the machine is.

/// Share of the last ten seconds that was lost waiting, in percent, as the kernel's pressure stall
/// information counts it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct MachinePressure {
    /// While at least one task waited for a CPU.
    pub cpu: f32,
    /// While all tasks waited for memory at once.
    pub memory: f32,
    /// While all tasks waited for input or output at once.
    pub io: f32,
}

/// Tells how short of resources the machine is: the load guard asks it when a check fails.
#[cfg_attr(any(test, feature = "mock"), mockall::automock)]
pub trait Starvation: Send + Sync + 'static {
    /// The pressure now; zero for what the machine does not tell. Called on a worker thread: it may
    /// read small files of the kernel's, and must not block for longer than that takes.
    fn pressure(&self) -> MachinePressure;
}
