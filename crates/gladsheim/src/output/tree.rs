//! Processes as a tree: who started whom. Pure.

use gladsheim_proto::v1::Process;

/// One line of the tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Branch<'a> {
    /// Lines from the parent to here, as a drawing.
    pub(crate) stem: String,
    pub(crate) process: &'a Process,
}

/// All processes, each below its parent; those whose parent is not among them are roots.
pub(crate) fn branches(processes: &[Process]) -> Vec<Branch<'_>> {
    let is_root = |process: &&Process| {
        let parent = process.parent_process_id;
        !processes.iter().any(|other| other.process_id == parent)
    };
    let mut branches = Vec::with_capacity(processes.len());
    for root in processes.iter().filter(is_root) {
        grow(processes, root, String::new(), "", &mut branches);
    }
    branches
}

/// `indent` is what stands before the lines of the children's siblings.
fn grow<'a>(
    processes: &'a [Process],
    process: &'a Process,
    stem: String,
    indent: &str,
    branches: &mut Vec<Branch<'a>>,
) {
    branches.push(Branch { stem, process });
    // A process that is its own ancestor is none that exists, but a list may say anything.
    if branches.len() > processes.len() {
        return;
    }
    let children: Vec<_> = processes
        .iter()
        .filter(|child| child.parent_process_id == process.process_id)
        .collect();
    for (number, child) in children.iter().enumerate() {
        let (corner, line) = if number + 1 == children.len() {
            ("└─ ", "   ")
        } else {
            ("├─ ", "│  ")
        };
        let stem = format!("{indent}{corner}");
        grow(processes, child, stem, &format!("{indent}{line}"), branches);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(process_id: u32, parent_process_id: u32) -> Process {
        Process {
            process_id,
            parent_process_id,
            ..Process::default()
        }
    }

    #[test]
    fn grandchildren_hang_below_their_parents_and_orphans_stand_alone() {
        let processes = [(10, 1), (11, 10), (12, 10), (13, 11), (14, 12), (20, 1)]
            .map(|(pid, parent)| process(pid, parent));
        let drawn: Vec<_> = branches(&processes)
            .iter()
            .map(|branch| format!("{}{}", branch.stem, branch.process.process_id))
            .collect();
        let expected = ["10", "├─ 11", "│  └─ 13", "└─ 12", "   └─ 14", "20"];
        assert_eq!(drawn, expected);
    }

    #[test]
    fn a_list_that_makes_no_sense_comes_to_an_end() {
        let processes = [process(1, 2), process(2, 2), process(3, 9)];
        assert_eq!(branches(&processes)[0].process.process_id, 3);
    }
}
