//! Flags of logging and crash dumps (flags.md section 9).
//! Data only; `crate::logging` reads the ones that act, the others are marked as accepted.

use crate::flags::{FlagDef, FlagTable, Value};

/// Logging and crash dumps (flags.md section 9).
pub static LOGGING: FlagTable = FlagTable {
    file: "util/logging",
    flags: &[
        FlagDef::int32(
            "v",
            0,
            "Verbosity: 1 connections and ids, 2 RPC clients, 3 each scheduled message.",
        )
        .glog(),
        FlagDef::string(
            "vmodule",
            "",
            "Verbosity per module: a list of pattern=level.",
        )
        .glog(),
        FlagDef::int32(
            "minloglevel",
            0,
            "Messages below this severity are dropped: 0 INFO, 1 WARNING, 2 ERROR, 3 FATAL.",
        )
        .glog()
        .checked(is_severity),
        FlagDef::bool(
            "logtostderr",
            false,
            "Log to standard error instead of files. No effect while redirect_stdout_stderr is \
             true.",
        )
        .glog(),
        FlagDef::bool(
            "alsologtostderr",
            false,
            "Log to standard error as well as to files. No effect while redirect_stdout_stderr \
             is true.",
        )
        .glog(),
        FlagDef::int32(
            "stderrthreshold",
            2,
            "Severity from which messages are copied to standard error.",
        )
        .glog()
        .accepted(),
        FlagDef::string("log_dir", "", "Folder of the log files; empty: /tmp.").glog(),
        FlagDef::string(
            "log_filename",
            "",
            "Name of the links to the current log files; empty: the program's name.",
        ),
        FlagDef::int32(
            "logbuflevel",
            0,
            "Messages up to this severity are buffered; -1: none.",
        )
        .glog(),
        FlagDef::int32(
            "logbufsecs",
            30,
            "Seconds for which messages are buffered at most.",
        )
        .glog(),
        FlagDef::uint32(
            "max_log_size",
            1800,
            "A log file larger than this many MB is replaced by a new one.",
        )
        .glog(),
        FlagDef::int32(
            "max_log_files",
            10,
            "Log files kept per severity; 1 or less keeps all.",
        ),
        FlagDef::bool(
            "log_rotation_match_pid",
            false,
            "Remove only log files of this process.",
        ),
        FlagDef::bool(
            "log_prefix",
            true,
            "Start each line with severity, time, thread and place.",
        )
        .glog(),
        FlagDef::bool("log_year_in_prefix", true, "Show the year in that prefix.").glog(),
        FlagDef::string("log_link", "", "Folder of further links to log files.")
            .glog()
            .accepted(),
        FlagDef::string(
            "log_backtrace_at",
            "",
            "file:line of a message to log a stack with.",
        )
        .glog()
        .accepted(),
        FlagDef::bool(
            "stop_logging_if_full_disk",
            false,
            "On a full disk try again only every logbufsecs.",
        )
        .glog(),
        FlagDef::bool(
            "colorlogtostderr",
            false,
            "Colour messages on standard error.",
        )
        .glog()
        .accepted(),
        FlagDef::bool(
            "log_utc_time",
            false,
            "Use UTC in log lines and file names.",
        )
        .glog(),
        FlagDef::bool(
            "redirect_stdout_stderr",
            true,
            "Send standard output to the INFO file and standard error to the ERROR file.",
        ),
        FlagDef::string("redaction_rules_file", "", "Rules for hiding text in logs.").accepted(),
        FlagDef::bool("enable_minidumps", true, "Write minidumps on crashes.").accepted(),
        FlagDef::string("minidump_path", "minidumps", "Folder of minidumps.").accepted(),
        FlagDef::int32("max_minidumps", 9, "Minidumps kept.").accepted(),
        FlagDef::int32("minidump_size_limit_hint_kb", 20_480, "Size of a minidump.").accepted(),
    ],
};

fn is_severity(value: &Value) -> bool {
    matches!(value, Value::Int32(0..=3))
}
