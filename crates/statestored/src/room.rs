//! [`Room`]: for how many subscribers the open files suffice.
//!
//! ```text
//!   files: | 768: log, ports, pages | 13/16: connections with subscribers | 3/16: the rest |
//!                                       a third of them: opened by these
//! ```
//!
//! Calls under way cannot be closed; idle connections can, to subscribers and those that they keep
//! open to us. So more subscribers than there is room for find theirs closed now and then. The rest
//! is for connections of large messages and for calls beyond the 13/16.
//!
//! Deliberately absent: closing and waiting, which are `statestore-rpc`'s.
//! Invariant: these numbers are those that the connections are bounded by.

/// Log files, ports, and what the web server holds open.
const OTHER_FILES: u64 = 768;

/// How the open files are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    files: u64,
    connections: usize,
}

/// What one subscriber keeps open from one period to the next.
#[derive(Clone, Copy)]
struct Keeps {
    /// By us to it.
    to_it: usize,
    /// By it to us.
    to_us: usize,
}

/// A heartbeat's, and the one over which it registered.
const BEATING: Keeps = Keeps { to_it: 1, to_us: 1 };
/// The same and one for each stream of updates, which may be under way together.
const FOLLOWING: Keeps = Keeps { to_it: 3, to_us: 1 };
/// The same and a second one to publish in both streams.
const PUBLISHING: Keeps = Keeps { to_it: 3, to_us: 2 };

impl Room {
    /// What so many open files have room for.
    pub fn of(files: u64) -> Self {
        let connections = files.saturating_sub(OTHER_FILES) / 16 * 13;
        Self {
            files,
            connections: usize::try_from(connections).unwrap_or(usize::MAX),
        }
    }

    /// Connections to subscribers, large messages aside, and those that they keep open to us.
    pub fn connections(self) -> usize {
        self.connections
    }

    /// How many subscribers can keep all of theirs open.
    fn subscribers(self, each: Keeps) -> usize {
        let all = self.connections / (each.to_it + each.to_us);
        all.min(share_to_us(self.connections) / each.to_us)
    }

    /// True if so many cannot even keep the connections for their heartbeats.
    pub fn is_short_of(self, max_subscribers: usize) -> bool {
        self.subscribers(BEATING) < max_subscribers
    }

    /// The same in words.
    pub fn lines(self, max_subscribers: usize) -> [String; 2] {
        let Self { files, connections } = self;
        let [beating, following, publishing] =
            [BEATING, FOLLOWING, PUBLISHING].map(|each| self.subscribers(each));
        let to_us = share_to_us(connections);
        [
            format!(
                "{files} open files allowed: connections stay open with up to {beating} \
                 subscribers that get heartbeats alone, {following} with a priority and a normal \
                 topic each, {publishing} that publish to both by calls of their own"
            ),
            format!(
                "With more, or with more than {to_us} that subscribers open to this statestored, \
                 those that idle for longest are closed and opened again, which costs time. \
                 --statestore_max_subscribers={max_subscribers}"
            ),
        ]
    }
}

/// Who opens connections to us and keeps them must not take those that heartbeats need.
pub(crate) fn share_to_us(connections: usize) -> usize {
    (connections / 3).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_for_whoever_keeps_least_first() {
        let room = Room::of(20_000);
        assert_eq!(
            (room.connections(), share_to_us(room.connections())),
            (15_626, 5_208)
        );
        let each = [BEATING, FOLLOWING, PUBLISHING];
        // The first and the last are bounded by what they keep open to us.
        assert_eq!(each.map(|it| room.subscribers(it)), [5_208, 3_906, 2_604]);
    }

    #[test]
    fn all_that_stay_open_are_within_the_bounds() {
        for files in [0, 767, 768, 783, 784, 1_024, 4_096, 524_288, u64::MAX] {
            let room = Room::of(files);
            for each in [BEATING, FOLLOWING, PUBLISHING] {
                let n = room.subscribers(each);
                assert!(
                    n <= room.connections() / (each.to_it + each.to_us),
                    "{files}"
                );
                assert!(n * each.to_us <= share_to_us(room.connections()), "{files}");
            }
            assert!(room.connections() as u64 <= files);
        }
        assert_eq!(Room::of(OTHER_FILES).subscribers(BEATING), 0);
    }

    #[test]
    fn it_is_short_of_more_than_get_heartbeats() {
        let room = Room::of(20_000);
        assert_eq!([5_208, 5_209].map(|n| room.is_short_of(n)), [false, true]);
        assert!(Room::of(256).is_short_of(1));
    }

    #[test]
    fn the_words_name_each_number() {
        let [first, second] = Room::of(20_000).lines(10_000);
        for part in [
            "20000 open files",
            "5208 subscribers",
            "3906 with",
            "2604 that publish",
        ] {
            assert!(first.contains(part), "{part}: {first}");
        }
        assert!(
            second.contains("than 5208 that subscribers open") && second.ends_with("=10000"),
            "{second}"
        );
    }
}
