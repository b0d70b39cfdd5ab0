//! systemd's units of services.

mod exec;
mod key;
mod specifier;

use self::exec::Exec;
use super::{
    Fault, Source, command,
    draft::{Draft, Sheet},
    ini::{self, Dialect, Entry},
};

/// What several settings of a unit say together.
#[derive(Debug, Default)]
struct Gathered {
    start: Vec<Exec>,
    pre_start: Vec<Exec>,
    post_stop: Vec<Exec>,
    oneshot: bool,
    needs: Vec<Need>,
    restarts: bool,
}

/// Another unit that is named.
#[derive(Debug)]
struct Need {
    unit: String,
    required: bool,
}

pub(super) fn read(source: &Source, sheet: &mut Sheet) -> Result<(), Fault> {
    let unit_name = source.name();
    let name = unit_name.strip_suffix(".service").unwrap_or(&unit_name);
    let mut draft = Draft::new(name);
    let mut gathered = Gathered::default();
    // What systemd does where a unit is silent.
    draft.set("working_dir", "/");
    draft.set("restart.policy", "never");
    for entry in ini::read(&source.text, Dialect::Unit)? {
        let value = specifier::expand(&entry.value, name);
        let entry = Entry { value, ..entry };
        key::read(&mut draft, &mut gathered, &entry);
    }
    finish(&mut draft, name, gathered)?;
    sheet.add(draft);
    Ok(())
}

fn finish(draft: &mut Draft, name: &str, gathered: Gathered) -> Result<(), Fault> {
    let Gathered {
        start,
        pre_start,
        post_stop,
        oneshot,
        needs,
        restarts,
    } = gathered;
    if start.is_empty() {
        return Err(Fault::whole("has no ExecStart, so there is nothing to run"));
    }
    if name.ends_with('@') {
        draft.remark("it is a template: what stands for %i is empty");
    }
    let words = |execs: Vec<Exec>| {
        let commands: Vec<_> = execs.into_iter().map(Exec::words).collect();
        command::all_of(&commands)
    };
    if oneshot && !restarts {
        draft.set("restart.policy", "never");
    }
    let start = start.into_iter().map(|exec| exec.for_good(draft)).collect();
    command::set(draft, words(start));
    if !pre_start.is_empty() {
        draft.set("pre_start", words(pre_start));
    }
    if !post_stop.is_empty() {
        draft.set("post_stop", words(post_stop));
    }
    for Need { unit, required } in needs {
        // Targets, sockets, mounts and slices are the machine's, which runs before Gladsheim does.
        if let Some(service) = unit.strip_suffix(".service") {
            draft.need(service, "ready", required);
        }
    }
    Ok(())
}
