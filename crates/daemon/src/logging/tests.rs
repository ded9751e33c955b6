//! The log on a real file system: names, links, severities, rotation, trouble.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use super::*;

fn config(dir: &Path) -> LogConfig {
    LogConfig {
        program: "prog".to_owned(),
        host: "host".to_owned(),
        dir: dir.to_owned(),
        link_name: "link".to_owned(),
        stderr_only: false,
        also_stderr: false,
        redirect: false,
        verbosity: 0,
        vmodule: String::new(),
        min_severity: 0,
        buffer_level: -1,
        buffer_time: Duration::from_secs(30),
        max_size: 1 << 20,
        max_files: 10,
        match_pid: false,
        prefix: true,
        year: true,
        utc: false,
        rest_when_full: false,
    }
}

fn with<R>(config: &LogConfig, body: impl FnOnce(&Logging) -> R) -> R {
    let logging = Logging::open(config).unwrap();
    let done = tracing::subscriber::with_default(logging.subscriber(), || body(&logging));
    logging.flush();
    done
}

/// The name of the next file differs only when the second does.
fn write_until_rotated(logging: &Logging, first: &Path) {
    let start = Instant::now();
    while logging.info_file().is_some_and(|now| now == first) {
        assert!(start.elapsed() < Duration::from_secs(20), "no rotation");
        tracing::info!("a line that is long enough to fill the file before long");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn read(dir: &Path, link: &str) -> String {
    fs::read_to_string(dir.join(link)).unwrap_or_default()
}

#[test]
fn a_message_goes_to_its_own_file_and_all_lower_ones() {
    let dir = tempfile::tempdir().unwrap();
    with(&config(dir.path()), |_| {
        tracing::info!("one");
        tracing::warn!(peer = "a:1", n = 3, "two");
        tracing::error!("three");
    });
    let count = |link| read(dir.path(), link).lines().count();
    assert_eq!(
        (
            count("link.INFO"),
            count("link.WARNING"),
            count("link.ERROR")
        ),
        (3, 2, 1)
    );
    assert!(!dir.path().join("link.FATAL").exists());
    assert!(read(dir.path(), "link.WARNING").contains("] two peer=a:1 n=3\n"));
}

#[test]
fn the_file_name_has_program_host_user_severity_time_and_pid() {
    let dir = tempfile::tempdir().unwrap();
    let path = with(&config(dir.path()), |logging| logging.info_file().unwrap());
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    assert_eq!(
        fs::read_link(dir.path().join("link.INFO"))
            .unwrap()
            .to_str(),
        Some(&*name)
    );
    let parts: Vec<_> = name.split('.').collect();
    assert_eq!(
        (parts[0], parts[1], parts[3], parts[4]),
        ("prog", "host", "log", "INFO")
    );
    assert_eq!(parts[5].len(), "20260131-235959".len());
    assert_eq!(parts[6], std::process::id().to_string());
}

#[test]
fn verbosity_decides_on_debug_and_trace_and_can_change_at_run_time() {
    let dir = tempfile::tempdir().unwrap();
    with(&config(dir.path()), |logging| {
        for level in [0, 1, 3, 0] {
            logging.set_verbosity(level);
            tracing::debug!("debug at {level}");
            tracing::trace!("trace at {level}");
        }
        assert_eq!((logging.verbosity(), logging.initial_verbosity()), (0, 0));
    });
    let text = read(dir.path(), "link.INFO");
    let seen: Vec<_> = text
        .lines()
        .map(|line| line.split("] ").nth(1).unwrap())
        .collect();
    assert_eq!(seen, ["debug at 1", "debug at 3", "trace at 3"]);
}

#[test]
fn messages_below_the_least_severity_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    with(
        &LogConfig {
            min_severity: 2,
            ..config(dir.path())
        },
        |_| {
            tracing::warn!("no");
            tracing::error!("yes");
        },
    );
    assert!(read(dir.path(), "link.INFO").ends_with("] yes\n"));
    assert_eq!(read(dir.path(), "link.INFO").lines().count(), 1);
}

#[test]
fn buffered_messages_appear_with_the_next_urgent_one_or_a_flush() {
    let dir = tempfile::tempdir().unwrap();
    with(
        &LogConfig {
            buffer_level: 0,
            ..config(dir.path())
        },
        |logging| {
            tracing::info!("waits");
            assert_eq!(read(dir.path(), "link.INFO"), "");
            tracing::warn!("urgent");
            let start = Instant::now();
            while read(dir.path(), "link.INFO").lines().count() < 2 {
                assert!(start.elapsed() < Duration::from_secs(20), "not written");
                std::thread::sleep(Duration::from_millis(1));
            }
            tracing::info!("waits again");
            logging.flush();
            assert_eq!(read(dir.path(), "link.INFO").lines().count(), 3);
        },
    );
}

#[test]
fn a_full_file_is_replaced_and_only_the_newest_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let user = with(&config(dir.path()), |logging| {
        let path = logging.info_file().unwrap();
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .split('.')
            .nth(2)
            .unwrap()
            .to_owned()
    });
    let old = |n: u32| {
        dir.path()
            .join(format!("prog.host.{user}.log.INFO.20200101-00000{n}.1"))
    };
    (0..5).for_each(|n| fs::write(old(n), "old").unwrap());
    let config = LogConfig {
        max_size: 100,
        max_files: 3,
        ..config(dir.path())
    };
    with(&config, |logging| {
        let first = logging.info_file().unwrap();
        write_until_rotated(logging, &first);
        let link = fs::read_link(dir.path().join("link.INFO")).unwrap();
        assert_eq!(
            Some(link.as_os_str()),
            logging.info_file().unwrap().file_name()
        );
    });
    assert!(!old(0).exists() && !old(3).exists(), "the oldest are gone");
    let files = fs::read_dir(dir.path()).unwrap().filter_map(|e| e.ok());
    let files = files.filter(|e| e.file_name().to_str().unwrap().contains(".log.INFO."));
    assert_eq!(files.count(), 3);
}

