//! Files that the URL names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::RegistryError;

/// Text of a file of at most `bytes_max`.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<String, RegistryError> {
    let fail = |problem: String| RegistryError::File { path: path.to_owned(), problem };
    let file = File::open(path).map_err(|error| fail(error.to_string()))?;
    let mut text = String::new();
    let mut limited = file.take(bytes_max + 1);
    limited.read_to_string(&mut text).map_err(|error| fail(error.to_string()))?;
    if text.len() as u64 > bytes_max {
        return Err(fail(format!("longer than {bytes_max} bytes")));
    }
    Ok(text)
}
