//! What a started process finds: signals, descriptors, environment, limits, and how a failed start reads.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Instant};

use thjalfi::StartOptions;

use crate::support::{Hall, executable, script_options, soon, spawn_failure};

/// Runs a script to its end and returns the lines that it told.
async fn told(change: impl FnOnce(&Hall, &mut StartOptions), script: &str) -> Vec<String> {
    let hall = Hall::new();
    let mut facts = hall.facts();
    let mut options = facts.options(&format!("{{ {script}; }} >$FACTS; echo END >$FACTS"));
    change(&hall, &mut options);
    let process = hall
        .loader
        .start_service("sh", options)
        .await
        .expect("starts");
    let mut lines = Vec::new();
    loop {
        match facts.next().await {
            line if line == "END" => break,
            line => lines.push(line),
        }
    }
    soon(process.exited()).await;
    lines
}

#[tokio::test]
async fn signals_are_at_their_defaults_and_not_blocked() {
    // This very test ignores SIGPIPE, as every Rust program does.
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let ignored = own.lines().find_map(|line| line.strip_prefix("SigIgn:\t"));
    let ignored = u64::from_str_radix(ignored.expect("a mask"), 16).unwrap();
    assert_ne!(ignored & (1 << (libc::SIGPIPE - 1)), 0);
    let lines = told(
        |_, _| {},
        "grep -E '^Sig(Ign|Blk)|^ShdPnd' /proc/self/status",
    )
    .await;
    let none = "0000000000000000";
    let expected = [
        format!("ShdPnd:\t{none}"),
        format!("SigBlk:\t{none}"),
        format!("SigIgn:\t{none}"),
    ];
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn no_descriptor_is_leaked() {
    let leaky = fs::File::open("/dev/null").unwrap();
    nix::fcntl::fcntl(
        &leaky,
        nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
    )
    .unwrap();
    // The fact FIFO is descriptor 1 and, saved by the shell, one more; `ls` itself opens the folder.
    let lines = told(
        |_, options| options.args[1] = "for fd in /proc/$$/fd/*; do echo ${fd##*/} $(readlink $fd); done >$FACTS; echo END >$FACTS".to_owned(),
        "",
    )
    .await;
    let foreign: Vec<_> = lines
        .iter()
        .filter(|line| {
            !line.ends_with("/dev/null") && !line.ends_with("/facts") && !line.contains("pipe:")
        })
        .collect();
    assert_eq!(foreign, [""; 0], "{lines:?}");
    let null = lines.iter().filter(|line| line.ends_with("/dev/null"));
    assert!(null.count() <= 3, "{lines:?}");
}

#[tokio::test]
async fn it_leads_a_session_of_its_own_without_input() {
    let lines = told(
        |_, _| {},
        "cut -d' ' -f1,5,6 /proc/$$/stat; readlink /proc/$$/fd/0",
    )
    .await;
    let ids: Vec<_> = lines[0].split(' ').collect();
    assert_eq!((ids[0], ids[0]), (ids[1], ids[2]));
    assert_eq!(lines[1], "/dev/null");
}

#[tokio::test]
async fn the_environment_is_the_daemons_then_the_file_then_the_options() {
    let lines = told(
        |hall, options| {
            let file = hall.path("env");
            fs::write(&file, "# note\nexport A='from file'\nB=from file\n").unwrap();
            options.env_file = Some(file);
            options
                .env_vars
                .insert("B".to_owned(), "from options".to_owned());
        },
        r#"echo "$A"; echo "$B"; echo "${PATH:+inherited}""#,
    )
    .await;
    assert_eq!(lines, ["from file", "from options", "inherited"]);
}

#[tokio::test]
async fn a_clear_environment_has_only_what_was_asked_for() {
    let lines = told(
        |_, options| options.clear_env = true,
        "tr '\\0' '\\n' </proc/$$/environ",
    )
    .await;
    assert!(
        lines
            .iter()
            .all(|line| line.starts_with("FACTS=") || line.starts_with("GLADSHEIM_RUN=")),
        "{lines:?}"
    );
}

#[tokio::test]
async fn folder_umask_and_limits_are_set() {
    let lines = told(
        |hall, options| {
            options.working_dir = Some(hall.folder.path().to_owned());
            options.umask = Some(0o027);
            options.nice = Some(5);
            options.oom_score_adj = Some(500);
            options.no_new_privs = true;
            options.rlimits = vec![("nofile".to_owned(), 321), ("core".to_owned(), 0)];
        },
        "pwd -P; umask; cut -d' ' -f19 /proc/$$/stat; cat /proc/$$/oom_score_adj; \
         ulimit -n; ulimit -c; grep NoNewPrivs /proc/$$/status",
    )
    .await;
    assert!(
        Path::new(&lines[0]).is_absolute() && lines[0].contains("tmp"),
        "{lines:?}"
    );
    assert_eq!(
        lines[1..],
        ["0027", "5", "500", "321", "0", "NoNewPrivs:\t1"]
    );
}

#[tokio::test]
async fn user_and_groups_are_switched_and_capabilities_kept() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: only root can switch users");
        return;
    }
    let lines = told(
        |hall, options| {
            let open = fs::Permissions::from_mode(0o777);
            fs::set_permissions(hall.folder.path(), open.clone()).unwrap();
            fs::set_permissions(hall.path("facts"), open).unwrap();
            options.user = Some("nobody".to_owned());
            options.capabilities = Some(vec!["CAP_NET_BIND_SERVICE".to_owned()]);
        },
        "id -u; id -G; grep -E '^Cap' /proc/$$/status",
    )
    .await;
    let kept = "0000000000000400";
    assert_eq!(lines[0], "65534");
    assert!(!lines[1].split(' ').any(|group| group == "0"), "{lines:?}");
    for line in &lines[2..] {
        assert!(line.ends_with(kept), "{lines:?}");
    }
}