#[test]
fn files_of_other_processes_are_spared_on_request() {
    let dir = tempfile::tempdir().unwrap();
    let config = LogConfig {
        max_files: 2,
        match_pid: true,
        ..config(dir.path())
    };
    let name = with(&config, |l| {
        l.info_file().unwrap().to_str().unwrap().to_owned()
    });
    let stem = name.split(".log.").next().unwrap().to_owned();
    for n in 1..4 {
        fs::write(format!("{stem}.log.INFO.20200101-00000{n}.999999999"), "").unwrap();
        fs::write(
            format!("{stem}.log.INFO.20200101-00000{n}.{}", std::process::id()),
            "",
        )
        .unwrap();
    }
    fs::remove_file(&name).unwrap();
    with(&config, |_| {});
    let files = fs::read_dir(dir.path())
        .unwrap()
        .filter_map(|e| e.ok()?.file_name().into_string().ok());
    let (mut ours, mut others) = (0, 0);
    for file in files.filter(|file| file.contains(".log.INFO.")) {
        if file.ends_with(".999999999") {
            others += 1
        } else {
            ours += 1
        }
    }
    assert_eq!((ours, others), (2, 3));
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_that_names_it() {
    let error = Logging::open(&config(Path::new("/nonexistent/dir"))).unwrap_err();
    let error = error.to_string();
    let named = "Could not open file in log_dir /nonexistent/dir: No such file";
    assert!(error.starts_with(named), "{error}");
}

#[test]
fn a_log_that_cannot_be_written_costs_lines_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    with(&config, |logging| {
        // Every write to this device fails with "no space left".
        fs::remove_file(logging.info_file().unwrap()).unwrap();
        let full = std::fs::OpenOptions::new()
            .append(true)
            .open("/dev/full")
            .unwrap();
        logging.sinks().replace_info_for_test(full);
        tracing::info!("lost");
        tracing::info!("lost too");
        logging.flush();
        assert_eq!(logging.sinks().lost_lines_for_test(), 2);
    });
}

#[test]
fn a_log_that_hangs_delays_nobody_who_logs() {
    let dir = tempfile::tempdir().unwrap();
    with(&config(dir.path()), |logging| {
        // A pipe that nobody reads: the first 64 KiB go in, then a write waits.
        let (reader, writer) = std::io::pipe().unwrap();
        let pipe = std::fs::File::from(std::os::fd::OwnedFd::from(writer));
        logging.sinks().replace_info_for_test(pipe);
        let long = "x".repeat(20_000);
        // More than waits in memory: it would never end if it waited for the pipe.
        (0..1000).for_each(|_| tracing::info!("{long}"));
        drop(reader);
        logging.flush();
        let lost = logging.sinks().lost_lines_for_test();
        assert!(lost > 500, "{lost} lines had no room");
    });
}

