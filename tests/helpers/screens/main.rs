//! Takes the pictures of `docs/img`: the demo hall in a real terminal.
//!
//! ```sh
//! cargo run -p gladsheim-tests --bin gladsheim-screens
//! ```
//!
//! (Build the package first: the program under test has to lie beside this one.) Needs tmux, and the ports of the
//! demo hall.

#![expect(
    clippy::expect_used,
    reason = "a picture that cannot be taken is told, and nothing else is to be done"
)]

mod svg;

use std::{env, fs, path::Path};

use gladsheim_tests::{Terminal, TestDaemon, in_shell};

/// As many columns as the first page has room for.
const COLUMNS: u16 = 100;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let demo = fs::read_to_string(root.join("examples/demo/gladsheim.toml")).expect("is there");
    let hall = TestDaemon::prepare(&demo);
    let save = |name: &str, title: &str, screen: &str| {
        let picture = svg::picture(title, screen, COLUMNS.into());
        fs::write(root.join("docs/img").join(format!("{name}.svg")), picture).expect("is written");
    };
    let terminal = |command: &str, rows: u16| {
        let script = format!(
            "say() {{ printf '\\033[1m$ gladsheim %s\\033[0m\\n' \"$1\"; }}; trap : INT; {command}; \
             exec sleep 1000"
        );
        let shell = in_shell(&script, &hall.command());
        Terminal::run(&shell, (COLUMNS, rows)).expect("tmux is installed")
    };

    let up = terminal("say up; \"$@\" up", 26);
    up.wait_for("loki to crash and to come back", |screen| {
        let crashed = screen.find("loki: restarting");
        crashed.is_some_and(|at| screen[at..].contains("loki: started"))
    });
    save("up", "gladsheim up", &up.colored());

    let top = terminal("\"$@\" top", 26);
    top.wait_for_text(&["loki"]);
    top.press(&["Down"]);
    // Lines of samples, and a crash more.
    top.wait_for("samples", |screen| {
        let row = screen.lines().find(|line| line.starts_with("thor "));
        row.is_some_and(|row| row.contains("██████")) && screen.contains("restarting")
    });
    save("top", "gladsheim top", &top.colored());
    top.press(&["q"]);

    let status = terminal(
        "say status; \"$@\" status; echo; say 'status thor'; \"$@\" status thor",
        50,
    );
    status.wait_for_text(&["HISTORY", "OUTPUT"]);
    save("status", "gladsheim status", &status.colored());

    up.press(&["C-c"]);
    up.wait_for_text(&["all services are stopped"]);
}
