//! `--debug_actions`: failures that tests ask for (flags.md section 10).
//!
//! Parsing and dice are here; who asks, and what an injected failure means to him, is where the
//! label acts (`fanout`). Sleeping is the caller's too: an action is only told, so that no
//! thread ever waits.
//!
//! Deliberately unlike the reference: an entry for a label of ours that is not in order ends the
//! start with the reference's words, instead of failing each time the label comes by. Entries for
//! other labels are other daemons' and are not looked into.

use statestore_wire::{Status, StatusCode};
use std::time::Duration;
use thiserror::Error;

/// Before each heartbeat and each topic update; a failure is only logged.
pub const DO_SUBSCRIBER_UPDATE: &str = "DO_SUBSCRIBER_UPDATE";
/// Before the first UpdateCatalogd of a round to each subscriber; a failure fails the call.
pub const SEND_UPDATE_CATALOGD: &str = "SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT";
/// The same for UpdateStatestoredRole.
pub const SEND_UPDATE_STATESTORED: &str = "SEND_UPDATE_STATESTORED_RPC_FIRST_ATTEMPT";
/// Writes to standard error each second.
pub const LOG_MAINTENANCE_STDERR: &str = "LOG_MAINTENANCE_STDERR";

const LABELS: [&str; 4] = [
    DO_SUBSCRIBER_UPDATE,
    SEND_UPDATE_CATALOGD,
    SEND_UPDATE_STATESTORED,
    LOG_MAINTENANCE_STDERR,
];

/// All actions of a process.
#[derive(Debug, Clone, Default)]
pub struct DebugActions {
    /// The switch `START_STATESTORE_IN_PROTOCOL_V1` (wire.md section 8).
    pub start_in_v1: bool,
    /// The switch `DISABLE_STATESTORE_NETWORK` (H-9).
    pub network_switch: bool,
    entries: Vec<Entry>,
    /// Entries that nothing here reads.
    pub foreign: Vec<String>,
}

#[derive(Debug, Clone)]
struct Entry {
    label: String,
    /// As written, for the message.
    text: String,
    action: Action,
}

#[derive(Debug, Clone)]
enum Action {
    Sleep(Duration),
    Jitter {
        most: Duration,
        probability: f64,
    },
    Fail {
        probability: f64,
        text: Option<String>,
    },
    Exception(String),
}

/// What is to be done at a label, in order.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Wait.
    Sleep(Duration),
    /// Fail with this.
    Fail(Status),
}

/// An entry that is not in order. The operator's fault.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("Invalid debug_action {entry} ({why})")]
pub struct Malformed {
    entry: String,
    why: &'static str,
}

impl DebugActions {
    /// Reads the flag's value.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let start_in_v1 = text == "START_STATESTORE_IN_PROTOCOL_V1";
        let network_switch = text == "DISABLE_STATESTORE_NETWORK";
        if start_in_v1 || network_switch {
            return Ok(Self {
                start_in_v1,
                network_switch,
                ..Self::default()
            });
        }
        let mut actions = Self::default();
        for entry in text.split('|').filter(|entry| !entry.is_empty()) {
            let label = entry.split(':').next().unwrap_or_default();
            if LABELS.iter().any(|ours| ours.eq_ignore_ascii_case(label)) {
                actions.entries.push(parse_entry(entry)?);
            } else {
                actions.foreign.push(entry.to_owned());
            }
        }
        Ok(actions)
    }

    /// What is to be done at `label`; `dice` yields numbers in 0..1.
    pub fn at(&self, label: &str, mut dice: impl FnMut() -> f64) -> Vec<Step> {
        let ours = self
            .entries
            .iter()
            .filter(|entry| entry.label.eq_ignore_ascii_case(label));
        ours.filter_map(|entry| entry.roll(&mut dice)).collect()
    }

    /// True if something may be to be done at `label`.
    pub fn concern(&self, label: &str) -> bool {
        self.entries
            .iter()
            .any(|entry| entry.label.eq_ignore_ascii_case(label))
    }
}

impl Entry {
    fn roll(&self, dice: &mut impl FnMut() -> f64) -> Option<Step> {
        let fail = |text: &str| Step::Fail(Status::error(StatusCode::INTERNAL_ERROR, text));
        match &self.action {
            Action::Sleep(time) => Some(Step::Sleep(*time)),
            Action::Jitter { most, probability } => {
                (dice() < *probability).then(|| Step::Sleep(most.mul_f64(dice())))
            }
            Action::Fail { probability, text } => (dice() < *probability).then(|| {
                fail(
                    text.as_deref()
                        .unwrap_or(&format!("Debug Action: {}", self.text)),
                )
            }),
            Action::Exception(kind) => Some(fail(&format!("Debug Action: exception {kind}"))),
        }
    }
}

