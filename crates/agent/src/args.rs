//! What the agent is asked to do with topics: `--publish`, `--publish_dir`, `--follow`,
//! `--mirror` and `--on_change`, from text to types.
//!
//! Each of these flags may be given more than once. Deliberately absent: flags with Impala's
//! names (`flags.rs`) and doing any of it.
//!
//! Invariant: what parses names a topic; an error names the flag and the value.

use std::fmt;
use std::path::PathBuf;
use thiserror::Error;

/// Why a flag's value means nothing: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("illegal value '{value}' specified for flag '{flag}': {wanted}")]
pub(crate) struct ArgError {
    flag: &'static str,
    value: String,
    wanted: &'static str,
}

/// Everything that the agent does with topics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tasks {
    pub(crate) publish: Vec<Publish>,
    pub(crate) folders: Vec<PublishFolder>,
    pub(crate) follow: Vec<Follow>,
    pub(crate) mirrors: Vec<MirrorTopic>,
    pub(crate) commands: Vec<OnChange>,
}

/// `--publish=TOPIC:KEY=VALUE` or `--publish=TOPIC:KEY=@FILE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) key: String,
    pub(crate) value: PublishValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PublishValue {
    Text(String),
    File(PathBuf),
}

/// `--publish_dir=TOPIC:DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishFolder {
    pub(crate) topic: String,
    pub(crate) folder: PathBuf,
}

/// `--follow=TOPIC[:PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Follow {
    pub(crate) topic: String,
    pub(crate) prefix: Option<String>,
}

/// `--mirror=TOPIC[:PREFIX]:DIR`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MirrorTopic {
    pub(crate) topic: String,
    pub(crate) prefix: Option<String>,
    pub(crate) folder: PathBuf,
}

/// `--on_change=TOPIC:COMMAND`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OnChange {
    pub(crate) topic: String,
    pub(crate) command: String,
}

/// As it was given, for messages.
impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--publish={}:{}=", self.topic, self.key)?;
        match &self.value {
            PublishValue::Text(text) => f.write_str(text),
            PublishValue::File(path) => write!(f, "@{}", path.display()),
        }
    }
}

/// As it was given, for messages.
impl fmt::Display for PublishFolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--publish_dir={}:{}", self.topic, self.folder.display())
    }
}

/// As it was given, for messages.
impl fmt::Display for MirrorTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--mirror={}:", self.topic)?;
        if let Some(prefix) = &self.prefix {
            write!(f, "{prefix}:")?;
        }
        write!(f, "{}", self.folder.display())
    }
}

/// Values of one flag, in the order of the command line.
pub(crate) struct Given<'a> {
    pub(crate) publish: &'a [String],
    pub(crate) publish_dir: &'a [String],
    pub(crate) follow: &'a [String],
    pub(crate) mirror: &'a [String],
    pub(crate) on_change: &'a [String],
}

impl Tasks {
    /// Reads the values of all five flags.
    pub(crate) fn parse(given: &Given<'_>) -> Result<Self, ArgError> {
        Ok(Self {
            publish: given
                .publish
                .iter()
                .map(|v| publish(v))
                .collect::<Result<_, _>>()?,
            folders: given
                .publish_dir
                .iter()
                .map(|v| publish_dir(v))
                .collect::<Result<_, _>>()?,
            follow: given
                .follow
                .iter()
                .map(|v| follow(v))
                .collect::<Result<_, _>>()?,
            mirrors: given
                .mirror
                .iter()
                .map(|v| mirror(v))
                .collect::<Result<_, _>>()?,
            commands: given
                .on_change
                .iter()
                .map(|v| on_change(v))
                .collect::<Result<_, _>>()?,
        })
    }
}

fn publish(text: &str) -> Result<Publish, ArgError> {
    let error = wrong("publish", text, "wanted TOPIC:KEY=VALUE or TOPIC:KEY=@FILE");
    let (topic, rest) = topic_and_rest(text).ok_or_else(|| error.clone())?;
    let (key, value) = rest.split_once('=').ok_or(error)?;
    let value = match value.strip_prefix('@') {
        Some(file) => PublishValue::File(PathBuf::from(file)),
        None => PublishValue::Text(value.to_owned()),
    };
    Ok(Publish {
        topic,
        key: key.to_owned(),
        value,
    })
}

fn publish_dir(text: &str) -> Result<PublishFolder, ArgError> {
    let (topic, folder) = topic_and_rest(text)
        .filter(|(_, folder)| !folder.is_empty())
        .ok_or_else(|| wrong("publish_dir", text, "wanted TOPIC:DIR"))?;
    Ok(PublishFolder {
        topic,
        folder: PathBuf::from(folder),
    })
}

