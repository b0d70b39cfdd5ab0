//! What holds in every `.rs` file, read as tokens: text in comments and strings breaks no rule.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

use super::Violation;

/// One room, one subject.
const MAX_LINES: usize = 500;

/// All Rust files under a folder, generated and built ones left out, in order.
pub(super) fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with('.') || name == "target" || name == "generated" {
                continue;
            }
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else if name.ends_with(".rs") {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Checks one source file.
pub(super) fn check(path: &Path, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    if path.ends_with("mod.rs") {
        let message = "no `mod.rs`: a module is called like its file";
        violations.push(Violation::new(path, "names", message));
    }
    if path
        .iter()
        .any(|name| name == "utils" || name == "utils.rs")
    {
        let message = "no `utils`: a module is called after its subject";
        violations.push(Violation::new(path, "names", message));
    }
    if !text.starts_with("//!") {
        let message = "must open with `//!`: what is this file about?";
        violations.push(Violation::new(path, "docs", message));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        let message = format!("{lines} lines are more than {MAX_LINES}: one room, or several?");
        violations.push(Violation::new(path, "length", message));
    }
    match text.parse::<TokenStream>() {
        Ok(tokens) => Scan {
            path,
            violations: &mut violations,
        }
        .tokens(tokens),
        Err(error) => violations.push(Violation::new(path, "syntax", error.to_string())),
    }
    violations
}

/// The walk over a file's tokens.
struct Scan<'a> {
    path: &'a Path,
    violations: &'a mut Vec<Violation>,
}

impl Scan<'_> {
    fn tokens(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    tokens.next_if(is_bang);
                    if let Some(TokenTree::Group(group)) = tokens.peek()
                        && group.delimiter() == Delimiter::Bracket
                    {
                        self.attribute(group.stream());
                        tokens.next();
                    }
                }
                TokenTree::Ident(name) if tokens.peek().is_some_and(is_bang) => {
                    if name == "todo" || name == "unimplemented" {
                        self.report(&token, "finished", format!("no `{name}!`: finish it"));
                    }
                }
                TokenTree::Ident(name) if name == "mod" => {
                    if let Some(TokenTree::Ident(name)) = tokens.peek()
                        && name == "utils"
                    {
                        self.report(&token, "names", "no `utils`: name the subject".to_owned());
                    }
                }
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// What stands between the brackets, `cfg_attr(…, …)` included.
    fn attribute(&mut self, tokens: TokenStream) {
        let mut tokens = tokens.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match &token {
                TokenTree::Ident(name) if name == "cfg_attr" => {
                    if let Some(TokenTree::Group(group)) = tokens.next() {
                        self.attribute(group.stream());
                    }
                }
                TokenTree::Ident(name) if name == "ignore" => {
                    let message =
                        "no `#[ignore]`: a test runs, or says why this host cannot run it";
                    self.report(&token, "tests", message.to_owned());
                }
                TokenTree::Ident(name) if name == "allow" => {
                    let message = "no `#[allow]`: use `#[expect(…, reason = \"…\")]`";
                    self.report(&token, "lints", message.to_owned());
                }
                TokenTree::Group(_)
                | TokenTree::Ident(_)
                | TokenTree::Punct(_)
                | TokenTree::Literal(_) => {}
            }
        }
    }

    fn report(&mut self, token: &TokenTree, rule: &'static str, message: String) {
        let place = format!("{}:{}", self.path.display(), token.span().start().line);
        self.violations.push(Violation {
            place,
            rule,
            message,
        });
    }
}

/// A `!` that is not the start of `!=`.
fn is_bang(token: &TokenTree) -> bool {
    matches!(token, TokenTree::Punct(p) if p.as_char() == '!' && p.spacing() == Spacing::Alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules that a file breaks, each with the line where one is known.
    fn broken(path: &str, text: &str) -> Vec<String> {
        let violations = check(Path::new(path), text).into_iter();
        violations
            .map(|v| v.place.replacen(path, v.rule, 1))
            .collect()
    }

    fn broken_in(code: &str) -> Vec<String> {
        broken("src/lib.rs", &format!("//! Docs.\n{code}"))
    }

    #[test]
    fn a_file_may_mention_in_comments_and_strings_what_it_must_not_do() {
        let code = "
            // No todo!() here, and no #[ignore].
            /// Nor `#[allow(x)]`.
            #[expect(unsafe_code, reason = \"allow, ignore\")]
            fn f(ignore: bool) -> &'static str { if !ignore { \"unimplemented!()\" } else { \"\" } }
            #[serde(default)] struct S { allow: bool, todo: bool }
            fn g(s: &S) -> bool { s.todo != s.allow }";
        assert_eq!(broken_in(code), [""; 0]);
    }

    #[test]
    fn unfinished_code_is_reported_inside_macros_too() {
        assert_eq!(broken_in("fn f() { todo!() }"), ["finished:2"]);
        assert_eq!(
            broken_in("m! {\n f() => unimplemented!(\"later\"),\n}"),
            ["finished:3"]
        );
    }

    #[test]
    fn ignored_tests_and_allowed_lints_are_reported_behind_conditions_too() {
        assert_eq!(
            broken_in("#[test]\n#[ignore = \"slow\"]\nfn t() {}"),
            ["tests:3"]
        );
        assert_eq!(
            broken_in("#[cfg_attr(miri, ignore)]\nfn t() {}"),
            ["tests:2"]
        );
        assert_eq!(broken_in("#![allow(dead_code)]"), ["lints:2"]);
        assert_eq!(
            broken_in("#[cfg_attr(test, allow(dead_code))]\nfn f() {}"),
            ["lints:2"]
        );
    }

    #[test]
    fn a_file_without_docs_is_reported() {
        assert_eq!(broken("src/a.rs", "fn f() {}"), ["docs"]);
    }

    #[test]
    fn forbidden_names_are_reported() {
        assert_eq!(broken("src/a/mod.rs", "//! A.\n"), ["names"]);
        assert_eq!(broken("src/utils.rs", "//! A.\n"), ["names"]);
        assert_eq!(broken("src/utils/a.rs", "//! A.\n"), ["names"]);
        assert_eq!(broken_in("mod utils { }"), ["names:2"]);
    }

    #[test]
    fn a_file_of_more_than_five_hundred_lines_is_reported() {
        assert_eq!(broken_in(&"\n".repeat(MAX_LINES - 1)), [""; 0]);
        assert_eq!(broken_in(&"\n".repeat(MAX_LINES)), ["length"]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_reported() {
        assert_eq!(broken_in("fn f( {"), ["syntax"]);
    }
}
