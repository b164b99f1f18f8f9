//! Processors of the workers.

use std::fmt;
use std::str::FromStr;

use super::ValueError;

/// Highest number that a processor may have (`CPU_SETSIZE` of `sched_setaffinity(2)`).
const CPU_MAX: usize = 1023;

/// Processors in order: worker 0 is bound to the first, and so on, round robin. Without any, the scheduler
/// places the workers.
///
/// Text: numbers and ranges as in `taskset(1)`, such as `2` or `1,4-6`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cpus(Vec<usize>);

impl Cpus {
    /// The processor of a worker; none where the scheduler places it.
    #[must_use]
    pub fn of_worker(&self, worker: usize) -> Option<usize> {
        let at = worker.checked_rem(self.0.len())?;
        self.0.get(at).copied()
    }

    /// The processors in order.
    #[must_use]
    pub fn as_slice(&self) -> &[usize] {
        &self.0
    }
}

impl FromStr for Cpus {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let refuse = || ValueError::Cpus { text: text.to_owned(), most: CPU_MAX };
        let number =
            |word: &str| word.parse().ok().filter(|&cpu: &usize| cpu <= CPU_MAX).ok_or_else(refuse);
        let mut cpus = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let (first, last) = (number(first)?, number(last)?);
            if first > last || (first..=last).any(|cpu| cpus.contains(&cpu)) {
                return Err(refuse());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().map(usize::to_string).collect();
        f.write_str(&numbers.join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_ranges() {
        for (text, cpus) in [("2", vec![2]), ("1,4-6", vec![1, 4, 5, 6]), ("3,0", vec![3, 0])] {
            assert_eq!(text.parse::<Cpus>().unwrap().as_slice(), cpus, "{text}");
        }
        assert_eq!("1,4-6".parse::<Cpus>().unwrap().to_string(), "1,4,5,6");
    }

    #[test]
    fn what_is_no_list_is_named() {
        for text in ["", "a", "1,", "-1", "3-1", "1-", "1024", "1,1", "0-3,2"] {
            let error = text.parse::<Cpus>().unwrap_err().to_string();
            assert!(error.contains(&format!("{text:?}")), "{error}");
        }
    }

    #[test]
    fn workers_go_round() {
        let cpus: Cpus = "2,5".parse().unwrap();
        let placed: Vec<_> = (0..3).map(|worker| cpus.of_worker(worker)).collect();
        assert_eq!(placed, [Some(2), Some(5), Some(2)]);
        assert_eq!(Cpus::default().of_worker(0), None);
    }
}
