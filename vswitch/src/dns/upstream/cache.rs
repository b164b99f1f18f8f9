//! Answers of upstream servers, for as long as their TTL says.
//!
//! The cache has two halves. New answers enter the younger half; when it is full, the older one is dropped and
//! the younger one takes its place. An answer that is asked for moves to the younger half, so that names that
//! are in use stay.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{RData, Record};
use tokio::time::Instant;

use super::Key;
use crate::dns::answer::Answer;
use crate::dns::limits::{CACHE_ANSWERS_MAX, CACHE_BYTES_MAX, CACHE_TIME_MAX};

#[derive(Debug, Clone)]
struct Kept {
    answer: Arc<Answer>,
    /// Length of its message.
    bytes: usize,
    since: Instant,
    until: Instant,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    younger: HashMap<Key, Kept>,
    /// Sum over the younger half.
    bytes: usize,
    older: HashMap<Key, Kept>,
    /// Changes of the servers so far; the answers are those of the servers since the last one.
    changes: u64,
}

impl Cache {
    /// The answer with the TTLs that are left. Answers of former servers are dropped.
    pub(super) fn get(&mut self, key: &Key, changes: u64, now: Instant) -> Option<Answer> {
        if self.changes != changes {
            *self = Self { changes, ..Self::default() };
        }
        if !self.younger.contains_key(key) {
            let kept = self.older.remove(key)?;
            self.insert(key.clone(), kept);
        }
        let kept = self.younger.get(key)?;
        if kept.until <= now {
            return None;
        }
        let age = u32::try_from((now - kept.since).as_secs()).unwrap_or(u32::MAX);
        let mut answer = Answer::clone(&kept.answer);
        let Answer { answers, authorities, additionals, .. } = &mut answer;
        for record in answers.iter_mut().chain(authorities).chain(additionals) {
            record.decrement_ttl(age);
        }
        Some(answer)
    }

    /// Keeps an answer that came in a message of so many bytes, if it may be kept and is none of former servers.
    pub(super) fn put(
        &mut self,
        key: Key,
        (answer, changes): (&Arc<Answer>, u64),
        bytes: usize,
        now: Instant,
    ) {
        if let Some(time) = time_to_live(answer).filter(|_| self.changes == changes) {
            let until = now + time.min(CACHE_TIME_MAX);
            self.insert(key, Kept { answer: Arc::clone(answer), bytes, since: now, until });
        }
    }

    fn insert(&mut self, key: Key, kept: Kept) {
        let is_full = self.bytes + kept.bytes > CACHE_BYTES_MAX / 2;
        if is_full || self.younger.len() >= CACHE_ANSWERS_MAX / 2 {
            self.older = std::mem::take(&mut self.younger);
            self.bytes = 0;
        }
        self.older.remove(&key);
        self.bytes += kept.bytes;
        if let Some(former) = self.younger.insert(key, kept) {
            self.bytes -= former.bytes;
        }
    }
}

/// The shortest TTL of the records; of a negative answer that of its SOA record (RFC 2308, 5). Nothing for an
/// answer that is not kept.
fn time_to_live(answer: &Answer) -> Option<Duration> {
    let Answer { code, answers, authorities, .. } = answer;
    let shortest = answers.iter().map(|record| record.ttl).min();
    let seconds = match (code, shortest) {
        (ResponseCode::NoError, Some(shortest)) => shortest,
        // The answers of a negative one are aliases on the way to the name that is not there.
        (ResponseCode::NoError | ResponseCode::NXDomain, _) => {
            let negative = authorities.iter().find_map(negative_ttl)?;
            negative.min(shortest.unwrap_or(u32::MAX))
        }
        _ => return None,
    };
    (seconds > 0).then(|| Duration::from_secs(seconds.into()))
}

fn negative_ttl(record: &Record) -> Option<u32> {
    match &record.data {
        RData::SOA(soa) => Some(record.ttl.min(soa.minimum)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_server::proto::rr::{LowerName, Name, RecordType};

    use super::*;
    use crate::dns::answer::name_of;

    fn key(n: usize) -> Key {
        (LowerName::new(&name(n)), RecordType::A, false, false)
    }

    fn name(n: usize) -> Name {
        name_of(&format!("n{n}.example")).unwrap()
    }

    fn answer(n: usize, ttl: u32) -> Arc<Answer> {
        let mut answer = Answer::addresses(&name(n), &[[192, 0, 2, 1].into()]);
        answer.answers[0].ttl = ttl;
        Arc::new(answer)
    }

    #[test]
    fn an_answer_stays_for_its_ttl_which_runs_down() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(key(1), (&answer(1, 60), 0), 100, now);
        let later = cache.get(&key(1), 0, now + Duration::from_millis(20_500)).unwrap();
        assert_eq!(later.answers[0].ttl, 40);
        assert!(cache.get(&key(2), 0, now).is_none());
        assert!(cache.get(&key(1), 0, now + Duration::from_secs(60)).is_none());
        cache.put(key(1), (&answer(1, 86_400), 0), 100, now);
        assert!(cache.get(&key(1), 0, now + CACHE_TIME_MAX).is_none());
        assert!(cache.get(&key(1), 0, now).is_some() && cache.get(&key(1), 1, now).is_none());
    }

    #[test]
    fn an_answer_that_former_servers_gave_late_is_not_kept() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        assert!(cache.get(&key(1), 1, now).is_none());
        cache.put(key(1), (&answer(1, 60), 0), 100, now);
        assert!(cache.get(&key(1), 1, now).is_none());
        cache.put(key(1), (&answer(1, 60), 1), 100, now);
        assert!(cache.get(&key(1), 1, now).is_some());
    }

    #[test]
    fn negative_answers_stay_for_their_soa_and_failures_not_at_all() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        let negative = Arc::new(Answer::negative(&name(1), ResponseCode::NXDomain));
        cache.put(key(1), (&negative, 0), 100, now);
        assert_eq!(cache.get(&key(1), 0, now).as_ref(), Some(&*negative));
        assert!(cache.get(&key(1), 0, now + Duration::from_secs(1)).is_none());
        for code in [ResponseCode::ServFail, ResponseCode::Refused, ResponseCode::NXDomain] {
            cache.put(key(2), (&Arc::new(Answer::code(code)), 0), 100, now);
            assert!(cache.get(&key(2), 0, now).is_none(), "{code:?}");
        }
        cache.put(key(3), (&answer(3, 0), 0), 100, now);
        assert!(cache.get(&key(3), 0, now).is_none());
    }

    #[test]
    fn it_is_bounded_and_keeps_what_is_asked_for() {
        let (mut cache, now) = (Cache::default(), Instant::now());
        cache.put(key(0), (&answer(0, 60), 0), 100, now);
        for n in 1..3 * CACHE_ANSWERS_MAX {
            cache.put(key(n), (&answer(n, 60), 0), 100, now);
            assert!(cache.get(&key(0), 0, now).is_some(), "{n}");
            assert!(cache.younger.len() + cache.older.len() <= CACHE_ANSWERS_MAX);
        }
        assert!(cache.get(&key(1), 0, now).is_none());
        for n in 1..1000 {
            cache.put(key(n), (&answer(n, 60), 0), 64 << 10, now);
            let half =
                |half: &HashMap<_, Kept>| half.values().map(|kept| kept.bytes).sum::<usize>();
            assert_eq!(cache.bytes, half(&cache.younger));
            assert!(cache.bytes + half(&cache.older) <= CACHE_BYTES_MAX);
        }
    }
}
