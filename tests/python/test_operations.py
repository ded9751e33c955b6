"""The process: flags, exit codes, ports, signals, logs (flags.md sections 6 and 9 to 11)."""

import os
import re
import signal
import socket
import time

import pytest

from fake_subscriber import LIMIT, item
from statestored import ALWAYS, Statestored, eventually, free_port, run

UNKNOWN = "ERROR: unknown command line flag '{}'"
ILLEGAL = "ERROR: illegal value '{}' specified for {} flag '{}'"
FAILED = "ERROR: failed validation of new value '{}' for flag '{}'"
NOT_BOOL = "ERROR: boolean value ({}) specified for {} command line flag"

ERRORS = [
    (["--no_such_flag=1"], UNKNOWN.format("no_such_flag")),
    (["-also_none"], UNKNOWN.format("also_none")),
    (["--noperhaps"], UNKNOWN.format("noperhaps")),
    (["--state_store_port=x"], ILLEGAL.format("x", "int32", "state_store_port")),
    (["--state_store_port="], ILLEGAL.format("", "int32", "state_store_port")),
    (["--state_store_port=24000 "], ILLEGAL.format("24000 ", "int32", "state_store_port")),
    (["--state_store_port=2147483648"],
     ILLEGAL.format("2147483648", "int32", "state_store_port")),
    (["--catalogd_ha_preemption_wait_period_ms=1.5"],
     ILLEGAL.format("1.5", "int64", "catalogd_ha_preemption_wait_period_ms")),
    (["--heartbeat_monitoring_frequency_ms=soon"],
     ILLEGAL.format("soon", "double", "heartbeat_monitoring_frequency_ms")),
    (["--enable_catalogd_ha=maybe"], ILLEGAL.format("maybe", "bool", "enable_catalogd_ha")),
    (["--nostate_store_port"], NOT_BOOL.format("nostate_store_port", "int32")),
    (["--state_store_port=65536"], FAILED.format("65536", "state_store_port")),
    (["--ssl_minimum_version=tlsv9"], FAILED.format("tlsv9", "ssl_minimum_version")),
    (["--log_dir"], "ERROR: flag '--log_dir' is missing its argument; flag description: "),
    (["--fromenv=state_store_port"], "ERROR: FLAGS_state_store_port not found in environment"),
]


@pytest.mark.parametrize(("words", "message"), ERRORS, ids=[words[0] for words, _ in ERRORS])
def test_a_bad_flag_is_named_on_stderr_with_exit_code_1(words, message):
    """flags.md section 11."""
    code, stdout, stderr = run(*words)
    assert (code, stdout) == (1, "")
    lines = stderr.splitlines()
    assert len(lines) == 1, stderr
    assert lines[0].startswith(message)


def test_a_flagfile_takes_effect_where_it_stands(statestored, tmp_path):
    """flags.md section 11: comments, patterns of program names, unknown flags, order."""
    flagfile = tmp_path / "flags"
    flagfile.write_text("# a comment\n\n  --statestore_max_missed_heartbeats=7\n"
                        "--an_impala_flag_nobody_knows=3\n--enable_catalogd_ha\n"
                        "--statestore_heartbeat_frequency_ms=123\n"
                        "impalad catalogd\n--statestore_max_missed_heartbeats=99\n"
                        "state*\n--statestore_max_subscribers=0x40\n")
    daemon = statestored("--statestore_heartbeat_frequency_ms=1", f"--flagfile={flagfile}",
                         "--statestore_heartbeat_frequency_ms=456", quick=False)
    current = {row["name"]: row["current"] for row in daemon.json("/varz")["flags"]}
    assert current["statestore_max_missed_heartbeats"] == "7"
    assert current["enable_catalogd_ha"] == "true"
    assert current["statestore_max_subscribers"] == "64"
    assert current["statestore_heartbeat_frequency_ms"] == "456"


def test_a_missing_flagfile_is_named(tmp_path):
    """flags.md section 11."""
    code, _, stderr = run(f"--flagfile={tmp_path}/none")
    assert code == 1 and stderr.startswith(f"{tmp_path}/none: No such file")


def test_flags_come_from_the_environment_too(tmp_path):
    """flags.md sections 9 and 11: --fromenv, --tryfromenv, GLOG_; --undefok."""
    code, _, stderr = run("--fromenv=state_store_port", env={"FLAGS_state_store_port": "y"})
    assert code == 1 and stderr == ILLEGAL.format("y", "int32", "state_store_port") + "\n"
    words = ("--undefok=foo,bar", "--foo=1", "--tryfromenv=statestore_max_subscribers")
    daemon = Statestored(tmp_path / "glog", {}, words, env={"GLOG_v": "2"}).ready()
    current = {row["name"]: row["current"] for row in daemon.json("/varz")["flags"]}
    assert daemon.stop() == 0
    assert (current["v"], current["statestore_max_subscribers"]) == ("2", "10000")


def test_help_and_version_go_to_stdout():
    """flags.md section 11: help ends with 1, the version with 0."""
    for word in ("--help", "--helpfull", "--helpshort", "--helpmatch=statestore", "--helpxml"):
        code, stdout, stderr = run(word)
        assert (code, stderr) == (1, ""), word
        assert "state_store_port" in stdout, word
    code, stdout, stderr = run("--version")
    assert (code, stderr) == (0, "")
    assert re.fullmatch(r"statestored version \S+ (RELEASE|DEBUG) \(build .+\)\nBuilt on .+\n",
                        stdout)


