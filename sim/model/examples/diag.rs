use stateright::Model;
use statestore_model::{scenarios, search::Search, world::World};
use std::collections::*;
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
    for s in m.init_states() {
        seen.insert(s.clone());
        q.push_back(s);
    }
    let mut acts = vec![];
    while let Some(s) = q.pop_front() {
        if seen.len() > max {
            break;
        }
        m.actions(&s, &mut acts);
        for a in acts.drain(..) {
            if let Some(n) = m.next_state(&s, a) {
                if m.within_boundary(&n) && seen.insert(n.clone()) {
                    q.push_back(n);
                }
            }
        }
    }
    let mut parts: BTreeMap<String, HashMap<String, usize>> = BTreeMap::new();
    for w in &seen {
        let w: &World = w;
        let mut put = |k: String, v: String| {
            *parts.entry(k).or_default().entry(v).or_default() += 1;
        };
        put("A".into(), format!("{:?}", w.servers[0]));
        put("B".into(), format!("{:?}", w.servers[1]));
        put("voters".into(), format!("{:?}", w.voters));
        put("mail".into(), format!("{:?}", w.mail));
        put("hist".into(), format!("{:?}", w.history));
        for s in 0..2 {
            let t = format!("{:#?}", w.servers[s].pair);
            // top-level fields: 4 spaces indentation
            let mut key = String::new();
            let mut val = String::new();
            for l in t.lines() {
                if l.starts_with("    ") && !l.starts_with("     ") && l.contains(':') {
                    if !key.is_empty() {
                        put(format!("{s}.{key}"), val.clone());
                    }
                    let (k, v) = l.trim().split_once(':').unwrap();
                    key = k.into();
                    val = v.trim().into();
                } else {
                    val.push_str(l.trim());
                }
            }
            put(format!("{s}.{key}"), val);
        }
        for v in 0..w.voters.len() {
            put(format!("voter{v}"), format!("{:?}", w.voters[v]));
        }
    }
    println!("{} states", seen.len());
    for (k, v) in parts {
        if v.len() > 1 {
            println!("{k}: {}", v.len());
            if v.len() <= 12 {
                for (x, n) in v {
                    println!("      {n:7} {}", &x[..x.len().min(300)]);
                }
            }
        }
    }
}
