//! `cargo xtask codegen`: the committed Rust code and descriptor set from the .proto file.
//!
//! Users of `gladsheim-proto` need no protobuf compiler, and neither do we: protox is one, in
//! Rust. It and the code generator are behind the feature `codegen`, so that the other verbs build
//! quickly; without it, this verb starts itself again with it.

#[cfg(feature = "codegen")]
mod generate;

/// How to generate.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Change nothing; fail if what is committed differs
    #[arg(long)]
    pub(crate) check: bool,
}

/// Starts this verb again in an xtask that has the compiler.
#[cfg(not(feature = "codegen"))]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    use crate::command::{self, cargo};

    let mut again = cargo([
        "run",
        "--quiet",
        "--package=xtask",
        "--features=codegen",
        "--",
    ]);
    again.arg("codegen").args(args.check.then_some("--check"));
    command::run(&mut again)
}

/// Generates, or compares with what is committed.
#[cfg(feature = "codegen")]
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let proto_crate = crate::command::root().join("crates/gladsheim-proto");
    let files = generate::generate(&proto_crate.join("proto"), "gladsheim/v1/gladsheim.proto")?;
    let folder = proto_crate.join("src/generated");
    if args.check {
        files.check(&folder)
    } else {
        files.write(&folder)
    }
}