fn follow(text: &str) -> Result<Follow, ArgError> {
    let (topic, prefix) = match text.split_once(':') {
        Some((topic, prefix)) => (topic, Some(prefix.to_owned())),
        None => (text, None),
    };
    if topic.is_empty() {
        return Err(wrong("follow", text, "wanted TOPIC or TOPIC:PREFIX"));
    }
    Ok(Follow {
        topic: topic.to_owned(),
        prefix,
    })
}

/// A prefix may hold colons (`1:` is Impala's), a folder may not: the last colon ends the prefix.
fn mirror(text: &str) -> Result<MirrorTopic, ArgError> {
    let (topic, rest) = topic_and_rest(text)
        .ok_or_else(|| wrong("mirror", text, "wanted TOPIC:DIR or TOPIC:PREFIX:DIR"))?;
    let (prefix, folder) = match rest.rsplit_once(':') {
        Some((prefix, folder)) => (Some(prefix.to_owned()), folder),
        None => (None, rest),
    };
    if folder.is_empty() {
        return Err(wrong("mirror", text, "the folder is missing"));
    }
    Ok(MirrorTopic {
        topic,
        prefix,
        folder: PathBuf::from(folder),
    })
}

fn on_change(text: &str) -> Result<OnChange, ArgError> {
    let (topic, command) = topic_and_rest(text)
        .filter(|(_, command)| !command.trim().is_empty())
        .ok_or_else(|| wrong("on_change", text, "wanted TOPIC:COMMAND"))?;
    Ok(OnChange {
        topic,
        command: command.to_owned(),
    })
}

fn topic_and_rest(text: &str) -> Option<(String, &str)> {
    let (topic, rest) = text.split_once(':')?;
    (!topic.is_empty()).then(|| (topic.to_owned(), rest))
}

fn wrong(flag: &'static str, value: &str, wanted: &'static str) -> ArgError {
    ArgError {
        flag,
        value: value.to_owned(),
        wanted,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn values_and_files_are_told_apart_and_values_may_hold_anything() {
        let plain = publish("t:k=a=b:c").unwrap();
        assert_eq!((plain.topic.as_str(), plain.key.as_str()), ("t", "k"));
        assert_eq!(plain.value, PublishValue::Text("a=b:c".to_owned()));
        let file = publish("t:k=@/some/file").unwrap();
        assert_eq!(file.value, PublishValue::File(PathBuf::from("/some/file")));
        assert_eq!(
            publish("t:k=").unwrap().value,
            PublishValue::Text(String::new())
        );
    }

    #[test]
    fn a_prefix_may_hold_colons_and_be_empty() {
        let full = mirror("catalog-update:1::/data").unwrap();
        assert_eq!(full.prefix.as_deref(), Some("1:"));
        assert_eq!(full.folder, PathBuf::from("/data"));
        assert_eq!(mirror("t::/data").unwrap().prefix.as_deref(), Some(""));
        assert_eq!(mirror("t:/data").unwrap().prefix, None);
        assert_eq!(follow("t:1:").unwrap().prefix.as_deref(), Some("1:"));
        assert_eq!(follow("t").unwrap().prefix, None);
    }

    #[test]
    fn what_was_given_can_be_shown_again() {
        for text in ["t:k=v", "t:k=@/f"] {
            let shown = publish(text).unwrap().to_string();
            assert_eq!(shown, format!("--publish={text}"));
        }
        for text in ["t:/d", "t:1::/d", "t::/d"] {
            let shown = mirror(text).unwrap().to_string();
            assert_eq!(shown, format!("--mirror={text}"));
        }
        let shown = publish_dir("t:/d").unwrap().to_string();
        assert_eq!(shown, "--publish_dir=t:/d");
    }

    #[test]
    fn what_is_missing_is_said_with_flag_and_value() {
        let messages = [
            publish("nokey").unwrap_err().to_string(),
            publish("t:key").unwrap_err().to_string(),
            publish_dir("t:").unwrap_err().to_string(),
            follow("").unwrap_err().to_string(),
            mirror("t").unwrap_err().to_string(),
            mirror("t:p:").unwrap_err().to_string(),
            on_change(":cmd").unwrap_err().to_string(),
            on_change("t: ").unwrap_err().to_string(),
        ];
        for message in messages {
            assert!(message.starts_with("illegal value '"), "{message}");
            assert!(message.contains("' specified for flag '"), "{message}");
        }
    }
}