@pytest.mark.parametrize("redirect", ["true", "false"])
@pytest.mark.parametrize("flag", ["state_store_port", "webserver_port"])
def test_a_second_one_on_the_same_port_names_the_port(statestored, tmp_path, flag, redirect):
    """flags.md section 9: one clear line on the terminal, not zero, and the first lives on."""
    first = statestored()
    port = first.port if flag == "state_store_port" else first.web
    code, _, stderr = run(**{**ALWAYS, "log_dir": tmp_path, "redirect_stdout_stderr": redirect,
                             flag: port})
    assert code not in (0, None)
    assert [line for line in stderr.splitlines() if str(port) in line and "in use" in line]
    assert first.http("/healthz")[0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_code_0_whatever_hangs(statestored, subscriber, number):
    """flags.md section 9: with subscribers, open connections and a call that has 300 s to end."""
    daemon = statestored()
    a = subscriber(None, "a", "t")
    a.always(lambda call, fake: call.wait(fake._stopped) and None, "UpdateState")
    daemon.register(a)
    a.await_calls(1, "UpdateState")
    with socket.create_connection(("127.0.0.1", daemon.port), 10), \
            socket.create_connection(("127.0.0.1", daemon.web), 10):
        daemon.signal(number)
        assert daemon.process.wait(LIMIT) == 0
    assert f"Caught signal: {number.name}. Daemon will exit." in daemon.log()


def test_a_log_dir_that_cannot_be_written_ends_the_start(tmp_path):
    """flags.md section 9: the folder is named, exit code 1."""
    file = tmp_path / "a-file"
    file.write_text("")
    for folder in (tmp_path / "none" / "such", file, file / "below"):
        code, _, stderr = run(log_dir=folder, state_store_port=0, webserver_port=0)
        assert code == 1
        assert f"Could not open file in log_dir {folder}" in stderr, stderr


def test_log_files_have_their_names_links_and_lines(tmp_path):
    """flags.md section 9: a message is in the file of its severity and in all lower ones."""
    folder = tmp_path / "logs"
    folder.mkdir()
    daemon = Statestored(folder, {"logtostderr": "false", "redirect_stdout_stderr": "true",
                                  "log_filename": "st"})
    try:
        link = folder / "st.INFO"
        text = eventually(lambda: link.exists() and "is ready" in link.read_text()
                          and link.read_text(), "a log that says it is ready")
        assert link.is_symlink()
        name = rf"st(atestored)?\.[^.]+\.[^.]+\.log\.INFO\.\d{{8}}-\d{{6}}\.{daemon.process.pid}"
        assert re.fullmatch(name, os.path.basename(os.readlink(link)))
        prefix = r"[IWEF]\d{8} \d\d:\d\d:\d\d\.\d{6} +\d+ [\w.]+:\d+\] "
        lines = [line for line in text.splitlines() if "is ready" in line]
        assert re.match(prefix, lines[0])
        assert f"Process ID: {daemon.process.pid}" in text
        assert (folder / "stderr").read_text() == ""
    finally:
        assert daemon.stop() == 0
    assert "Caught signal: SIGTERM. Daemon will exit." in link.read_text()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full plays the disk")
def test_a_full_disk_does_not_end_the_service(subscriber, tmp_path):
    """What cannot be logged is lost; subscribers are served."""
    ports = {"state_store_port": free_port(), "webserver_port": free_port()}
    daemon = Statestored(tmp_path, ports, terminal="/dev/full")
    daemon.port, daemon.web = ports.values()

    def healthy():
        try:
            return daemon.http("/healthz")[0] == 200
        except OSError:
            return False

    try:
        eventually(healthy, "healthy on a full disk")
        a = subscriber(daemon, "a", "t")
        a.publish("t", item("k", "v"))
        a.await_delta("t", lambda delta: delta.to_version == 1)
    finally:
        assert daemon.stop() == 0


def test_health_is_503_until_the_service_is_open(statestored):
    """observability.md section 4 (W29): Not Available, then OK; R-10: the port comes last."""
    daemon = statestored(stress_statestore_startup_delay_ms=600_000, ready=False)
    daemon.web = daemon._port(r"Web server listening on port (\d+)")
    assert daemon.http("/healthz")[:2] == (503, "Not Available")
    assert daemon.http("/healthz", "HEAD")[0] == 503
    assert daemon.metric("statestore.service-started") is False
    assert "StatestoreService listening" not in daemon.log()
    start = time.monotonic()
    daemon = statestored(stress_statestore_startup_delay_ms=800)
    assert time.monotonic() - start >= 0.8
    assert daemon.http("/healthz")[:2] == (200, "OK")
    assert daemon.metric("statestore.service-started") is True


def test_removed_and_idle_flags_are_warned_of(statestored):
    """flags.md section 11: start scripts of the reference keep working."""
    daemon = statestored("--use_statestore", "--be_port=22000", statestore_num_update_threads=20)
    log = daemon.log()
    assert "Ignoring removed flag use_statestore" in log
    assert "Ignoring removed flag be_port" in log
    assert re.search(r"^W.*statestore_num_update_threads", log, re.MULTILINE)


@pytest.mark.parametrize(("flag", "value"), [
    ("ssl_server_certificate", "/c.pem"), ("principal", "impala/_HOST@R"),
    ("webserver_certificate_file", "/c.pem"),
    ("webserver_password_file", "/no/such/file")])
def test_what_cannot_be_honoured_ends_the_start(flag, value):
    """flags.md sections 3, 7 and 8: who asks for encryption must not get plain text."""
    code, _, stderr = run(**{**ALWAYS, "log_dir": "/tmp", flag: value})
    assert code == 1 and flag in stderr, stderr
