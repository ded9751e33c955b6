//! Faults strike and are over.
//!
//! Each remembers what it did, so that overlapping ones end each for itself. Deliberately absent:
//! when and which; the plan has that.

use super::World;
use crate::event::Event;
use crate::plan::strike::{Ways, Whom};
use crate::plan::{FIRST, Fault, Proc, SERVERS};
use statestore_core::ids::RequestId;
use statestore_core::port::{Input, Request};
use statestore_wire::{ForceStatestoreActiveRequest, ProtocolVersion};
use std::time::Duration;

/// What a fault did, for its end.
#[derive(Debug)]
pub(crate) enum Struck {
    Nothing,
    Ended(Vec<Proc>),
    Paused(Proc, u32),
    Cut(Vec<(Proc, Proc)>),
    Slowed(Vec<(Proc, Proc)>),
    Switched(Proc),
}

impl World<'_> {
    pub(crate) fn strikes(&mut self, i: usize) {
        let strike = self.plan.strikes[i].clone();
        let ends = self.now + strike.lasts;
        let struck = self.strike(strike.fault);
        let held = !matches!(struck, Struck::Nothing);
        self.struck[i] = Some(struck);
        if held && ends < self.plan.heals {
            self.queue.add(ends, Event::Ends(i));
        }
    }

    fn strike(&mut self, fault: Fault) -> Struck {
        self.note(None, format_args!("FAULT {fault:?}"));
        match fault {
            Fault::Crash { whom, silent } => {
                self.coverage.count("fault: crash");
                let proc = self.find(whom);
                self.crash(proc, silent)
            }
            Fault::Stop(whom) => {
                self.coverage.count("fault: stop on purpose");
                let proc = self.find(whom);
                self.stop(proc)
            }
            Fault::Pause(whom) => {
                self.coverage.count("fault: pause");
                let proc = self.find(whom);
                self.pause(proc)
            }
            Fault::Cut { whom, from, ways } => {
                self.coverage.count(match ways {
                    Ways::Both => "fault: cut",
                    _ => "fault: cut one way",
                });
                let ways = self.ways(whom, from, ways);
                self.network.cut(&ways);
                Struck::Cut(ways)
            }
            Fault::Delay {
                whom,
                from,
                ways,
                most,
            } => {
                self.coverage.count("fault: delay");
                let ways = self.ways(whom, from, ways);
                self.network.slow(&ways, most);
                Struck::Slowed(ways)
            }
            Fault::Reset(whom) => {
                self.coverage.count("fault: connections reset");
                let proc = self.find(whom);
                self.break_connections(proc);
                Struck::Nothing
            }
            Fault::Calendar { whom, by } => {
                self.coverage.count("fault: calendar set");
                let proc = self.find(whom);
                self.processes[proc].clock.calendar += by;
                Struck::Nothing
            }
            Fault::Switch(whom) => {
                self.coverage.count("fault: network switched off");
                let proc = self.find(whom);
                self.switch(proc, true)
            }
            Fault::Leave(proc) => self.leaves_on_purpose(&[proc]),
            Fault::ScaleDown { from } => {
                let all: Vec<Proc> = self.subscribers().filter(|p| from >> p & 1 == 1).collect();
                self.leaves_on_purpose(&all)
            }
            Fault::Force(whom) => {
                self.coverage.count("fault: forced");
                let proc = self.find(whom);
                self.force(proc);
                Struck::Nothing
            }
        }
    }

    pub(crate) fn strike_ends(&mut self, i: usize) {
        let Some(struck) = self.struck[i].take() else {
            return;
        };
        self.note(None, format_args!("over: {struck:?}"));
        match struck {
            Struck::Nothing => {}
            Struck::Ended(all) => {
                for proc in all {
                    self.queue.add(self.now, Event::Starts(proc));
                }
            }
            Struck::Paused(proc, pause) => self.resumes(proc, pause),
            Struck::Cut(ways) => self.network.mend(&ways),
            Struck::Slowed(ways) => self.network.slow(&ways, Duration::ZERO),
            Struck::Switched(proc) => drop(self.switch(proc, false)),
        }
    }

    pub(crate) fn subscribers(&self) -> impl Iterator<Item = Proc> + use<> {
        FIRST..self.processes.len()
    }

    /// Who that is at this moment.
    pub(crate) fn find(&mut self, whom: Whom) -> Proc {
        let active = SERVERS.into_iter().find(|proc| self.may_act(*proc));
        match whom {
            Whom::One(proc) => proc,
            Whom::Active => active.unwrap_or_else(|| self.dice.index(2)),
            Whom::Standby => active.map_or_else(|| self.dice.index(2), |active| 1 - active),
        }
    }

    pub(crate) fn ways(&mut self, whom: Whom, from: u64, ways: Ways) -> Vec<(Proc, Proc)> {
        let proc = self.find(whom);
        let others = (0..self.processes.len()).filter(|p| *p != proc && from >> p & 1 == 1);
        let mut all = Vec::new();
        for other in others {
            if ways != Ways::In {
                all.push((proc, other));
            }
            if ways != Ways::Out {
                all.push((other, proc));
            }
        }
        all
    }

    pub(crate) fn crash(&mut self, proc: Proc, silent: bool) -> Struck {
        if !self.processes[proc].alive {
            return Struck::Nothing;
        }
        self.dies(proc, silent);
        Struck::Ended(vec![proc])
    }

    pub(crate) fn stop(&mut self, proc: Proc) -> Struck {
        let process = &self.processes[proc];
        if !process.alive || process.ending || process.paused {
            return Struck::Nothing;
        }
        self.stop_server(proc);
        Struck::Ended(vec![proc])
    }

    pub(crate) fn pause(&mut self, proc: Proc) -> Struck {
        let process = &mut self.processes[proc];
        if !process.alive || process.paused {
            return Struck::Nothing;
        }
        process.paused = true;
        process.pause += 1;
        Struck::Paused(proc, process.pause)
    }

    /// What waited gets its turn, in the order in which it came; but the alarm may be first.
    pub(crate) fn resumes(&mut self, proc: Proc, pause: u32) {
        let process = &mut self.processes[proc];
        if !process.alive || !process.paused || process.pause != pause {
            return;
        }
        process.paused = false;
        let mut waiting = std::mem::take(&mut process.waiting);
        let rings = |event: &Event| matches!(event, Event::Wakes(..));
        if self.dice.chance(500) {
            waiting.sort_by_key(|event| !rings(event));
        }
        self.note(Some(proc), format_args!("goes on"));
        for event in waiting {
            self.queue.add(self.now, event);
        }
    }

    fn switch(&mut self, proc: Proc, off: bool) -> Struck {
        if !self.processes[proc].alive || self.processes[proc].paused {
            return Struck::Nothing;
        }
        self.step_server(proc, Input::NetworkDisabled(off));
        Struck::Switched(proc)
    }

    fn leaves_on_purpose(&mut self, all: &[Proc]) -> Struck {
        let mut left = Vec::new();
        for proc in all {
            let process = &self.processes[*proc];
            if process.alive && !process.ending && !process.paused {
                self.coverage.count("fault: subscriber leaves");
                self.leave_member(*proc);
                left.push(*proc);
            }
        }
        Struck::Ended(left)
    }

    fn force(&mut self, proc: Proc) {
        let process = &self.processes[proc];
        let node = self.servers[proc].node.as_ref();
        let Some(node) = node.filter(|_| !process.paused) else {
            return;
        };
        let Some(view) = node.pair(self.clock(proc)) else {
            return;
        };
        let request = Request::ForceActive(ForceStatestoreActiveRequest {
            protocol_version: ProtocolVersion::V2,
            statestore_id: view.id.0,
        });
        self.step_server(
            proc,
            Input::Request {
                request_id: RequestId(2),
                request,
            },
        );
    }
}
