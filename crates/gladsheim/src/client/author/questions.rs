//! What `init` asks, and what it makes of the answers.

use std::io::{self, BufRead, IsTerminal as _, Write};

use crate::{
    cli::Init,
    import::{Draft, Sheet, command},
};

/// The service that the flags describe.
pub(super) fn draft(args: &Init) -> Draft {
    let mut draft = match &args.name {
        Some(name) => Draft::new(name),
        None => named_after(&args.command),
    };
    command::set(&mut draft, args.command.clone());
    for (name, value) in &args.env {
        draft.set_variable(name, value);
    }
    if let Some(target) = &args.health {
        check(&mut draft, target);
    }
    if let Some(policy) = args.restart {
        draft.set("restart.policy", policy.as_str());
    }
    draft
}

/// A service with the name of its program.
fn named_after(command: &[String]) -> Draft {
    let program = command.first().map(String::as_str).unwrap_or_default();
    Draft::new(program.rsplit('/').next().unwrap_or_default())
}

/// A URL is asked by HTTP, a bare address is connected to.
fn check(draft: &mut Draft, target: &str) {
    let key = if target.contains("://") || target.starts_with("unix:") {
        "health.http"
    } else {
        "health.tcp"
    };
    draft.set(key, target);
    draft.set("ready", "health");
}

/// Somebody who can answer.
pub(super) struct Questions<R, W> {
    answers: R,
    questions: W,
}

impl Questions<io::StdinLock<'static>, io::Stderr> {
    /// None where nobody would see the questions.
    pub(super) fn on_a_terminal() -> Option<Self> {
        let is_terminal = io::stdin().is_terminal() && io::stderr().is_terminal();
        is_terminal.then(|| Self {
            answers: io::stdin().lock(),
            questions: io::stderr(),
        })
    }
}

impl<R: BufRead, W: Write> Questions<R, W> {
    /// Asks for one service after the other, until there are no more.
    pub(super) fn ask(&mut self, sheet: &mut Sheet) -> io::Result<()> {
        loop {
            let which = if sheet.services.is_empty() {
                "first"
            } else {
                "next"
            };
            let line = self.answer(&format!("Command of the {which} service"), "no more")?;
            if line.is_empty() {
                return Ok(());
            }
            sheet.add(self.service(&line)?);
        }
    }

    fn service(&mut self, line: &str) -> io::Result<Draft> {
        let words = command::of_shell_line(line);
        let default = named_after(&words).name;
        let name = self.answer("  Its name", &default)?;
        let mut draft = Draft::new(if name.is_empty() { &default } else { &name });
        command::set(&mut draft, words);
        let target = self.answer(
            "  Where is its health checked? URL or HOST:PORT",
            "its process",
        )?;
        if !target.is_empty() {
            check(&mut draft, &target);
        }
        let policies = ["always", "on-failure", "never"];
        let mut policy =
            self.answer("  Started again: always, on-failure or never", "on-failure")?;
        while !policy.is_empty() && !policies.contains(&&*policy) {
            policy = self.answer("  One of always, on-failure, never", "on-failure")?;
        }
        if !policy.is_empty() {
            draft.set("restart.policy", policy);
        }
        let needs = self.answer("  Which services must be ready before it?", "none")?;
        for need in needs.split([',', ' ']).filter(|need| !need.is_empty()) {
            draft.need(need, "ready", true);
        }
        Ok(draft)
    }

    /// The answer without the spaces around it; empty if the default is meant, or if there are no more.
    fn answer(&mut self, question: &str, default: &str) -> io::Result<String> {
        write!(self.questions, "{question} [{default}]: ")?;
        self.questions.flush()?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_services_and_a_wrong_word_is_asked_for_again() {
        let answers =
            "bin/db -p 5432\n\n127.0.0.1:5432\nsometimes\nalways\n\nbin/web $X\nsite\n\n\ndb\n\n";
        let mut asked = Vec::new();
        let mut sheet = Sheet::default();
        let mut questions = Questions {
            answers: answers.as_bytes(),
            questions: &mut asked,
        };
        questions.ask(&mut sheet).expect("a string can be read");
        let text = sheet.render("", |_| Vec::new());
        for line in [
            "[services.db]",
            "args = [\"-p\", \"5432\"]",
            "tcp = \"127.0.0.1:5432\"",
            "policy = \"always\"",
            "[services.site]",
            "depends_on = { db = \"ready\" }",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        let asked = String::from_utf8(asked).expect("is text");
        assert!(
            asked.contains("One of always, on-failure, never"),
            "{asked}"
        );
    }
}
