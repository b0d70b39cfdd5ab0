//! Procfiles, as foreman and Heroku read them: `NAME: COMMAND`, a line each.

use super::{
    Fault, Source,
    command::{self, by_shell},
    draft::{Draft, Sheet},
};

/// The first service's port, and how far the next one's is from it: foreman's.
const FIRST_PORT: usize = 5000;
const PORT_STEP: usize = 100;

pub(super) fn read(source: &Source, sheet: &mut Sheet) -> Result<(), Fault> {
    let has_env_file = source.folder.join(".env").is_file();
    let mut count = 0;
    for (index, line) in source.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, command) = line
            .split_once(':')
            .filter(|(name, command)| !name.trim().is_empty() && !command.trim().is_empty())
            .ok_or_else(|| Fault::at(index + 1, format!("{line:?} is not NAME: COMMAND")))?;
        let mut draft = Draft::new(name.trim());
        // Relative programs are meant from the Procfile's folder, which a shell finds as its own.
        let words = command::of_shell_line(command);
        let relative = words
            .first()
            .is_some_and(|word| word.contains('/') && !word.starts_with('/'));
        command::set(
            &mut draft,
            if relative && source.elsewhere {
                by_shell(&format!("exec {}", command.trim()))
            } else {
                words
            },
        );
        if source.elsewhere {
            draft.set("working_dir", source.path("."));
        }
        if command.contains("$PORT") || command.contains("${PORT") {
            let port = FIRST_PORT + PORT_STEP * count;
            draft.set_variable("PORT", &port.to_string());
        }
        if has_env_file {
            draft.set("env_file", source.path(".env"));
        }
        count += 1;
        sheet.add(draft);
    }
    Ok(())
}
