//! Rules about documents: what they point to exists, so that moving a file breaks a test and
//! not a reader. Addresses outside the tree are not visited.

use crate::{Tree, Violation};

/// Every relative link of a document leads to something in the tree.
pub fn links_lead_somewhere(tree: &Tree) -> Vec<Violation> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.is("md")) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (at, line) in file.text.lines().enumerate() {
            for link in line
                .split("](")
                .skip(1)
                .filter_map(|rest| rest.split(')').next())
            {
                let goal = link.split('#').next().unwrap_or_default();
                let outside = goal.contains("://") || goal.starts_with("mailto:");
                if !goal.is_empty() && !outside && !exists(tree, &resolved(folder, goal)) {
                    found.push(file.violation(at + 1, format!("{link} leads nowhere")));
                }
            }
        }
    }
    found
}

fn resolved(folder: &str, link: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let inside = format!("{path}/");
    tree.files
        .iter()
        .any(|file| file.path == path || file.path.starts_with(&inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_link_is_found() {
        let page =
            "[a](b.md) [c](../crates/core)\n[x](gone.md#part), [y](https://host/z) [z](#here)";
        let files = [
            ("docs/a.md", page),
            ("docs/b.md", ""),
            ("crates/core/lib.rs", ""),
        ];
        let found = links_lead_somewhere(&Tree::of(&files));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "docs/a.md:2: gone.md#part leads nowhere"
        );
    }
}