#[tokio::test]
async fn services_keep_the_limit_of_before_when_the_daemon_raises_its_own() {
    let before =
        nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    thjalfi::raise_descriptor_limit().unwrap();
    let lines = told(|_, _| {}, "ulimit -Sn; ulimit -Hn").await;
    assert_eq!(lines, [before.0.to_string(), before.1.to_string()]);
}

#[tokio::test]
async fn a_failed_start_names_stage_path_and_errno_at_once() {
    let hall = Hall::new();
    let missing = hall.path("missing");
    let plain = hall.path("plain");
    fs::write(&plain, "text").unwrap();
    let orphan = hall.path("orphan");
    executable(&orphan, "#!/no/such/interpreter\n");
    let garbage = hall.path("garbage");
    executable(&garbage, "\x7fELFgarbage");
    let folder = hall.path("folder");
    fs::create_dir(&folder).unwrap();
    let service = |path: &Path| (path.to_owned(), StartOptions::default());
    let shell = |change: fn(&mut StartOptions)| {
        let mut options = script_options("true");
        change(&mut options);
        (Path::new("/bin/sh").to_owned(), options)
    };
    let shown = |path: &Path| path.display().to_string();
    let cases = [
        (
            service(&missing),
            format!(
                "exec {}: No such file or directory (ENOENT)",
                shown(&missing)
            ),
        ),
        (
            service(Path::new("no-such-program")),
            "exec no-such-program: No such file or directory (ENOENT); it is not in PATH"
                .to_owned(),
        ),
        (
            service(&plain),
            format!(
                "exec {}: Permission denied (EACCES); no execute bit; chmod +x helps",
                shown(&plain)
            ),
        ),
        (
            service(&folder),
            format!(
                "exec {}: Permission denied (EACCES); it is a directory; name the file",
                shown(&folder)
            ),
        ),
        (
            service(&orphan),
            format!(
                "exec {}: No such file or directory (ENOENT); the file exists, its interpreter does not",
                shown(&orphan)
            ),
        ),
        (
            service(&garbage),
            format!("exec {}: Exec format error (ENOEXEC)", shown(&garbage)),
        ),
        (
            shell(|o| o.working_dir = Some("/no/such".into())),
            "chdir /no/such: No such file or directory (ENOENT)".to_owned(),
        ),
        (
            shell(|o| o.user = Some("no-such-user".into())),
            "user no-such-user: no such user".to_owned(),
        ),
        (
            shell(|o| o.group = Some("no-such-group".into())),
            "group no-such-group: no such group".to_owned(),
        ),
        (
            shell(|o| o.env_file = Some("/no/env".into())),
            "env_file /no/env: No such file or directory (ENOENT)".to_owned(),
        ),
        (
            shell(|o| o.rlimits = vec![("nofiles".into(), 1)]),
            "rlimit nofiles: no such limit".to_owned(),
        ),
        (
            shell(|o| o.rlimits = vec![("nofile".into(), u64::MAX)]),
            "rlimit: Operation not permitted (EPERM)".to_owned(),
        ),
        (
            shell(|o| o.capabilities = Some(vec!["CAP_X".into()])),
            "capabilities CAP_X: no such capability".to_owned(),
        ),
    ];
    for ((path, options), expected) in cases {
        hall.loader
            .set_service_paths([("thor".to_owned(), path)].into());
        let begun = Instant::now();
        let text = spawn_failure(hall.loader.start_service("thor", options).await);
        let taken = begun.elapsed();
        assert_eq!(text, format!("thor: {expected}"));
        assert!(taken.as_millis() < 1000, "{text}: {taken:?}");
        assert!(!hall.loader.is_running("thor"));
    }
}
