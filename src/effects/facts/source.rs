//! Where facts come from: a connection, nowhere at all, or a test; and a memory of what was asked.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::hash::Hash;

use super::{Facts, Relation, TakenNames, TypeFacts, Volatility};
use crate::base::RelationName;
use crate::effects::Need;
use crate::sql::form::{FunctionName, TypeName};

/// Answers what the analysis wants to know.
pub trait Source {
    /// Why there is no answer.
    type Trouble;

    /// What is known of the things that are asked for.
    fn look_up(&mut self, need: &Need) -> impl Future<Output = Result<Facts, Self::Trouble>>;
}

/// Nobody to ask: everything is unknown but the version that is assumed.
#[derive(Debug, Clone, Copy)]
pub struct Offline {
    /// `server_version_num`, such as 180000.
    pub server_version: u32,
}

impl Offline {
    /// What is known of anything.
    pub fn facts(self) -> Facts {
        Facts { server_version: self.server_version, offline: true, ..Facts::default() }
    }
}

impl Source for Offline {
    type Trouble = Infallible;

    async fn look_up(&mut self, _need: &Need) -> Result<Facts, Infallible> {
        Ok(self.facts())
    }
}

/// A source that is asked once for each thing. For a review only: nothing changes meanwhile that it should hear of.
#[derive(Debug)]
pub struct Cached<S> {
    inner: S,
    /// All but the lists, as the first answer had it.
    rest: Option<Facts>,
    relations: Known<RelationName, Relation>,
    types: Known<TypeName, TypeFacts>,
    functions: Known<FunctionName, Volatility>,
    taken: Known<RelationName, TakenNames>,
}

/// What was asked for; `None` for what is not there.
type Known<K, V> = HashMap<K, Option<V>>;

impl<S> Cached<S> {
    /// Nothing is known yet.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            rest: None,
            relations: Known::new(),
            types: Known::new(),
            functions: Known::new(),
            taken: Known::new(),
        }
    }

    /// Who is asked.
    pub const fn inner(&self) -> &S {
        &self.inner
    }
}

impl<S: Source> Source for Cached<S> {
    type Trouble = S::Trouble;

    async fn look_up(&mut self, need: &Need) -> Result<Facts, S::Trouble> {
        let missing = Need {
            relations: missing(&self.relations, &need.relations),
            types: missing(&self.types, &need.types),
            functions: missing(&self.functions, &need.functions),
            names_beside: missing(&self.taken, &need.names_beside),
        };
        let rest = match &self.rest {
            Some(rest) if missing.is_empty() => rest.clone(),
            _ => {
                let mut found = self.inner.look_up(&missing).await?;
                learn(&mut self.relations, missing.relations, std::mem::take(&mut found.relations));
                learn(&mut self.types, missing.types, std::mem::take(&mut found.types));
                learn(&mut self.functions, missing.functions, std::mem::take(&mut found.functions));
                learn(&mut self.taken, missing.names_beside, std::mem::take(&mut found.taken));
                self.rest.insert(found).clone()
            }
        };
        Ok(Facts {
            relations: recall(&self.relations, &need.relations),
            types: recall(&self.types, &need.types),
            functions: recall(&self.functions, &need.functions),
            taken: recall(&self.taken, &need.names_beside),
            ..rest
        })
    }
}

fn missing<K: Clone + Eq + Hash, V>(known: &Known<K, V>, wanted: &[K]) -> Vec<K> {
    wanted.iter().filter(|name| !known.contains_key(*name)).cloned().collect()
}

fn learn<K: Eq + Hash, V>(known: &mut Known<K, V>, asked: Vec<K>, found: impl IntoIterator<Item = (K, V)>) {
    known.extend(asked.into_iter().map(|name| (name, None)));
    known.extend(found.into_iter().map(|(name, facts)| (name, Some(facts))));
}

fn recall<K: Clone + Eq + Hash, V: Clone, C: FromIterator<(K, V)>>(known: &Known<K, V>, wanted: &[K]) -> C {
    let facts = |name: &K| Some((name.clone(), known.get(name)?.clone()?));
    wanted.iter().filter_map(facts).collect()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::super::{RelationKind, TypeKind};
    use super::*;

    /// A catalogue where names with an even number exist; it notes what it was asked for.
    #[derive(Default)]
    struct Counting {
        asked: Vec<Need>,
    }

    fn number(name: &str) -> Option<u32> {
        name.get(1..)?.parse().ok().filter(|number| number % 2 == 0)
    }

    impl Source for Counting {
        type Trouble = Infallible;

        async fn look_up(&mut self, need: &Need) -> Result<Facts, Infallible> {
            self.asked.push(need.clone());
            let relation = |name: &RelationName| {
                Some((name.clone(), Relation::new(number(&name.name)?, RelationKind::Table)))
            };
            let ty = |name: &TypeName| {
                let base = number(&name.name)?.to_string();
                Some((
                    name.clone(),
                    TypeFacts {
                        kind: TypeKind::Domain,
                        base,
                        modified: false,
                        users: Vec::new(),
                        columns: Vec::new(),
                    },
                ))
            };
            let function =
                |name: &FunctionName| number(&name.name).map(|_| (name.clone(), Volatility::Stable));
            let names =
                |name: &RelationName| number(&name.name).map(|_| (name.clone(), TakenNames::default()));
            Ok(Facts {
                server_version: 170_000,
                utc: Some(true),
                relations: need.relations.iter().filter_map(relation).collect(),
                types: need.types.iter().filter_map(ty).collect(),
                functions: need.functions.iter().filter_map(function).collect(),
                taken: need.names_beside.iter().filter_map(names).collect(),
                ..Facts::default()
            })
        }
    }

    fn answer(source: &mut impl Source<Trouble = Infallible>, need: &Need) -> Facts {
        let asking = pin!(source.look_up(need));
        match asking.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(facts)) => facts,
            Poll::Pending => panic!("nothing here waits"),
        }
    }

    fn names(letter: char) -> impl Strategy<Value = Vec<String>> {
        prop::collection::btree_set(0..8_u32, 0..4)
            .prop_map(move |numbers| numbers.into_iter().map(|number| format!("{letter}{number}")).collect())
    }

    fn needs() -> impl Strategy<Value = Need> {
        (names('r'), names('t'), names('f')).prop_map(|(relations, types, functions)| Need {
            relations: relations.iter().map(RelationName::bare).collect(),
            types: types.into_iter().map(|name| TypeName { name, ..TypeName::default() }).collect(),
            functions: functions.into_iter().map(|name| FunctionName { schema: None, name }).collect(),
            names_beside: relations.iter().map(RelationName::bare).collect(),
        })
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_would_be_said(needs in prop::collection::vec(needs(), 1..30)) {
            let (mut cached, mut plain) = (Cached::new(Counting::default()), Counting::default());
            for need in &needs {
                prop_assert_eq!(answer(&mut cached, need), answer(&mut plain, need));
            }
            let asked = &cached.inner().asked;
            for name in asked.iter().flat_map(|need| &need.relations) {
                let times = asked.iter().filter(|need| need.relations.contains(name)).count();
                prop_assert_eq!(times, 1, "{} was asked for again", name);
            }
            prop_assert!(asked.len() <= 25, "each but the first question brings something new");
        }
    }
}
