//! The compiler run itself: from a folder of .proto files to the two generated files.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

/// The generated files of one .proto package: names and contents.
#[derive(Debug)]
pub(super) struct Generated {
    /// The package, such as `gladsheim.v1`: the stem of both files' names.
    package: String,
    /// Messages, client and server.
    code: String,
    /// The descriptor set, imports included, for gRPC server reflection.
    descriptors: Vec<u8>,
}

/// Compiles a .proto file, named relative to the folder against which its imports are resolved.
pub(super) fn generate(protos: &Path, file: &str) -> anyhow::Result<Generated> {
    let mut compiler = protox::Compiler::new([protos])?;
    // Comments become doc comments in the code, but only weight in the descriptor set.
    compiler
        .include_source_info(true)
        .include_imports(true)
        .open_file(file)?;
    let described = compiler.file_descriptor_set();
    let descriptors = protox::Compiler::new([protos])?
        .include_source_info(false)
        .include_imports(true)
        .open_file(file)?
        .encode_file_descriptor_set();
    let package = described
        .file
        .iter()
        .find(|described| described.name() == file)
        .map(|described| described.package().to_owned())
        .with_context(|| format!("{file} is missing from its own descriptor set"))?;

    let folder = tempfile::tempdir()?;
    tonic_prost_build::configure()
        // Which transport to speak over is the caller's choice, not the contract's.
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .out_dir(folder.path())
        .compile_fds(described)?;
    let code = folder.path().join(format!("{package}.rs"));
    format(&code)?;
    let code = fs::read_to_string(&code).with_context(|| format!("no {}", code.display()))?;
    Ok(Generated {
        package,
        code,
        descriptors,
    })
}

/// The code generator's own layout is not rustfmt's, and `cargo fmt` sees the file too.
fn format(code: &Path) -> anyhow::Result<()> {
    let config = crate::command::root();
    let status = Command::new("rustfmt")
        .args(["--edition=2024", "--config-path"])
        .args([&config, code])
        .stdin(Stdio::null())
        .status()
        .context("cannot run rustfmt")?;
    if !status.success() {
        bail!("rustfmt failed on the generated code: {status}");
    }
    Ok(())
}

impl Generated {
    fn files(&self) -> [(String, &[u8]); 2] {
        [
            (format!("{}.rs", self.package), self.code.as_bytes()),
            (format!("{}.bin", self.package), &self.descriptors),
        ]
    }

    /// Writes what differs.
    pub(super) fn write(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder)?;
        for (name, contents) in self.files() {
            let path = folder.join(name);
            if fs::read(&path).is_ok_and(|committed| committed == contents) {
                continue;
            }
            fs::write(&path, contents)
                .with_context(|| format!("cannot write {}", path.display()))?;
            println!("wrote {}", path.display());
        }
        Ok(())
    }

    /// Fails with the names of the files that differ.
    pub(super) fn check(&self, folder: &Path) -> anyhow::Result<()> {
        let stale: Vec<_> = self
            .files()
            .into_iter()
            .map(|(name, contents)| (folder.join(name), contents))
            .filter(|(path, contents)| {
                !fs::read(path).is_ok_and(|committed| committed == *contents)
            })
            .map(|(path, _)| path.display().to_string())
            .collect();
        if !stale.is_empty() {
            bail!(
                "out of date, run `cargo xtask codegen`: {}",
                stale.join(", ")
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROTO: &str = r#"
        syntax = "proto3";
        package hall.v1;
        import "google/protobuf/empty.proto";
        service Hall {
          // Says that it is there.
          rpc Hail(HailRequest) returns (google.protobuf.Empty);
        }
        message HailRequest { string name = 1; }
    "#;

    fn hall() -> (tempfile::TempDir, Generated) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("hall.proto"), PROTO).expect("is written");
        let generated = generate(folder.path(), "hall.proto").expect("compiles");
        (folder, generated)
    }

    #[test]
    fn client_and_server_are_generated_with_their_comments() {
        let (_folder, generated) = hall();
        assert_eq!(generated.package, "hall.v1");
        for part in [
            "pub mod hall_client",
            "pub mod hall_server",
            "Says that it is there.",
        ] {
            assert!(
                generated.code.contains(part),
                "no `{part}` in\n{}",
                generated.code
            );
        }
    }

    #[test]
    fn code_that_was_just_written_is_up_to_date_until_somebody_edits_it() {
        let (folder, generated) = hall();
        generated
            .check(folder.path())
            .expect_err("nothing is there yet");
        generated.write(folder.path()).expect("is written");
        generated.check(folder.path()).expect("is up to date");

        fs::write(folder.path().join("hall.v1.bin"), "edited").expect("is written");
        let error = generated
            .check(folder.path())
            .expect_err("one file differs")
            .to_string();
        assert!(
            error.contains("hall.v1.bin") && !error.contains("hall.v1.rs"),
            "{error}"
        );
    }
}
