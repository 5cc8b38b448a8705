use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".calendar-webhooks-");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    // Made anew under a name that nobody knows beforehand: one that is there may be a link to somewhere else.
    let mut partial = builder.tempfile_in(directory)?;
    partial.write_all(content)?;
    if let Ok(replaced) = fs::metadata(path) {
        partial.as_file().set_permissions(replaced.permissions())?;
    }
    partial.persist(path).map(|_| ()).map_err(|failed| failed.error)
}
