//! Errors of URLs, without the secrets that the URL has, or may have.

use super::{Scheme, UrlError};

/// In the place of a secret.
const STARS: &str = "***";

/// A URL in an error.
pub(super) fn error(text: &str, problem: String) -> UrlError {
    let (scheme, rest) = text.split_once("://").map_or((None, text), |(it, rest)| (Some(it), rest));
    let scheme_text = scheme.map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let Some((user, after)) = rest.rsplit_once('@').filter(|_| scheme != Some("file")) else {
        return UrlError { url: scheme_text + &without_values(rest), problem };
    };
    // A token stands where others have a user.
    let name = match user.split_once(':') {
        Some((name, _)) if scheme != Some(Scheme::Consul.name()) => name,
        None if scheme != Some(Scheme::Consul.name()) && !user.contains(['/', '?']) => user,
        _ => "",
    };
    let url = format!("{scheme_text}{name}:{STARS}@{}", without_values(after));
    // The parser took a part of the password for a host, port or option, which the problem then names.
    let problem = match user.contains(['/', '?']) {
        true => "write / ? and @ in a user or password as %2F %3F and %40".to_owned(),
        false => problem,
    };
    UrlError { url, problem }
}

/// The text with the values of options that no registry has: somebody may have written `?password=secret`.
fn without_values(text: &str) -> String {
    let Some((start, options)) = text.split_once('?') else { return text.to_owned() };
    let is_known = |name: &str| Scheme::ALL.iter().any(|scheme| scheme.options().contains(&name));
    let options = options.split('&').map(|option| match option.split_once('=') {
        Some((name, _)) if !is_known(name) => format!("{name}={STARS}"),
        _ => option.to_owned(),
    });
    format!("{start}?{}", options.collect::<Vec<_>>().join("&"))
}
