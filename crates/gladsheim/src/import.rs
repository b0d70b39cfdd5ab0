//! `import`: a hall file from a Procfile, a supervisord.conf, a process-compose.yaml or unit files.
//!
//! # Theory of operation
//!
//! A reader for each format turns a [`Source`] into drafts of services on a [`Sheet`]: keys for what a hall file
//! can say, and a remark, with the place, for each setting that it cannot. The sheet is written as text and
//! read back as a hall file before anybody sees it, so that what is imported can be started.

pub(crate) mod command;
mod compose;
mod draft;
mod ini;
mod measure;
mod procfile;
mod supervisord;
mod unit;

#[cfg(test)]
mod test;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use clap::ValueEnum;

pub(crate) use self::draft::{Draft, Sheet};

/// What can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// A Procfile.
    Procfile,
    /// A supervisord.conf, with the files that it includes.
    Supervisord,
    /// A process-compose.yaml.
    ProcessCompose,
    /// A systemd unit of a service.
    Systemd,
}

/// A file that cannot be imported.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {}", file.display(), Line(fault.line), fault.message)]
pub(crate) struct ImportError {
    file: PathBuf,
    fault: Fault,
}

/// What is wrong with a file, and where.
#[derive(Debug)]
struct Fault {
    /// Counted from 1; none if it is the file as a whole.
    line: Option<usize>,
    message: String,
}

impl Fault {
    fn at(line: usize, message: String) -> Self {
        Self {
            line: Some(line),
            message,
        }
    }

    fn whole(message: impl Into<String>) -> Self {
        Self {
            line: None,
            message: message.into(),
        }
    }
}

/// `:LINE`, or nothing.
struct Line(Option<usize>);

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(line) => write!(f, ":{line}"),
            None => Ok(()),
        }
    }
}

/// A file that is read.
#[derive(Debug)]
struct Source {
    file: PathBuf,
    text: String,
    /// The folder of the file, absolute.
    folder: PathBuf,
    /// Whether that is another folder than the hall file's, so that relative paths must be made absolute.
    elsewhere: bool,
}

impl Source {
    fn open(file: &Path, hall_folder: &Path) -> io::Result<Self> {
        let folder = file.canonicalize()?;
        let folder = folder.parent().unwrap_or(Path::new("/")).to_path_buf();
        Ok(Self {
            text: fs::read_to_string(file)?,
            elsewhere: folder != hall_folder,
            folder,
            file: file.to_path_buf(),
        })
    }

    /// The file's name.
    fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }

    /// A path as the hall file must spell it.
    fn path(&self, text: &str) -> String {
        if !self.elsewhere || text.starts_with('/') {
            return text.to_owned();
        }
        let path = self.folder.join(text.trim_start_matches("./"));
        match text {
            "." => self.folder.display().to_string(),
            _ => path.display().to_string(),
        }
    }

    /// What the file is, by its name, else by what is in it.
    fn kind(&self) -> Result<Kind, Fault> {
        let name = self.name();
        let has = |what: &str| {
            self.text
                .lines()
                .any(|line| line.trim_start().starts_with(what))
        };
        if name.ends_with(".service") {
            Ok(Kind::Systemd)
        } else if name.ends_with(".yaml") || name.ends_with(".yml") {
            Ok(Kind::ProcessCompose)
        } else if name.contains("Procfile") {
            Ok(Kind::Procfile)
        } else if has("[program:") || has("[supervisord]") {
            Ok(Kind::Supervisord)
        } else if has("[Service]") {
            Ok(Kind::Systemd)
        } else if has("processes:") {
            Ok(Kind::ProcessCompose)
        } else {
            Err(Fault::whole(
                "is no Procfile, supervisord.conf, process-compose.yaml or unit of a service, as far as its \
                 name and its text say; name its kind with --from",
            ))
        }
    }
}

/// Reads files, of the given kind or of the kind that each looks like, into one sheet for a hall file that
/// will lie in `hall_folder`, which is canonical.
pub(crate) fn read(
    files: &[PathBuf],
    kind: Option<Kind>,
    hall_folder: &Path,
) -> Result<Sheet, ImportError> {
    let mut sheet = Sheet::default();
    for file in files {
        read_one(file, kind, hall_folder, &mut sheet).map_err(|fault| ImportError {
            file: file.clone(),
            fault,
        })?;
    }
    sheet.keep_known_needs();
    Ok(sheet)
}

fn read_one(
    file: &Path,
    kind: Option<Kind>,
    hall_folder: &Path,
    sheet: &mut Sheet,
) -> Result<(), Fault> {
    let source = Source::open(file, hall_folder)
        .map_err(|error| Fault::whole(format!("cannot be read: {error}")))?;
    let before = sheet.services.len();
    match kind.map_or_else(|| source.kind(), Ok)? {
        Kind::Procfile => procfile::read(&source, sheet)?,
        Kind::Supervisord => supervisord::read(&source, sheet)?,
        Kind::ProcessCompose => compose::read(&source, sheet)?,
        Kind::Systemd => unit::read(&source, sheet)?,
    }
    if sheet.services.len() == before {
        return Err(Fault::whole("there is no service in it"));
    }
    Ok(())
}
