//! Commands that take several names: each is done, whatever becomes of the others.

use std::process::ExitCode;

use serde::Serialize;

use crate::error::Outcome;
use crate::output::{self, Format};

/// Acts on each item and reports failures as they come. Gives the exit code of the first failure.
pub(crate) fn each<T>(
    items: impl IntoIterator<Item = T>,
    mut act: impl FnMut(T) -> Outcome<()>,
) -> Outcome {
    let mut first = None;
    for item in items {
        let Err(failure) = act(item) else { continue };
        let Some(report) = failure.told() else { return Err(failure) };
        output::print_error(&report);
        first = first.or(Some(failure.exit()));
    }
    Ok(first.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Shows each item: the text with an empty line between two, or the JSON values one after the other.
pub(crate) fn shown<T, V: Serialize>(
    format: Format,
    items: impl IntoIterator<Item = T>,
    mut show: impl FnMut(T) -> Outcome<(V, String)>,
) -> Outcome {
    let mut space = "";
    each(items, |item| {
        let (value, text) = show(item)?;
        output::show(format, &value, |_| format!("{space}{text}"))?;
        space = "\n";
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Failure;

    #[test]
    fn a_failure_stops_nothing_and_decides_the_exit_code() {
        let mut done = Vec::new();
        let code = each([1, 2, 3], |item| {
            done.push(item);
            if item == 2 { Err(Failure::usage("two")) } else { Ok(()) }
        });
        assert_eq!(done, [1, 2, 3]);
        assert_eq!(format!("{:?}", code.unwrap()), format!("{:?}", ExitCode::from(2)));
        let none = each([] as [u8; 0], |_| Ok(()));
        assert_eq!(format!("{:?}", none.unwrap()), format!("{:?}", ExitCode::SUCCESS));
    }

    #[test]
    fn a_closed_output_ends_it() {
        let mut done = 0;
        let end = each([1, 2], |_| {
            done += 1;
            Err(Failure::BrokenPipe)
        });
        assert_eq!((end.unwrap_err(), done), (Failure::BrokenPipe, 1));
    }
}
