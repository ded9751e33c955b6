use stateright::Model;
use statestore_model::{scenarios, search::Search};
use std::collections::*;
use std::hash::*;
fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
fn main() {
    let want = std::env::args().nth(1).unwrap();
    let max: usize = std::env::args().nth(2).unwrap().parse().unwrap();
    let rules = scenarios::all(false)
        .into_iter()
        .find(|r| r.name.contains(&want))
        .unwrap();
    let m = Search::new(rules);
    let mut seen = HashSet::new();
    let mut q = VecDeque::new();
    let h = |s: &_| {
        let mut x = DefaultHasher::new();
        Hash::hash(s, &mut x);
        x.finish()
    };
    for s in m.init_states() {
        seen.insert(h(&s));
        q.push_back(s);
    }
    let mut acts = vec![];
    let (mut tries, mut nexts) = (0, 0);
    let t = cpu();
    while let Some(s) = q.pop_front() {
        if seen.len() > max {
            break;
        }
        m.actions(&s, &mut acts);
        for a in acts.drain(..) {
            tries += 1;
            if let Some(n) = m.next_state(&s, a) {
                nexts += 1;
                if m.within_boundary(&n) && seen.insert(h(&n)) {
                    q.push_back(n);
                }
            }
        }
    }
    let t = cpu() - t;
    println!(
        "{} states, {tries} tries, {nexts} nexts, {t:.2} cpu s, {:.0} ns/try",
        seen.len(),
        t * 1e9 / tries as f64
    );
}
