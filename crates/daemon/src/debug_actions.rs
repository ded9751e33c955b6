//! `--debug_actions`: failures that tests ask for (flags.md section 10).
//!
//! Parsing and dice are here; which labels there are, who asks, and what an injected failure
//! means to him, is the daemon's. Sleeping is too: an action is only told, so that no thread
//! ever waits.
//!
//! Deliberately unlike the reference: an entry for a label of ours that is not in order ends the
//! start with the reference's words, instead of failing each time the label comes by. Entries for
//! other labels are other daemons' and are not looked into.

use std::time::Duration;
use thiserror::Error;

/// All actions of a process.
#[derive(Debug, Clone, Default)]
pub struct DebugActions {
    switch: Option<&'static str>,
    entries: Vec<Entry>,
    /// Entries that nothing here reads.
    pub foreign: Vec<String>,
}

/// What a daemon reads of the flag.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Labels of entries.
    pub labels: &'static [&'static str],
    /// Words that act when they are the whole flag.
    pub switches: &'static [&'static str],
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
    /// Fail, with status code INTERNAL_ERROR (8) and this text.
    Fail(String),
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
    pub fn parse(text: &str, known: Known) -> Result<Self, Malformed> {
        let mut actions = Self::default();
        if let Some(switch) = known.switches.iter().find(|switch| **switch == text) {
            actions.switch = Some(switch);
            return Ok(actions);
        }
        for entry in text.split('|').filter(|entry| !entry.is_empty()) {
            let label = entry.split(':').next().unwrap_or_default();
            let is_label = |ours: &&str| ours.eq_ignore_ascii_case(label);
            if known.labels.iter().any(is_label) {
                actions.entries.push(parse_entry(entry)?);
            } else {
                actions.foreign.push(entry.to_owned());
            }
        }
        Ok(actions)
    }

    /// True if this switch is the whole flag.
    pub fn switched(&self, switch: &str) -> bool {
        self.switch == Some(switch)
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
        match &self.action {
            Action::Sleep(time) => Some(Step::Sleep(*time)),
            Action::Jitter { most, probability } => {
                (dice() < *probability).then(|| Step::Sleep(most.mul_f64(dice())))
            }
            Action::Fail { probability, text } => (dice() < *probability).then(|| {
                let usual = || format!("Debug Action: {}", self.text);
                Step::Fail(text.clone().unwrap_or_else(usual))
            }),
            Action::Exception(kind) => Some(Step::Fail(format!("Debug Action: exception {kind}"))),
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

    const UPDATE: &str = "DO_SUBSCRIBER_UPDATE";
    const CATALOGD: &str = "SEND_UPDATE_CATALOGD_RPC_FIRST_ATTEMPT";
    const NETWORK: &str = "DISABLE_STATESTORE_NETWORK";
    const KNOWN: Known = Known {
        labels: &[UPDATE, CATALOGD],
        switches: &["START_STATESTORE_IN_PROTOCOL_V1", NETWORK],
    };

    fn parse(text: &str) -> DebugActions {
        DebugActions::parse(text, KNOWN).unwrap()
    }

    fn steps(text: &str, label: &str, rolled: f64) -> Vec<Step> {
        parse(text).at(label, || rolled)
    }

    #[test]
    fn all_entries_of_a_label_run_in_order_whatever_its_case() {
        let text = "do_subscriber_update:SLEEP@20|OTHER:x|DO_SUBSCRIBER_UPDATE:fail@0.5@no@luck";
        let sleep = || Step::Sleep(Duration::from_millis(20));
        let fail = Step::Fail("no@luck".to_owned());
        assert_eq!(steps(text, UPDATE, 0.4), [sleep(), fail]);
        assert_eq!(steps(text, UPDATE, 0.6), [sleep()]);
        assert_eq!(steps(text, CATALOGD, 0.0), []);
        assert_eq!(parse(text).foreign, ["OTHER:x"]);
    }

    #[test]
    fn a_failure_without_a_text_names_its_entry() {
        let entry = format!("{CATALOGD}:FAIL@1.0");
        let fail = Step::Fail(format!("Debug Action: {entry}"));
        assert_eq!(steps(&entry, CATALOGD, 0.99), [fail]);
    }

    #[test]
    fn jitter_is_at_most_what_is_said() {
        let with = |action| format!("{UPDATE}:{action}");
        let half = [Step::Sleep(Duration::from_millis(50))];
        assert_eq!(steps(&with("JITTER@100"), UPDATE, 0.5), half);
        assert_eq!(steps(&with("JITTER@100@0.2"), UPDATE, 0.5), []);
    }

    #[test]
    fn a_switch_is_the_whole_flag_or_nothing() {
        assert!(parse(NETWORK).switched(NETWORK));
        assert!(!parse(NETWORK).switched("START_STATESTORE_IN_PROTOCOL_V1"));
        assert!(!parse("DISABLE_STATESTORE_NETWORK|A:FAIL").switched(NETWORK));
        assert!(!parse("").concern(UPDATE));
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
            let text = format!("{UPDATE}{action}");
            let error = DebugActions::parse(&text, KNOWN).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("Invalid debug_action {text} (")),
                "{error}"
            );
        }
    }
}
