//! Whatever statestoreds say in whatever order: of two accepted messages that name epochs, the
//! later names none that is lower (ha.md rule 17, W2).

use crate::support::*;
use crate::words::*;
use proptest::prelude::*;
use statestore_core::subscriber::port::*;
use statestore_core::subscriber::{Role, StatestoreView};
use statestore_wire::*;

#[derive(Debug, Clone, Copy)]
enum Kind {
    Heartbeat,
    Update,
    Catalogd,
    Role,
}

#[derive(Debug, Clone)]
enum Op {
    /// Of one of the pair or a stranger, for the right registration or another.
    Message {
        kind: Kind,
        sender: i64,
        fits: bool,
        epoch: Option<i64>,
    },
    /// Both are lost and registered with again; a message comes before one answer.
    Rejoin {
        active: Option<usize>,
        epoch: Option<i64>,
        early: Option<i64>,
    },
}

fn epoch() -> impl Strategy<Value = Option<i64>> {
    let garbage = prop_oneof![Just(-1), Just(i64::MIN), Just(i64::MAX)];
    prop_oneof![
        2 => Just(None),
        12 => (0..40_i64).prop_map(Some),
        1 => garbage.prop_map(Some),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let kind = prop_oneof![
        Just(Kind::Heartbeat),
        Just(Kind::Update),
        Just(Kind::Catalogd),
        Just(Kind::Role),
    ];
    let sender = prop_oneof![4 => Just(10), 4 => Just(20), 1 => Just(30)];
    let message = (kind, sender, prop::bool::weighted(0.9), epoch());
    let active = prop_oneof![Just(None), Just(Some(0)), Just(Some(1))];
    prop_oneof![
        8 => message.prop_map(|(kind, sender, fits, epoch)| Op::Message {
            kind, sender, fits, epoch
        }),
        1 => (active, epoch(), epoch()).prop_map(|(active, epoch, early)| Op::Rejoin {
            active, epoch, early
        }),
    ]
}

/// Whether it was accepted, and the highest epoch that the answer tells.
fn say(
    world: &mut World,
    kind: Kind,
    (sender, registration): (i64, i64),
    epoch: Option<i64>,
) -> (bool, Option<Epoch>) {
    let epoch = epoch.map(Epoch);
    let request = match kind {
        Kind::Heartbeat => Request::Heartbeat(HeartbeatRequest {
            registration_id: Some(id(registration)),
            statestore_id: Some(id(sender)),
            epoch,
            ..HeartbeatRequest::default()
        }),
        Kind::Update => Request::Update {
            connection: ConnectionId(sender as u64),
            request: UpdateStateRequest {
                registration_id: Some(id(registration)),
                statestore_id: Some(id(sender)),
                epoch,
                ..UpdateStateRequest::default()
            },
        },
        Kind::Catalogd => Request::Catalogd(UpdateCatalogdRequest {
            epoch,
            ..notice(sender, registration, 1)
        }),
        Kind::Role => Request::Role(UpdateStatestoredRoleRequest {
            epoch,
            ..role_message(sender, 5)
        }),
    };
    match world.request(request).1.unwrap() {
        Answer::Heartbeat(it) => (it.status.is_ok(), it.highest_epoch),
        Answer::Update(it) => (it.status.is_ok() && !it.skipped, it.highest_epoch),
        Answer::Catalogd(it) => (it.status.is_ok() && it.skipped.is_none(), it.highest_epoch),
        Answer::Role(it) => (it.status.is_ok() && it.skipped.is_none(), it.highest_epoch),
    }
}

fn is_honest(epoch: i64) -> bool {
    (0..40).contains(&epoch)
}

#[derive(Default)]
struct Model {
    highest: Option<Epoch>,
}

impl Model {
    /// A message with an epoch was accepted.
    fn accepted(&mut self, epoch: i64) {
        assert!(is_honest(epoch), "garbage was accepted: {epoch}");
        assert!(
            Some(Epoch(epoch)) >= self.highest,
            "{epoch} < {:?}",
            self.highest
        );
        self.highest = Some(Epoch(epoch));
    }

    fn message(&mut self, world: &mut World, op: &Op) {
        let Op::Message {
            kind,
            sender,
            fits,
            epoch,
        } = *op
        else {
            return;
        };
        let i = usize::from(sender == 20);
        let before: Vec<StatestoreView> = world.view().statestores;
        let registration = if fits { sender / 10 } else { 77 };
        let (ok, told) = say(world, kind, (sender, registration), epoch);
        let after = world.view().statestores;
        let is_news = epoch.is_some_and(|it| Some(Epoch(it)) > self.highest);
        if let Some(epoch) = epoch.filter(|_| ok) {
            self.accepted(epoch);
            if is_news {
                assert_eq!(after[i].role, Role::Active, "{op:?}");
            }
        } else if !ok {
            let heard = |all: &[StatestoreView]| [all[0].last_heartbeat, all[1].last_heartbeat];
            assert_eq!(heard(&before), heard(&after), "{op:?}");
            let roles = |all: &[StatestoreView]| [all[0].role, all[1].role];
            assert_eq!(roles(&before), roles(&after), "{op:?}");
        }
        assert_eq!(told, self.highest, "every answer tells");
    }

    fn rejoin(&mut self, world: &mut World, op: &Op) {
        let Op::Rejoin {
            active,
            epoch,
            early,
        } = *op
        else {
            return;
        };
        world.seconds(31);
        world.answer_version(0);
        let (ok, _) = say(world, Kind::Heartbeat, (10, 1), early);
        if let Some(early) = early.filter(|_| ok) {
            self.accepted(early);
        }
        world.answer_version(1);
        for i in 0..2 {
            let reply = RegisterSubscriberResponse {
                epoch: epoch.map(Epoch).filter(|_| active == Some(i)),
                ..accepted([10, 20][i], i as i64 + 1, active == Some(i))
            };
            world.answer_registration(i, reply);
            let epoch = epoch.filter(|it| active == Some(i) && is_honest(*it));
            if let Some(epoch) = epoch.filter(|it| Some(Epoch(*it)) >= self.highest) {
                self.accepted(epoch);
                assert_eq!(world.view().statestores[i].role, Role::Active);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn w2_rule_17_no_accepted_epoch_is_lower_than_an_earlier_one(
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let mut world = World::pair(vec![topic("t")]);
        let mut model = Model::default();
        for op in &ops {
            match op {
                Op::Message { .. } => model.message(&mut world, op),
                Op::Rejoin { .. } => model.rejoin(&mut world, op),
            }
            prop_assert_eq!(world.view().highest_epoch, model.highest);
            let roles = world.roles();
            prop_assert_ne!(roles, [Role::Active, Role::Active]);
        }
    }
}
