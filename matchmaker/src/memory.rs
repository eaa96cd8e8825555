//! A registry in this process: for services and clients that share one, and for tests.

use std::collections::BTreeMap;
use std::fmt;
use std::future::ready;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::announced::Announced;
use crate::backend::{Answer, Backend};
use crate::exchange::Member;
use crate::name::{Host, Topic};

/// The topics registered with it, each with its hosts in the order of registration.
#[derive(Debug)]
pub struct Memory {
    name: &'static str,
    announced: Announced,
    topics: Mutex<BTreeMap<Topic, Arc<[Member]>>>,
}

impl Memory {
    /// Nobody is registered.
    pub fn new() -> Self {
        Self::named("memory")
    }

    /// The same, under another name in errors.
    pub(crate) fn named(name: &'static str) -> Self {
        Self { name, announced: Announced::default(), topics: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Topic, Arc<[Member]>>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Memory {
    fn members<'a>(&'a self, topic: &'a Topic) -> Answer<'a, Arc<[Member]>> {
        let members = self.lock().get(topic).cloned().unwrap_or_default();
        Box::pin(ready(Ok(members)))
    }

    fn topics(&self) -> Answer<'_, Vec<Topic>> {
        let topics = self.lock().keys().cloned().collect();
        Box::pin(ready(Ok(topics)))
    }

    fn register<'a>(&'a self, topic: &'a Topic, host: &'a Host) -> Answer<'a, ()> {
        self.announced.add(topic, host);
        let mut topics = self.lock();
        let members = topics.entry(topic.clone()).or_default();
        if members.iter().all(|member| member.name != *host) {
            let newcomer = Member::from(host.clone());
            *members = members.iter().cloned().chain([newcomer]).collect();
        }
        Box::pin(ready(Ok(())))
    }

    fn unregister<'a>(&'a self, topic: &'a Topic, host: &'a Host) -> Answer<'a, ()> {
        let last = self.announced.remove(topic, host);
        let mut topics = self.lock();
        if let Some(members) = topics.get_mut(topic)
            && last
        {
            let staying = members.iter().filter(|member| member.name != *host);
            *members = staying.cloned().collect();
            if members.is_empty() {
                topics.remove(topic);
            }
        }
        Box::pin(ready(Ok(())))
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_registered_is_found_until_it_is_unregistered() {
        let memory = Memory::new();
        let topic: Topic = "compute".parse().unwrap();
        let [a, b] = ["a", "b"].map(|name| name.parse::<Host>().unwrap());
        for host in [&a, &b] {
            memory.register(&topic, host).await.unwrap();
        }
        let expected = [Member::from(a.clone()), Member::from(b.clone())];
        assert_eq!(*memory.members(&topic).await.unwrap(), expected);

        memory.unregister(&topic, &a).await.unwrap();
        assert_eq!(*memory.members(&topic).await.unwrap(), expected[1..]);
        memory.unregister(&topic, &b).await.unwrap();
        assert_eq!(memory.topics().await.unwrap(), []);
    }
}
