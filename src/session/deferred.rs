//! What the open transaction has queued for the time behind its COMMIT; savepoints take parts of it back.

use std::collections::BTreeMap;

use crate::effects::facts::Oid;
use crate::plan::task::Named;
use crate::plan::{Later, Pending};

/// More is not queued in one transaction.
pub const QUEUED_MAX: usize = 1_000;

/// A queued statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// What is run.
    pub later: Later,
    /// The settings under which it was sent, which are those under which it is run.
    pub settings: Vec<(String, String)>,
    /// The relations that it named then.
    pub about: Vec<Named>,
}

/// The queue of an open transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    tasks: Vec<Task>,
    /// The savepoints since the first of them, each with the length of the queue at that time.
    marks: Vec<(String, usize)>,
}

impl Queue {
    /// Whether nothing is queued.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How much is queued.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// What is queued, in order.
    pub fn tasks(&self) -> &[Task] {
        &self.tasks
    }

    /// What none of it has changed yet.
    pub fn pending(&self) -> Vec<Pending> {
        self.tasks.iter().map(|task| task.later.pending.clone()).collect()
    }

    /// Relations have other numbers than when they were named.
    pub fn renumber(&mut self, now: &BTreeMap<Oid, Oid>) {
        for task in &mut self.tasks {
            let named = task.about.iter_mut().map(|it| &mut it.oid);
            for oid in named.chain(&mut task.later.pending.oids) {
                *oid = *now.get(oid).unwrap_or(oid);
            }
        }
    }

    /// Queues more.
    pub fn push(&mut self, tasks: impl IntoIterator<Item = Task>) {
        self.tasks.extend(tasks);
    }

    /// A savepoint was made.
    pub fn savepoint(&mut self, name: &str) {
        self.marks.push((name.to_owned(), self.tasks.len()));
    }

    /// A savepoint was released, and those behind it; one that is not known was made before all of them.
    pub fn release(&mut self, name: &str) {
        self.marks.truncate(self.mark(name).unwrap_or_default());
    }

    /// The transaction went back to a savepoint; one that is not known was made before anything was queued.
    pub fn rollback_to(&mut self, name: &str) {
        let at = self.mark(name);
        let length = at.and_then(|at| self.marks.get(at)).map_or(0, |(_, length)| *length);
        self.tasks.truncate(length);
        self.marks.truncate(at.map_or(0, |at| at + 1));
    }

    fn mark(&self, name: &str) -> Option<usize> {
        self.marks.iter().rposition(|(known, _)| known == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Sight;

    fn task(title: &str) -> Task {
        let pending = Pending {
            names: vec![],
            oids: vec![],
            made: vec![],
            gone: vec![],
            columns: vec![],
            words: std::collections::BTreeSet::new(),
            sight: Sight::Hidden,
        };
        let later = Later { sql: title.into(), title: title.to_owned(), tag: "CREATE INDEX", pending };
        Task { later, settings: Vec::new(), about: Vec::new() }
    }

    fn left(queue: &Queue) -> String {
        queue.tasks().iter().map(|task| task.later.title.as_str()).collect()
    }

    #[test]
    fn savepoints_take_parts_back() {
        let mut queue = Queue::default();
        queue.push([task("a")]);
        queue.savepoint("s");
        queue.push([task("b")]);
        queue.savepoint("s");
        queue.push([task("c")]);
        queue.rollback_to("s");
        assert_eq!(left(&queue), "ab", "the innermost of that name");
        queue.push([task("d")]);
        queue.rollback_to("s");
        assert_eq!(left(&queue), "ab", "it is still there");
        queue.release("s");
        queue.rollback_to("s");
        assert_eq!(left(&queue), "a", "the outer one");
        queue.savepoint("inner");
        queue.release("s");
        queue.rollback_to("older");
        assert!(queue.is_empty(), "it was made before anything was queued");
        queue.push([task("a")]);
        queue.savepoint("older");
        queue.release("oldest");
        queue.rollback_to("older");
        assert!(queue.is_empty(), "the one inside went with the one that was released");
    }
}