fn parse_entry(entry: &str) -> Result<Entry, Malformed> {
    let bad = |why| Malformed {
        entry: entry.to_owned(),
        why,
    };
    let (label, text) = entry.split_once(':').ok_or_else(|| bad("no action"))?;
    let parts: Vec<&str> = text.split('@').collect();
    let word = parts[0].to_ascii_uppercase();
    let action = match (word.as_str(), &parts[1..]) {
        ("SLEEP", [ms]) => Action::Sleep(millis(ms).ok_or_else(|| bad("invalid sleep time"))?),
        ("JITTER", [ms]) => Action::Jitter {
            most: millis(ms).ok_or_else(|| bad("invalid sleep time"))?,
            probability: 1.0,
        },
        ("JITTER", [ms, probability]) => Action::Jitter {
            most: millis(ms).ok_or_else(|| bad("invalid sleep time"))?,
            probability: chance(probability).ok_or_else(|| bad("invalid probability"))?,
        },
        ("SLEEP" | "JITTER", _) => return Err(bad("expected a time in milliseconds")),
        ("FAIL", []) => Action::Fail {
            probability: 1.0,
            text: None,
        },
        ("FAIL", [probability]) => Action::Fail {
            probability: chance(probability).ok_or_else(|| bad("invalid probability"))?,
            text: None,
        },
        ("FAIL", [probability, text @ ..]) => Action::Fail {
            probability: chance(probability).ok_or_else(|| bad("invalid probability"))?,
            text: Some(text.join("@")),
        },
        ("EXCEPTION", [kind]) => Action::Exception((*kind).to_owned()),
        ("EXCEPTION", _) => return Err(bad("wrong number of parts")),
        _ => return Err(bad("invalid command")),
    };
    Ok(Entry {
        label: label.to_owned(),
        text: entry.to_owned(),
        action,
    })
}

fn millis(text: &str) -> Option<Duration> {
    text.parse::<u32>()
        .ok()
        .map(|ms| Duration::from_millis(ms.into()))
}

fn chance(text: &str) -> Option<f64> {
    text.parse()
        .ok()
        .filter(|probability| (0.0..=1.0).contains(probability))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn steps(text: &str, label: &str, rolled: f64) -> Vec<Step> {
        DebugActions::parse(text).unwrap().at(label, || rolled)
    }

    #[test]
    fn all_entries_of_a_label_run_in_order_whatever_its_case() {
        let text = "do_subscriber_update:SLEEP@20|OTHER:x|DO_SUBSCRIBER_UPDATE:fail@0.5@no@luck";
        let fail = Step::Fail(Status::error(StatusCode::INTERNAL_ERROR, "no@luck"));
        let sleep = || Step::Sleep(Duration::from_millis(20));
        assert_eq!(steps(text, DO_SUBSCRIBER_UPDATE, 0.4), [sleep(), fail]);
        assert_eq!(steps(text, DO_SUBSCRIBER_UPDATE, 0.6), [sleep()]);
        assert_eq!(steps(text, SEND_UPDATE_CATALOGD, 0.0), []);
        assert_eq!(DebugActions::parse(text).unwrap().foreign, ["OTHER:x"]);
    }

    #[test]
    fn a_failure_without_a_text_names_its_entry() {
        let entry = format!("{SEND_UPDATE_CATALOGD}:FAIL@1.0");
        let text = format!("Debug Action: {entry}");
        let status = Status::error(StatusCode::INTERNAL_ERROR, text);
        assert_eq!(
            steps(&entry, SEND_UPDATE_CATALOGD, 0.99),
            [Step::Fail(status)]
        );
    }

    #[test]
    fn jitter_is_at_most_what_is_said() {
        let with = |action| format!("{DO_SUBSCRIBER_UPDATE}:{action}");
        let half = [Step::Sleep(Duration::from_millis(50))];
        assert_eq!(steps(&with("JITTER@100"), DO_SUBSCRIBER_UPDATE, 0.5), half);
        assert_eq!(
            steps(&with("JITTER@100@0.2"), DO_SUBSCRIBER_UPDATE, 0.5),
            []
        );
    }

    #[test]
    fn the_two_switches_are_the_whole_flag_or_nothing() {
        let parse = |text| DebugActions::parse(text).unwrap();
        assert!(parse("START_STATESTORE_IN_PROTOCOL_V1").start_in_v1);
        assert!(parse("DISABLE_STATESTORE_NETWORK").network_switch);
        assert!(!parse("DISABLE_STATESTORE_NETWORK|A:FAIL").network_switch);
        assert!(!parse("").concern(DO_SUBSCRIBER_UPDATE));
    }

    #[test]
    fn an_entry_of_ours_that_is_not_in_order_is_named() {
        for action in [
            "",
            ":",
            ":SLEEP",
            ":SLEEP@x",
            ":FAIL@2",
            ":JITTER@1@-1",
            ":NO",
        ] {
            let text = format!("{DO_SUBSCRIBER_UPDATE}{action}");
            let error = DebugActions::parse(&text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("Invalid debug_action {text} (")),
                "{error}"
            );
        }
    }
}