#[test]
fn after_a_full_disk_it_can_rest_before_it_tries_again() {
    // flags.md section 9: stop_logging_if_full_disk
    let lost = |rest_when_full| {
        let dir = tempfile::tempdir().unwrap();
        let config = LogConfig {
            rest_when_full,
            ..config(dir.path())
        };
        with(&config, |logging| {
            let open = |path: &Path| std::fs::OpenOptions::new().append(true).open(path).unwrap();
            let replace = |file| logging.sinks().replace_info_for_test(file);
            replace(open(Path::new("/dev/full")));
            tracing::info!("lost");
            logging.flush();
            replace(open(&logging.info_file().unwrap()));
            tracing::info!("written unless resting");
            logging.flush();
            logging.sinks().lost_lines_for_test()
        })
    };
    assert_eq!((lost(false), lost(true)), (1, 2));
}

/// Logs until the console is told of something.
fn told(logging: &Logging, console: &Path) -> String {
    let file = fs::File::create(console).unwrap();
    lock(&logging.shared.console).replace_for_test(file);
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < Duration::from_secs(20), "nothing is told");
        tracing::info!("a line that is long enough to fill the file before long");
        std::thread::sleep(Duration::from_millis(20));
        let told = fs::read_to_string(console).unwrap();
        if told.ends_with('\n') {
            return told;
        }
    }
}

#[test]
fn a_folder_that_is_gone_is_told_of_and_used_again_once_it_is_back() {
    // Whether the file in use is full or not.
    for max_size in [100, 1 << 20] {
        let dir = tempfile::tempdir().unwrap();
        let logs = dir.path().join("logs");
        fs::create_dir(&logs).unwrap();
        let config = LogConfig {
            max_size,
            ..config(&logs)
        };
        with(&config, |logging| {
            let first = logging.info_file().unwrap();
            fs::remove_dir_all(&logs).unwrap();
            let told = told(logging, &dir.path().join("console"));
            let named = format!("WARNING: the log in --log_dir={} cannot", logs.display());
            assert!(told.starts_with(&named), "{told}");
            assert!(told.contains(" be rotated: No such file"), "{told}");
            assert_eq!(told.lines().count(), 1, "{told}");
            fs::create_dir(&logs).unwrap();
            write_until_rotated(logging, &first);
        });
        assert!(read(&logs, "link.INFO").contains("long enough"));
    }
}

#[test]
fn a_link_in_the_way_of_a_log_file_is_not_followed() {
    let dir = tempfile::tempdir().unwrap();
    let path = with(&config(dir.path()), |logging| logging.info_file().unwrap());
    let victim = dir.path().join("victim");
    fs::write(&victim, "").unwrap();
    // The next file may be opened in the same second or in one of the next.
    let name = path.file_name().unwrap().to_str().unwrap().to_owned();
    let now = jiff::Zoned::now();
    for second in 0..20 {
        let time = now
            .checked_add(jiff::SignedDuration::from_secs(second))
            .unwrap();
        let time = time.strftime("%Y%m%d-%H%M%S").to_string();
        let parts: Vec<_> = name.split('.').collect();
        let planted = [
            parts[0], parts[1], parts[2], parts[3], parts[4], &time, parts[6],
        ]
        .join(".");
        let _ = fs::remove_file(dir.path().join(&planted));
        std::os::unix::fs::symlink(&victim, dir.path().join(&planted)).unwrap();
    }
    assert!(Logging::open(&config(dir.path())).is_err());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "");
}

#[test]
fn stderr_settings_yield_to_redirection() {
    // flags.md section 9: logtostderr has no effect while redirect_stdout_stderr is true.
    use crate::flags::{Outcome, Program, tables};
    let parse = |args: &[&str]| {
        let program = Program {
            name: "p",
            usage: "",
            version: "",
            tables: &[&tables::LOGGING],
        };
        let args: Vec<_> = args.iter().map(|&a| a.to_owned()).collect();
        let Outcome::Run(flags) = program.parse(&args, &|_| None, &|_| unreachable!()) else {
            panic!("rejected")
        };
        LogConfig::from_flags(&flags, "p", "h")
    };
    assert!(!parse(&["--logtostderr"]).stderr_only);
    assert!(parse(&["--logtostderr", "--noredirect_stdout_stderr"]).stderr_only);
    let default = parse(&[]);
    assert_eq!(
        (default.dir.to_str(), &*default.link_name),
        (Some("/tmp"), "p")
    );
    assert_eq!(default.max_size, 1800 << 20);
}
