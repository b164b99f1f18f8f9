//! Natural order: `c2` before `c10`.

use std::cmp::Ordering;

/// Compares texts by their words and numbers.
pub(crate) fn natural(a: &str, b: &str) -> Ordering {
    let (mut a_rest, mut b_rest) = (a, b);
    loop {
        let (a_part, b_part) = (part(a_rest), part(b_rest));
        if a_part.is_empty() || b_part.is_empty() {
            return a_part.len().cmp(&b_part.len()).then_with(|| a.cmp(b));
        }
        let order = match (number(a_part), number(b_part)) {
            (Some(a), Some(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            _ => a_part.cmp(b_part),
        };
        if order.is_ne() {
            return order;
        }
        (a_rest, b_rest) = (&a_rest[a_part.len()..], &b_rest[b_part.len()..]);
    }
}

/// The digits at the start, or all up to the first digit.
fn part(text: &str) -> &str {
    let is_number = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != is_number);
    &text[..end.unwrap_or(text.len())]
}

/// Digits without leading zeros, which compare by length first.
fn number(part: &str) -> Option<&str> {
    part.starts_with(|c: char| c.is_ascii_digit()).then(|| part.trim_start_matches('0'))
}
