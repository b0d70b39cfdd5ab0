//! `init` and `import`: commands that write a hall file.

mod questions;

use std::{
    fs::OpenOptions,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use serde::Serialize;

use self::questions::Questions;
use super::CliError;
use crate::{
    cli::{Format, Global, Import, Init},
    hall::{Environment, FILE_NAME, Hall, Severity},
    import::{self, Sheet},
    output::Output,
};

/// What a first hall file says where nothing is asked for: everything is a comment.
const EMPTY: &str = include_str!("author/empty.toml");

/// The JSON of what was written.
#[derive(Debug, Serialize)]
struct WrittenDocument<'a> {
    file: String,
    services: Vec<&'a str>,
    not_carried_over: usize,
}

/// `import`
pub(crate) fn import(args: Import, global: &Global, output: Output) -> Result<ExitCode, CliError> {
    let target = Target::of(global)?;
    let mut sheet = import::read(&args.files, args.from, &target.folder)?;
    let files: Vec<_> = args
        .files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    let head = format!(
        "Written by `gladsheim import` from {}.\n\
         What could not be carried over stands below its service; read it before the first start.",
        files.join(", ")
    );
    let text = sheet.render(&head, |text| target.judge(text));
    target.deliver(&text, &sheet, args.stdout, output)
}

/// `init`
pub(crate) fn init(args: Init, global: &Global, output: Output) -> Result<ExitCode, CliError> {
    let target = Target::of(global)?;
    if !args.stdout {
        // Before questions are asked for nothing.
        target.must_be_free()?;
    }
    let mut sheet = Sheet::default();
    if !args.command.is_empty() {
        sheet.add(questions::draft(&args));
    } else if let Some(mut questions) = Questions::on_a_terminal() {
        questions.ask(&mut sheet)?;
    }
    let text = match sheet.services.is_empty() {
        true => EMPTY.to_owned(),
        false => sheet.render(
            "The services of this machine. `gladsheim check` says what is wrong with it.",
            |text| target.judge(text),
        ),
    };
    target.deliver(&text, &sheet, args.stdout, output)
}

/// The hall file that will be written.
#[derive(Debug)]
struct Target {
    file: PathBuf,
    /// Canonical.
    folder: PathBuf,
}

impl Target {
    fn of(global: &Global) -> Result<Self, CliError> {
        let file = global
            .hall
            .clone()
            .unwrap_or_else(|| PathBuf::from(FILE_NAME));
        let parent = file
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty());
        let folder = parent.unwrap_or(Path::new(".")).canonicalize();
        match folder {
            Ok(folder) => Ok(Self { file, folder }),
            Err(source) => Err(CliError::NotWritten { path: file, source }),
        }
    }

    fn must_be_free(&self) -> Result<(), CliError> {
        match self.file.symlink_metadata() {
            Ok(_) => Err(self.not_written(io::ErrorKind::AlreadyExists.into())),
            Err(_) => Ok(()),
        }
    }

    /// What is wrong with a text, by lines.
    fn judge(&self, text: &str) -> Vec<(usize, String)> {
        let file = self.folder.join(FILE_NAME);
        let diagnostics = match Hall::parse(text, &file, &Environment::of_process()) {
            Ok(_) => Vec::new(),
            Err(error) => error.diagnostics,
        };
        let errors = diagnostics
            .into_iter()
            .filter(|found| found.severity == Severity::Error);
        errors
            .filter_map(|error| Some((error.position?.line, error.message)))
            .collect()
    }

    /// Writes the file, or prints it.
    fn deliver(
        &self,
        text: &str,
        sheet: &Sheet,
        stdout: bool,
        output: Output,
    ) -> Result<ExitCode, CliError> {
        if stdout {
            output.line(text.trim_end())?;
            return Ok(ExitCode::SUCCESS);
        }
        let written = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(&self.file)
            .and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|source| self.not_written(source))?;
        let services: Vec<_> = sheet
            .services
            .iter()
            .map(|draft| draft.name.as_str())
            .collect();
        let (file, remarks) = (self.file.display().to_string(), sheet.remarks());
        match output.format {
            Format::Json => output.json(&WrittenDocument {
                file,
                services,
                not_carried_over: remarks,
            })?,
            Format::Table => {
                let services = super::check::count(services.len(), "service");
                let remarks = match remarks {
                    0 => String::new(),
                    remarks => format!(
                        ", {} not carried over: see the comments",
                        super::check::count(remarks, "setting")
                    ),
                };
                output.line(&format!("{file}: written, {services}{remarks}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    fn not_written(&self, source: io::Error) -> CliError {
        CliError::NotWritten {
            path: self.file.clone(),
            source,
        }
    }
}
